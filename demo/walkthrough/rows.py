"""One row for each adapter directory that the daemon has seen: where its content stands on the line, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import Observation, RegistryReader
from walkthrough.plan import ROOTS

ENDS = (Stage.PUBLISHED, Stage.REJECTED, Stage.SUPERSEDED)
"""The stages in which a version moves no more."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of one adapter directory.

    Attributes:
        directory: relative to its root, whose name stands first.
        stage: of its version, or the state of the observation where there is none.
        why: the code of a reason, or what else is worth a word.
        message: the reason in full.
        before: loss on the probe texts without the adapter.
        after: the same with it.
        ended: whether it moves no more.
    """

    directory: str
    adapter: str
    stage: str
    tag: str = ""
    why: str = ""
    message: str = ""
    hint: str = ""
    before: float | None = None
    after: float | None = None
    ended: bool = False

    @property
    def refused(self) -> bool:
        """Whether the probes, or settle, said no."""
        return self.stage in ("rejected", "refused")


def rows(reader: RegistryReader) -> list[Row]:
    """Every adapter directory: run by run, in the order in which they were first seen."""
    versions = {version.id: version for version in reader.versions()}
    channels = {(c.adapter, c.number or 0): c.channel for c in reader.channels()}
    observations = reader.observations()
    began: dict[tuple[str, str], float] = {}
    for o in observations:
        began[o.root, o.run] = min(o.first_seen, began.get((o.root, o.run), o.first_seen))
    seen = sorted(observations, key=lambda o: (began[o.root, o.run], o.run, o.checkpoint is None, o.checkpoint or 0))
    first: dict[int, str] = {}
    found = []
    for observation in seen:
        version = versions.get(observation.version or 0)
        if version is None:
            found.append(_unsettled(observation))
            continue
        earlier = first.setdefault(version.id, Path(observation.path).name)
        twin = earlier if earlier != Path(observation.path).name else ""
        channel = channels.get((version.adapter, version.number or -1), "")
        found.append(_settled(observation, version, _measured(reader, version), _note(observation, twin, channel)))
    return found


def _unsettled(observation: Observation) -> Row:
    return Row(
        directory=_directory(observation),
        adapter=observation.adapter.rpartition("/")[2],
        stage=observation.state,
        why=_unwanted(observation) if observation.state == "unwanted" else observation.reason,
        message=observation.message,
        hint=observation.hint,
        ended=observation.state != "waiting",
    )


def _unwanted(observation: Observation) -> str:
    """The setting of the root that leaves a directory out, or the code of another reason."""
    setting = ROOTS.get(Path(observation.root).name)
    return f"checkpoints: {setting}" if observation.reason == "unwanted" and setting else observation.reason


def _settled(observation: Observation, version: AdapterVersion, measured: Mapping[str, Any], note: str) -> Row:
    return Row(
        directory=_directory(observation),
        adapter=version.adapter.rpartition("/")[2],
        stage="stalled" if version.stalled else str(version.stage),
        tag=version.tag,
        why=version.reason or (note if version.stage is Stage.PUBLISHED else ""),
        message=version.message,
        hint=version.hint,
        before=measured.get("loss_base"),
        after=measured.get("loss_adapter"),
        ended=version.stalled or version.stage in ENDS,
    )


def _note(observation: Observation, twin: str, channel: str) -> str:
    """What is worth a word about a published version: its channel, its twin, a source that is gone."""
    if channel:
        return f"on {channel}" + (f", = {twin}" if twin else "")
    if twin:
        return f"= {twin}"
    return "" if (Path(observation.root) / observation.path).is_dir() else "rotated away"


def _directory(observation: Observation) -> str:
    root = Path(observation.root).name
    return root if observation.path == "." else f"{root}/{observation.path}"


def _measured(reader: RegistryReader, version: AdapterVersion) -> Mapping[str, Any]:
    reports = reader.validations(version.id)
    measured: Mapping[str, Any] = reports[-1].report.get("measurements", {}) if reports else {}
    return measured
