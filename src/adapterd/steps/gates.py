"""The gates of one's own: what the operator's commands say of a snapshot that passed its probes."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapterd.config import Config
from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.ports import BaseModel, GateAnswer, GateRequest, Gates
from adapterd.spool import Snapshot

GATE_END = 15.0
"""Seconds that the end of a gate may take beyond its deadline, until its whole group is gone."""
PREFIX = "gate."
"""Before the name of a measurement that a gate took."""
MOST = 64
"""Measurements that are taken from one gate."""

_REFUSED = "gate_refused"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_,@%+-]{0,63}")  # no path among them: they are published


@dataclass(frozen=True, slots=True)
class Said:
    """What the gates said.

    Attributes:
        findings: a reason for each that said no.
        entries: one for each that was asked, for the report.
        measurements: their numbers, as ``gate.NAME``.
    """

    findings: tuple[Reason, ...] = ()
    entries: tuple[Mapping[str, Any], ...] = ()
    measurements: Mapping[str, float] = field(default_factory=dict)


def ask(gates: Gates, config: Config, snapshot: Snapshot, base: BaseModel, waived: Collection[str] = ()) -> Said:
    """Ask one gate after the other, in the configuration's order. GateFailed passes through.

    The first that says no is the last that is asked, unless its word is waived.
    """
    findings: list[Reason] = []
    entries: list[Mapping[str, Any]] = []
    measured: dict[str, float] = {}
    for gate in config.validation.gates:
        request = GateRequest(
            gate.command, str(snapshot.payload), base.path, gate.timeout, threads=config.validation.threads
        )
        answer = gates.ask(request)
        name = Path(gate.command[0]).name
        entries.append(
            {"command": name, "seconds": answer.seconds, "exit": answer.exit, "metrics": dict(answer.metrics)}
        )
        measured |= numbers(answer.metrics)
        if answer.exit != 0:
            findings.append(reason(_REFUSED, _no(name, answer)))
            if _REFUSED not in waived:
                break
    return Said(tuple(findings), tuple(entries), measured)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among a gate's metrics as measurements; those of nested objects with a dot between.

    Names that are no plain words are left out, since measurements are published with the manifest.
    """
    found: dict[str, float] = {}
    _collect(metrics, PREFIX, found)
    return found


def _collect(metrics: Mapping[str, Any], prefix: str, found: dict[str, float]) -> None:
    for key, value in metrics.items():
        if not _NAME.fullmatch(key):
            continue
        if isinstance(value, Mapping):
            _collect(value, f"{prefix}{key}.", found)
        elif isinstance(value, int | float) and not isinstance(value, bool) and _finite(value) and len(found) < MOST:
            found[f"{prefix}{key}"] = value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer larger than any float
        return False


def _no(name: str, answer: GateAnswer) -> str:
    """The exit code on a line of its own: what follows is for this host's eyes, and never published."""
    return f"gate {name} said no with exit code {answer.exit}\n{answer.tail}".strip()
