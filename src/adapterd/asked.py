"""What `sync` was asked for: whether a directory can become a version at all, what it waits for, what became of it.

Everything here only reads.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapterd import roots
from adapterd.config import Config
from adapterd.core import adapter as ad
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import reason
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.lanes import unfinished
from adapterd.ports import Observation, RegistryReader
from adapterd.steps import promote
from adapterd.steps.host import Host

DONE, REJECTED, STALLED, WAITING = 0, 3, 4, 75
"""The exit codes of the contract."""

JUDGED_AGAIN = ("too_large", "pickle_only")
"""The refusals that a setting may lift: such a directory is looked at again when a person asks."""


class NoDirectoryError(AdapterdError):
    """What was named is not there, or is no directory."""

    exit = 5


class OutsideError(AdapterdError):
    """What was named lies in no configured root."""

    exit = 2


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one directory: `code` is the exit code that it deserves."""

    code: int
    said: str
    hint: str = ""


def named(config: Config, directories: Sequence[Path]) -> tuple[str, ...]:
    """The absolute paths of what was asked for, each once. NoDirectoryError, OutsideError."""
    paths = tuple(dict.fromkeys(os.path.normpath(path.absolute()) for path in directories))
    for path in paths:
        if not Path(path).is_dir():
            what = "is no directory" if Path(path).exists() else "does not exist"
            raise NoDirectoryError(f"{path} {what}", "name the folder that holds adapter_config.json")
        if _place(config, path) is None:
            raise OutsideError(f"{path} lies in no configured root", "`adapterd config check` lists the roots")
    return paths


def hopeless(config: Config, reader: RegistryReader | None, path: str) -> Became | None:
    """Why there is nothing to wait for: it is no adapter directory, or was refused as it is. None where there is."""
    try:
        entries = roots.entries_of(Path(path))
    except OSError:
        return None  # settle says why, and stalls it
    nature = ad.nature(entries, pickles=config.validation.convert_pickle)
    if nature.code not in ("adapter", "half_written"):
        why = reason(nature.code, nature.message)
        return Became(REJECTED, f"refused {why.code}: {why.message}", _within(path) or why.hint)
    was = _seen(reader, _place(config, path)) if reader is not None else None
    if was is None or was.state != "refused" or was.reason in JUDGED_AGAIN:
        return None
    return _observed(was) if was.fingerprint == ad.fingerprint(entries) else None


def _within(path: str) -> str:
    """Which folder of a run to name instead, where it has a checkpoint."""
    with os.scandir(path) as listing:
        steps = [(number, e.name) for e in listing if (number := ad.checkpoint_number(e.name)) is not None]
    return f"a checkpoint lies in it: `adapterd sync {path}/{max(steps)[1]}`" if steps else ""


def left(host: Host, paths: Sequence[str]) -> list[str]:
    """What still moves by itself: of these directories, their versions and the channels that want those; else all."""
    if not paths:
        return unfinished(host)
    names, ids = [], set()
    for path in paths:
        seen = _seen(host.registry, _place(host.config, path))
        version = host.registry.version(seen.version) if seen is not None and seen.version else None
        if seen is not None and seen.state == "waiting":
            names.append(path)
        elif version is not None:
            ids.add(version.id)
            names += [version.label] if version.stage in LIVE and not version.stalled else []
    return names + [f"{r.adapter}@{r.channel}" for r, wanted in promote.due(host, all_=True) if wanted.id in ids]


def became(host: Host, path: str) -> Became:
    """What became of a directory that was asked for."""
    seen = _seen(host.registry, _place(host.config, path))
    if seen is None:
        said = "stalled: it was not found below its root"
        return Became(
            STALLED, said, "it is hidden, or lies deeper than the root's `depth`; see `adapterd config check`"
        )
    version = host.registry.version(seen.version) if seen.version else None
    if version is None or seen.state != "settled":
        return _observed(seen)
    return _version(host, version)


def _observed(seen: Observation) -> Became:
    """As an observation has it; the reason of what waits for nothing is its state."""
    codes = {"refused": REJECTED, "source_gone": REJECTED, "waiting": WAITING, "stalled": STALLED}
    why = f" {seen.reason}: {seen.message}" if seen.reason and seen.message else ""
    return Became(codes.get(seen.state, DONE), f"{seen.state}{why}", "" if seen.state == "waiting" else seen.hint)


def _version(host: Host, version: AdapterVersion) -> Became:
    why = f"{version.reason}: {version.message} ({version.label})"
    if version.stalled:
        return Became(STALLED, f"stalled {why}", version.hint)
    if version.stage is Stage.REJECTED:
        return Became(REJECTED, f"rejected {why}", version.hint)
    if version.stage in LIVE:
        return Became(WAITING, f"waiting {why if version.reason else f'to be worked ({version.label})'}")
    said = f"{version.stage} {version.label}"
    for record, wanted in promote.stalled(host):
        if wanted.id == version.id:
            return Became(
                STALLED, f"{said}; channel {record.channel} stalled {record.reason}: {record.message}", record.hint
            )
    waits = any(wanted.id == version.id for _, wanted in promote.due(host, all_=True))
    return Became(WAITING, f"{said}; its channel has not moved yet") if waits else Became(DONE, said)


def _place(config: Config, path: str) -> tuple[str, str] | None:
    """The root that a path lies in, and the path relative to it; of nested roots the innermost."""
    inside = [str(root.path) for root in config.roots if Path(path).is_relative_to(root.path)]
    root = max(inside, key=len, default=None)
    return None if root is None else (root, str(Path(path).relative_to(root)))


def _seen(reader: RegistryReader, place: tuple[str, str] | None) -> Observation | None:
    return None if place is None else reader.observation(*place)


@dataclass(frozen=True, slots=True)
class Before:
    """How everything stood when the asking began, to tell what moved since."""

    observed: Mapping[tuple[str, str], tuple[str, str, str]]
    versions: Mapping[int, float]


def before(reader: RegistryReader | None) -> Before:
    """How everything stands now; nothing is known where there is no registry yet."""
    if reader is None:
        return Before({}, {})
    observed = {(o.root, o.path): (o.state, o.reason, o.fingerprint) for o in reader.observations()}
    return Before(observed, {v.id: v.updated_at for v in reader.versions()})


def summary(host: Host, was: Before, waiting: int) -> Became:
    """What moved since `was`, counted, and how much is still on its way."""
    seen = [o for o in host.registry.observations() if _moved(was, o)]
    ids = {o.version for o in seen if o.version and o.state == "settled"}
    versions = [v for v in host.registry.versions() if v.id in ids or was.versions.get(v.id) != v.updated_at]
    done = {
        "published": sum(v.stage is Stage.PUBLISHED for v in versions),
        "superseded": sum(v.stage is Stage.SUPERSEDED for v in versions),
        "rejected": sum(v.stage is Stage.REJECTED for v in versions),
        "refused": sum(o.state == "refused" for o in seen),
        "stalled": sum(v.stalled for v in versions) + sum(o.state == "stalled" for o in seen),
        "waiting": waiting,
    }
    code = REJECTED if done["rejected"] or done["refused"] else DONE
    code = STALLED if done["stalled"] else code
    said = ", ".join(f"{count} {what}" for what, count in done.items() if count) or "nothing moved"
    hint = "`adapterd status` says what waits for a person" if code == STALLED else ""
    return Became(WAITING if waiting else code, said, hint)


def _moved(was: Before, seen: Observation) -> bool:
    return was.observed.get((seen.root, seen.path)) != (seen.state, seen.reason, seen.fingerprint)
