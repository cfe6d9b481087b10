"""What a manifest and a card are rendered from: facts about one version, recorded before anything is written. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adapterd.core.adapter import AdapterConfig
from adapterd.core.expected import number as finite
from adapterd.core.variants import Variant, parse
from adapterd.core.version import AdapterVersion


class Losses(NamedTuple):
    """The loss of one version on the probe texts, and that of its base alone, in nats per token."""

    number: int
    adapter: float
    base: float


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
        history: the losses of the versions before, by number.
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
    history: tuple[Losses, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the payload in bytes."""
        return sum(size for _, size in self.files.values())

    @property
    def measurements(self) -> Mapping[str, Any]:
        """The report's measurements."""
        return section(self.report, "measurements")

    @property
    def terms(self) -> Mapping[str, Any]:
        """The policy under which the report was made, as it was recorded."""
        return section(self.report, "policy_terms")

    @property
    def structural(self) -> bool:
        """Whether no forward pass was made."""
        return self.report.get("level") == "structural"

    @property
    def variant(self) -> Variant:
        """How the base was quantised and spread."""
        return parse(str(self.terms.get("variant", "")))

    def losses(self, number: int) -> Losses | None:
        """The losses of this version, which has this number; None where none were measured."""
        return losses(number, self.measurements)


def losses(number: int, measurements: Mapping[str, Any]) -> Losses | None:
    """The two losses among a report's measurements; None where either was not taken."""
    adapter, base = finite(measurements, "loss_adapter"), finite(measurements, "loss_base")
    return None if adapter is None or base is None else Losses(number, adapter, base)


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within an object; empty where there is none."""
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects in what should be a list of objects."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def public(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report for other eyes: waivers without who gave them, and of each message its first line alone.

    What follows the first line is what a command on this host wrote.
    """
    waivers = [{key: w[key] for key in ("code", "reason", "at") if key in w} for w in objects(report.get("waivers"))]
    told = {
        key: [{**r, "message": str(r.get("message", "")).partition("\n")[0]} for r in objects(report.get(key))]
        for key in ("reasons", "warnings")
    }
    return {**report, "waivers": waivers, **told}


def source(facts: Facts) -> str:
    """Run and checkpoint, as a person would say it; a folder's name may hold anything, a title has one line."""
    run = " ".join(facts.version.run.replace("`", "'").split())
    return f"{run}/{facts.checkpoint}" if facts.checkpoint else f"{run} (final)"
