"""What travels between supervisor and worker: one JSON object per line, each way.

Down goes a request; up come events: ``ready`` once, ``progress`` any number of times, and for each request one
``result``, ``busy``, ``absent``, ``too_small`` or ``out_of_memory``. With ``spent`` in it the worker says that it
should measure nothing more; ``crashed`` is its last word of all. Anything else is a breach of protocol. No torch here:
the daemon imports this module.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from adapterd.core.examples import Example
from adapterd.core.reasons import BY_CODE
from adapterd.core.verdict import jsonable
from adapterd.core.version import Reason
from adapterd.ports import BaseModel, ProbeRequest, ProbeResult

PROTOCOL = 3
LONGEST_LINE = 8 * 2**20
"""A line longer than this is no message of ours; a result is some kilobytes."""


class BadMessage(ValueError):
    """The line is not what was agreed on."""


def pack(message: Mapping[str, Any]) -> bytes:
    """One line of JSON, without NaN."""
    return json.dumps(jsonable(message), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> dict[str, Any]:
    """Read one line.

    Raises:
        BadMessage: it is not a JSON object.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BadMessage(f"not JSON: {line[:80]!r}") from exc
    if not isinstance(message, dict):
        raise BadMessage(f"not an object: {line[:80]!r}")
    return message


def request_message(number: int, request: ProbeRequest, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Say what to measure; `hashes` are digests of base files that an earlier worker took, by file identity."""
    return {
        "protocol": PROTOCOL,
        "event": "request",
        "id": number,
        "request": asdict(request),
        "hashes": dict(hashes),
    }


def read_request(message: Mapping[str, Any]) -> ProbeRequest:
    """Give the request back as it was.

    Raises:
        BadMessage: daemon and worker are not of one installation.
    """
    if message.get("protocol") != PROTOCOL:
        raise BadMessage(f"protocol {message.get('protocol')!r}, this worker speaks {PROTOCOL}")
    try:
        fields = dict(message["request"])
        base = dict(fields["base"])
        base["trained_on"] = tuple(base["trained_on"])
        fields["base"] = BaseModel(**base)
        fields["devices"] = tuple(fields["devices"])
        fields["examples"] = tuple(Example(**example) for example in fields["examples"])
        return ProbeRequest(**fields)
    except (KeyError, TypeError) as exc:
        raise BadMessage(f"no request: {exc}") from exc


def result_message(
    number: int, result: ProbeResult, hashes: Mapping[str, str], *, spent: bool = False
) -> dict[str, Any]:
    """Say what was measured, and whether this worker is `spent`: the next request needs a fresh one."""
    return {"event": "result", "id": number, "result": asdict(result), "hashes": dict(hashes), "spent": spent}


def read_result(message: Mapping[str, Any], log_tail: str) -> ProbeResult:
    """Give the result back, with what the worker printed meanwhile.

    Raises:
        BadMessage: it is not whole, or not of these types.
    """
    try:
        fields = dict(message["result"])
        fields["findings"] = tuple(Reason(**finding) for finding in fields["findings"])
        fields["log_tail"] = log_tail
        result = ProbeResult(**fields)
        unknown = [found.code for found in result.findings if found.code not in BY_CODE]
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessage(f"no result: {exc}") from exc
    if unknown:
        raise BadMessage(f"no result: unknown reason {unknown[0]!r}")
    words = (result.device, result.dtype, result.base_fingerprint, result.level)
    if not (isinstance(result.measurements, dict) and isinstance(result.versions, dict)):
        raise BadMessage("no result: measurements and versions are objects")
    if not all(isinstance(word, str) for word in words):
        raise BadMessage("no result: device, dtype, fingerprint and level are texts")
    return result
