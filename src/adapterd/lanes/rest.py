"""What still moves by itself, over all lanes."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from adapterd.ports import Observation
from adapterd.reconcile import LINE
from adapterd.steps import promote
from adapterd.steps.host import Host

NOTHING: Mapping[str, Observation] = MappingProxyType({})


def coming(host: Host) -> dict[str, Observation]:
    """The directories that may still come to rest, by absolute path: not those of a root that is not there."""
    there = {str(root.path) for root in host.config.roots if Path(root.path).is_dir()}
    waiting = (o for o in host.registry.observations(states=("waiting",)) if o.root in there)
    return {str(Path(o.root) / o.path): o for o in waiting}


def unfinished(host: Host, untouched: Mapping[str, Observation] = NOTHING) -> list[str]:
    """What still moves by itself: versions on the line that are not stalled, directories that come to rest.

    The `untouched` directories do not count while they are as they were then.
    """
    names = [v.label for arrow in LINE for v in host.registry.versions(stage=arrow.stage) if not v.stalled]
    was = {path: seen.fingerprint for path, seen in untouched.items()}
    names += [path for path, seen in coming(host).items() if was.get(path) != seen.fingerprint]
    names += [f"{record.adapter}@{record.channel}" for record, _ in promote.due(host, all_=True)]
    return names
