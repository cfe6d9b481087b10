"""Model card, manifest and commit message: pure functions of recorded facts, with no clock inside.

The card is a managed block, which `core.readme` puts into whatever a person wrote, and front matter.
"""

from typing import Any

from adapterd.core import caveats, engines, loading
from adapterd.core import manifest as _manifest
from adapterd.core.facts import BaseFacts, Facts, Losses, public, source
from adapterd.core.manifest import SCHEMA, payload_paths
from adapterd.core.markdown import code, plain, rows
from adapterd.core.messages import Trailers, with_trailers
from adapterd.core.picture import picture, words
from adapterd.core.publication import MANIFEST, PICTURE
from adapterd.core.readme import BEGIN, END
from adapterd.core.words import size

__all__ = [
    "SCHEMA",
    "BaseFacts",
    "Facts",
    "Losses",
    "block",
    "commit_message",
    "manifest",
    "metadata",
    "payload_paths",
    "picture",
    "public",
    "source",
]

_PIPELINES = {
    "CAUSAL_LM": "text-generation",
    "SEQ_CLS": "text-classification",
    "FEATURE_EXTRACTION": "feature-extraction",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
}
_LOCAL = "a local model that is not on the Hub"
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


def manifest(facts: Facts, number: int) -> bytes:
    """Render ``adapterd.json``, schema 1."""
    return _manifest.render(facts, number, block(facts, number), picture(facts, number))


def commit_message(facts: Facts, number: int) -> str:
    """Title, where it came from, and the trailers by which a publisher knows its own commits."""
    version = facts.version
    title = f"v{number}: {version.adapter.split('/')[-1]} from {source(facts)}"
    said = Trailers(version.identity, number, facts.publisher)
    return with_trailers(title, f"Base model: {facts.base.id or 'local'} at {facts.base.revision}", said)


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
    lines = [
        BEGIN,
        f"# {version.adapter.split('/')[-1]} v{number}",
        "",
        *_PROVEN.get(str(report.get("level")), _PROVEN["full"]),
        "",
        *rows(_table(facts, number), ("", "")),
        "",
        *_engines(report.get("engines")),
        *_picture(facts, number),
        f"## Load v{number}, and no other",
        "",
        *loading.ways(facts, number),
        *_golden(facts, number),
        *_listed("Not exercised", caveats.unproved(facts)),
        *_listed("Look out for", caveats.warned(facts, number)),
        _links(facts, number),
        END,
    ]
    return "\n".join(lines)


def _table(facts: Facts, number: int) -> list[tuple[str, ...]]:
    report = public(facts.report)
    share = f", {100 * facts.bytes / facts.base.bytes:.2f} % of its base" if facts.base.bytes else ""
    base = f"{code(facts.base.id)} at {code(facts.base.revision)}" if facts.base.id else _LOCAL
    pairs = [
        ("version", code(f"v{number}")),
        ("identity", code(facts.version.identity[:16])),
        ("base model", base),
        ("adapter", plain(_kind(facts))),
        ("size", f"{size(facts.bytes)}{share}"),
        ("from", code(source(facts))),
        ("validated on", plain(_where(facts))),
        *caveats.measured(facts.measurements),
        *_rights(facts),
    ]
    pairs += [("waived", plain(f"{w.get('code', '')}, {w.get('reason', '')}")) for w in report["waivers"]]
    return [*pairs, *(("note", plain(w["message"])) for w in report["warnings"])]


def _kind(facts: Facts) -> str:
    config = facts.config
    rank = f", rank {config.rank}" if config.rank else ""
    return f"{config.peft_type}{rank}{', ' + config.task if config.task else ''}"


def _where(facts: Facts) -> str:
    """Device, type and variant of the base, as a person would say them."""
    if facts.structural:
        return "no device; names and shapes alone"
    variant, report = facts.variant, facts.report
    spread = f"spread over devices ({variant.device_map})" if variant.device_map else ""
    quantised = f"base quantised to {variant.quantization}" if variant.quantization else ""
    said = (report.get("device", ""), report.get("dtype", ""), quantised, spread)
    return ", ".join(str(each) for each in said if each)


def _rights(facts: Facts) -> list[tuple[str, str]]:
    """Licence and datasets, where somebody said them."""
    own, datasets = facts.labels.get("license"), facts.labels.get("datasets")
    found = [("licence", plain(own))] if own else []
    if facts.base.license and facts.base.license != own:
        found.append(("licence of the base", plain(facts.base.license)))
    names = [datasets] if isinstance(datasets, str) else datasets if isinstance(datasets, list | tuple) else []
    return [*found, ("datasets", ", ".join(map(plain, names)))] if names else found


def _engines(served: object) -> list[str]:
    """A row for each serving engine: whether it takes the adapter, with which flags, and why not all of it."""
    told: list[tuple[str, ...]] = [tuple(map(plain, row)) for row in engines.summary(served)]
    return [*rows(told, ("serving engine", "takes it", "why")), ""] if told else []


def _picture(facts: Facts, number: int) -> list[str]:
    """The picture, as it lies in this version's commit: a channel shows it too, and holds no copy."""
    own = facts.losses(number)
    if not picture(facts, number):
        return []
    text = (
        f"Loss on the probe texts over the versions. {words([own])}"
        if own
        else "Loss on the probe texts over the versions"
    )
    return [f"![{plain(text)}]({_path(facts, 'resolve', number)}/{PICTURE})", ""]


def _golden(facts: Facts, number: int) -> list[str]:
    """How to see that it does the same elsewhere."""
    if not facts.report.get("golden"):
        return []
    name = f"{facts.version.adapter}@v{number}"
    asked = [name_ for name_ in ("vllm", "sglang") if engines.serves(facts.report.get("engines"), name_)]
    return [
        "## See that it does the same where you load it",
        "",
        "Pull it, then `adapterd validate --golden DIR`.",
        *([f"An engine that serves it is asked by `adapterd verify --engine URL {name}`."] if asked else []),
        "The answer is `adapter`, `base` or `inconclusive`, by the outputs on public texts that `adapterd.json` holds.",
        "",
    ]


def _listed(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {line}" for line in lines), ""] if lines else []


def _links(facts: Facts, number: int) -> str:
    """The way to the manifest of this version and to the version before, on whatever host the repo lies."""
    own = f"All of this, for machines: [{MANIFEST}]({_path(facts, 'blob', number)}/{MANIFEST})."
    if not facts.former:
        return f"{own} This is the first version."
    return f"{own} The version before is [`v{facts.former}`]({_path(facts, 'tree', facts.former)})."


def _path(facts: Facts, kind: str, number: int) -> str:
    return f"/{facts.version.adapter}/{kind}/v{number}"
