"""What must have happened, and the figures of what did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import RegistryReader
from walkthrough.home import USER, Home
from walkthrough.plan import ROOTS, Broken, Plan, Training
from walkthrough.rows import Row


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so, and whether it is."""

    text: str
    passed: bool


def line_checks(plan: Plan, reader: RegistryReader, found: Sequence[Row]) -> list[Check]:
    """Everything good is published and the final on `main`; everything broken is refused, for the right reason."""
    checks = [check for training in plan.trainings for check in _published(training, reader)]
    return checks + [_refused(broken, found) for broken in plan.broken]


def _published(training: Training, reader: RegistryReader) -> list[Check]:
    adapter = f"{USER}/{training.name}"
    versions = reader.versions(adapter, Stage.PUBLISHED)
    wanted = training.versions if ROOTS[training.root] == "all" else 1
    finals = [version.number for version in versions if version.final]
    main = next((c.number for c in reader.channels(adapter) if c.channel == "main"), None)
    return [
        Check(f"{adapter}: {len(versions)} of {wanted} versions published", len(versions) == wanted),
        Check(f"{adapter}: its final save is on main, v{main}", len(finals) == 1 and finals[0] == main),
    ]


def _refused(broken: Broken, found: Sequence[Row]) -> Check:
    row = next((row for row in found if row.directory == f"{broken.root}/{broken.name}"), None)
    why = f"{row.stage}, {row.why}" if row else "not seen"
    return Check(f"{broken.name}: {why}", row is not None and row.refused and row.why == broken.code)


def base_checks(figures: Mapping[str, Any]) -> list[Check]:
    """A base model that was trained here has learnt something."""
    if "loss_before" not in figures:
        return []
    return [Check("the base model has learnt something", figures["loss_after"] < figures["loss_before"])]


def training_checks(plan: Plan, home: Home) -> list[Check]:
    """Each training made its adapter better on text that it never saw."""
    checks = []
    for training in plan.trainings:
        figures = trained(home, training)
        before, after = figures["loss_before"], figures["loss_after"]
        text = f"{training.name}: {figures['trainer']}, loss on held-out text {before:.3f} \u2192 {after:.3f}"
        checks.append(Check(text, after < before))
    return checks


def trained(home: Home, training: Training) -> Mapping[str, Any]:
    """What a training reported; nothing where it did not come so far."""
    found: Mapping[str, Any] = json.loads(home.report(training.name).read_text(encoding="utf-8"))
    return found


def figures(plan: Plan, home: Home, reader: RegistryReader) -> list[str]:
    """How long each version took from the finished directory to its tag, and how large it is."""
    base = sum(file.stat().st_size for file in plan.base.path.glob("*.safetensors"))
    told = []
    for training in plan.trainings:
        finished = trained(home, training)["finished"]
        for version in reversed(reader.versions(f"{USER}/{training.name}", Stage.PUBLISHED)):
            seconds = _seconds(reader, version, finished)
            size = reader.validations(version.id)[-1].report["measurements"]["bytes"]
            share = f", {size / base:.2%} of its base" if base else ""
            told.append(f"{version.label}: {seconds:.1f} s; {size:,} bytes{share}")
    return told


def _seconds(reader: RegistryReader, version: AdapterVersion, finished: Mapping[str, float]) -> float:
    """From the moment when the directory of the first sighting was whole to the tag."""
    seen = reader.sightings(version.id)[0]
    published = next(event.at for event in reader.events(version.id) if event.kind == Stage.PUBLISHED)
    return published - finished[seen.path.rpartition("/")[2]]
