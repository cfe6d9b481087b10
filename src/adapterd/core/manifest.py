"""The manifest, ``adapterd.json``: a pure function of recorded facts, no clock inside (docs/reference/manifest.md)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.core.adapter import IDENTITY_ALGORITHM, digest_of
from adapterd.core.facts import Facts, public
from adapterd.core.naming import serving_name

SCHEMA = 1


def render(facts: Facts, number: int, block: str, picture: bytes) -> bytes:
    """Render schema 1.

    Args:
        facts: of the version.
        number: that it gets.
        block: the managed block of its card.
        picture: that lies beside it; empty for none.
    """
    version, config, report = facts.version, facts.config, public(facts.report)
    fields = config.fields
    document = {
        "schema": SCHEMA,
        "adapter": version.adapter,
        "publisher": facts.publisher,
        "number": number,
        "identity": {"algorithm": IDENTITY_ALGORITHM, "digest": version.identity},
        "files": {path: {"sha256": digest, "size": size} for path, (digest, size) in facts.files.items()},
        "card": {"sha256": digest_of(block.encode())},
        **({"picture": {"sha256": digest_of(picture)}} if picture else {}),
        "base": {
            "id": facts.base.id,
            "revision": facts.base.revision,
            "fingerprint": facts.base.fingerprint,
            "variant": {
                "dtype": report.get("dtype", ""),
                "quantization": facts.variant.quantization or None,
                "device_map": facts.variant.device_map or None,
            },
        },
        "peft": {
            "type": config.peft_type,
            "task": config.task or None,
            "rank": config.rank,
            "alpha": fields.get("lora_alpha", fields.get("alpha")),
            "targets": _names(fields.get("target_modules")),
            "modules_to_save": _names(fields.get("modules_to_save")),
            "dora": bool(fields.get("use_dora")),
            "rslora": bool(fields.get("use_rslora")),
            "parameters": facts.parameters,
            "bytes": facts.bytes,
        },
        "provenance": {
            "run": version.run,
            "checkpoint": facts.checkpoint or None,
            "step": version.step,
            "final": version.final,
            "intake": version.intake,
            "repairs": [dict(repair) for repair in version.repairs],
            "labels": dict(facts.labels),
            "trained": dict(version.trained),
        },
        "policy": facts.policy,
        "report": {
            key: report.get(key)
            for key in ("verdict", "level", "reasons", "warnings", "waivers", "measurements", "device", "versions")
        },
        "serving_name": serving_name(version.adapter, number, version.identity),
        **{key: report[key] for key in ("golden", "engines") if report.get(key)},
    }
    return (json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def payload_paths(document: Mapping[str, Any]) -> Sequence[str]:
    """The payload's paths that a parsed manifest lists."""
    files = document.get("files")
    return sorted(str(path) for path in files) if isinstance(files, dict) else []


def _names(value: object) -> object:
    """A set of names in a fixed order; a regular expression or None as it is."""
    return sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value
