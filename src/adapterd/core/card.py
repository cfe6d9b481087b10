"""Manifest, model card and commit message: pure functions of recorded facts, with no clock inside."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.core import engines
from adapterd.core.adapter import IDENTITY_ALGORITHM, AdapterConfig, digest_of
from adapterd.core.naming import serving_name
from adapterd.core.publication import Trailers, with_trailers
from adapterd.core.readme import BEGIN, END
from adapterd.core.variants import Variant, parse
from adapterd.core.version import AdapterVersion
from adapterd.core.words import size

SCHEMA = 1

_PIPELINES = {
    "CAUSAL_LM": "text-generation",
    "SEQ_CLS": "text-classification",
    "FEATURE_EXTRACTION": "feature-extraction",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
}
_CLASSES = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
    "SEQ_2_SEQ_LM": "ForSeq2SeqLM",
    "FEATURE_EXTRACTION": "",
}
"""Ends of the auto classes of transformers by task."""
_PROVEN = {
    "full": (
        "Every file here was loaded into its base model and probed before it was published; `adapterd.json` lists",
        "the sha256 of each and the whole report.",
    ),
    "structural": (
        "**No forward pass was made**: no device of the publisher can hold the base model. Names and shapes of all",
        "tensors were held against it; what the adapter does there was not measured. `adapterd.json` lists the sha256",
        "of each file and the whole report.",
    ),
}
"""What was done before it was published, by the level of the report."""
_GOLDEN = (
    "To see that it does the same where you load it: pull it, then `adapterd validate --golden DIR`. The answer is",
    "`adapter`, `base` or `inconclusive`, by the outputs on public texts that `adapterd.json` holds.",
    "",
)


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What is known of the base model: Hub id, exact commit or ``local``, fingerprint, licence, weights in bytes."""

    id: str
    revision: str
    fingerprint: str = ""
    license: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a manifest and a card are rendered from.

    Attributes:
        files: payload path to (sha256, size in bytes).
        checkpoint: name of the folder, as in ``checkpoint-500``; empty for a final save.
        parameters: number of the adapter's own parameters.
        report: as `core.verdict` gives it.
    """

    version: AdapterVersion
    config: AdapterConfig
    files: Mapping[str, tuple[str, int]]
    base: BaseFacts
    publisher: str
    policy: str
    report: Mapping[str, Any]
    checkpoint: str = ""
    parameters: int = 0
    former: int | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of the payload in bytes."""
        return sum(size for _, size in self.files.values())


def manifest(facts: Facts, number: int) -> bytes:
    """Render ``adapterd.json``, schema 1 (docs/reference/manifest.md)."""
    version, config, report = facts.version, facts.config, public(facts.report)
    fields, variant = config.fields, _variant(report)
    document = {
        "schema": SCHEMA,
        "adapter": version.adapter,
        "publisher": facts.publisher,
        "number": number,
        "identity": {"algorithm": IDENTITY_ALGORITHM, "digest": version.identity},
        "files": {path: {"sha256": digest, "size": size} for path, (digest, size) in facts.files.items()},
        "card": {"sha256": digest_of(block(facts, number).encode())},
        "base": {
            "id": facts.base.id,
            "revision": facts.base.revision,
            "fingerprint": facts.base.fingerprint,
            "variant": {
                "dtype": report.get("dtype", ""),
                "quantization": variant.quantization or None,
                "device_map": variant.device_map or None,
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


def _variant(report: Mapping[str, Any]) -> Variant:
    """How the base was quantised and spread, by the policy of the report."""
    terms = report.get("policy_terms")
    return parse(str(terms.get("variant", ""))) if isinstance(terms, Mapping) else Variant()


def _where(report: Mapping[str, Any]) -> str:
    """Device, type and variant of the base, as a person would say them."""
    if report.get("level") == "structural":
        return "no device; names and shapes alone"
    variant = _variant(report)
    spread = f"spread over devices ({variant.device_map})" if variant.device_map else ""
    quantised = f"base quantised to {variant.quantization}" if variant.quantization else ""
    said = (report.get("device", ""), report.get("dtype", ""), quantised, spread)
    return ", ".join(str(each) for each in said if each)


def public(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report for other eyes: waivers without who gave them, and of each message its first line alone.

    What follows the first line is what a command on this host wrote.
    """
    waivers = [{key: w[key] for key in ("code", "reason", "at") if key in w} for w in _mappings(report.get("waivers"))]
    told = {
        key: [{**r, "message": str(r.get("message", "")).partition("\n")[0]} for r in _mappings(report.get(key))]
        for key in ("reasons", "warnings")
    }
    return {**report, "waivers": waivers, **told}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in what should be a list of objects."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _names(value: object) -> object:
    """A set of names in a fixed order; a regular expression or None as it is."""
    return sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


def commit_message(facts: Facts, number: int) -> str:
    """Title, where it came from, and the trailers by which a publisher knows its own commits."""
    version = facts.version
    title = f"v{number}: {version.adapter.split('/')[-1]} from {source(facts)}"
    said = Trailers(version.identity, number, facts.publisher)
    return with_trailers(title, f"Base model: {facts.base.id or 'local'} at {facts.base.revision}", said)


def source(facts: Facts) -> str:
    """Run and checkpoint, as a person would say it; a folder's name may hold anything, a title has one line."""
    run = " ".join(facts.version.run.replace("`", "'").split())
    return f"{run}/{facts.checkpoint}" if facts.checkpoint else f"{run} (final)"


def metadata(facts: Facts) -> dict[str, Any]:
    """The card's front matter, in keys and values that the Hub accepts. `base_model` only where it is a Hub id."""
    labels = facts.labels
    fields: dict[str, Any] = {
        "base_model": facts.base.id or None,
        "library_name": "peft",
        "license": labels.get("license") or facts.base.license or None,
        "language": labels.get("language") or None,
        "datasets": labels.get("datasets") or None,
        "pipeline_tag": _PIPELINES.get(facts.config.task),
        "tags": ["adapterd", "peft", facts.config.peft_type.lower()],
    }
    return {key: value for key, value in fields.items() if value}


def block(facts: Facts, number: int) -> str:
    """The managed block of the model card, between its two marks."""
    version, report = facts.version, public(facts.report)
    measured: Mapping[str, Any] = report.get("measurements") or {}
    share = f", {100 * facts.bytes / facts.base.bytes:.2f} % of its base" if facts.base.bytes else ""
    base = f"`{facts.base.id}`" if facts.base.id else "a local model that is not on the Hub"
    rows = [
        ("version", f"`v{number}`"),
        ("identity", f"`{version.identity[:16]}`"),
        ("base model", f"{base} at `{facts.base.revision}`"),
        ("adapter", _kind(facts.config)),
        ("size", f"{size(facts.bytes)}{share}"),
        ("from", f"`{source(facts)}`"),
        ("validated on", _where(report)),
        *_measured_rows(measured),
    ]
    rows += [("waived", f"{w.get('code', '')}, {w.get('reason', '')}") for w in report["waivers"]]
    rows += [("note", w["message"]) for w in report["warnings"]]
    table = "\n".join(f"| {_cell(key)} | {_cell(value)} |" for key, value in rows)
    former = f"The version before is `v{facts.former}`." if facts.former else "This is the first version."
    return "\n".join(
        [
            BEGIN,
            f"# {version.adapter.split('/')[-1]} v{number}",
            "",
            *_PROVEN.get(str(report.get("level")), _PROVEN["full"]),
            "",
            "| | |",
            "|---|---|",
            table,
            "",
            *_engines(report.get("engines")),
            "```python",
            *_usage(facts, number),
            "```",
            "",
            "With transformers alone, `revision=` would be asked of the base model's repo: pass",
            f'`adapter_kwargs={{"revision": "v{number}"}}` instead.',
            "",
            *(_GOLDEN if report.get("golden") else ()),
            former,
            END,
        ]
    )


def _kind(config: AdapterConfig) -> str:
    rank = f", rank {config.rank}" if config.rank else ""
    return f"{config.peft_type}{rank}{', ' + config.task if config.task else ''}"


def _usage(facts: Facts, number: int) -> list[str]:
    auto = f"AutoModel{_CLASSES.get(facts.config.task, 'ForCausalLM')}"
    pinned = f', revision="{facts.base.revision}"' if facts.base.id and facts.base.revision != "local" else ""
    return [
        "from peft import PeftModel",
        f"from transformers import {auto}",
        "",
        f'base = {auto}.from_pretrained("{facts.base.id or "PATH_OF_THE_BASE"}"{pinned})',
        f'model = PeftModel.from_pretrained(base, "{facts.version.adapter}", revision="v{number}")',
    ]


def _measured_rows(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    loss, base = measured.get("loss_adapter"), measured.get("loss_base")
    if isinstance(loss, float) and isinstance(base, float):
        rows.append(("loss on the probe texts", f"{loss:.4f} with the adapter, {base:.4f} without (nats per token)"))
    effect = measured.get("effect")
    if isinstance(effect, float):
        rows.append(("largest weight change", f"{100 * effect:.3g} % of a module's weights"))
    return rows


def _engines(served: object) -> list[str]:
    """A row for each serving engine: whether it takes the adapter, with which flags, and why not all of it."""
    rows = [f"| {' | '.join(map(_cell, row))} |" for row in engines.summary(served)]
    return ["| serving engine | takes it | why |", "|---|---|---|", *rows, ""] if rows else []


def _cell(text: str) -> str:
    """Text that cannot end its table cell or start HTML."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def payload_paths(document: Mapping[str, Any]) -> Sequence[str]:
    """The payload's paths that a parsed manifest lists."""
    files = document.get("files")
    return sorted(str(path) for path in files) if isinstance(files, dict) else []
