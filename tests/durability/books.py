"""Hold what lies on the Hub against what writers wrote: lost, duplicated, wrong."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.naming import version_numbers
from adapterd.ports import Hub, NotFound

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Books:
    """What an audit found; each text names one case."""

    versions: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, duplicated or wrong."""
        return not (self.lost or self.duplicated or self.wrong)


def audit(hub: Hub, adapters: Iterable[str], wanted: Mapping[str, str], known: Collection[str] = ()) -> Books:
    """Read every version of some repos whole, and every byte of it.

    Args:
        hub: as a deployer has it.
        adapters: the repos.
        wanted: sha256 of the weights that must lie there once, each with a name for people.
        known: sha256 of further weights that may lie there: whole, and not asked for.
    """
    held: Counter[str] = Counter()
    wrong: list[str] = []
    count = 0
    for adapter in adapters:
        try:
            refs = hub.refs(adapter)
        except NotFound:
            continue
        tags = version_numbers(refs.tags)
        wrong += _commits_without_tag(hub, adapter, set(tags.values()))
        for number, commit in sorted(tags.items()):
            count += 1
            weights, fault = _version(hub, adapter, number, commit)
            held[weights] += 1
            if fault or weights not in {*wanted, *known}:
                wrong.append(f"{adapter}@v{number}: {fault or 'nobody wrote these weights'}")
    lost = tuple(name for digest, name in wanted.items() if digest not in held)
    twice = tuple(f"{wanted.get(digest, digest[:12])} {n} times" for digest, n in held.items() if n > 1)
    return Books(count, lost, twice, tuple(wrong))


def _commits_without_tag(hub: Hub, adapter: str, tagged: Collection[str]) -> list[str]:
    """Version commits that no tag names: work that was done and then forgotten."""
    log = hub.log(adapter, pub.BRANCH)
    return [
        f"{adapter}: commit {c.id[:12]} has no tag" for c in log if messages.trailers(c.message) and c.id not in tagged
    ]


def _version(hub: Hub, adapter: str, number: int, commit: str) -> tuple[str, str]:
    """The sha256 of a version's weights, and what is wrong with it."""
    manifest = json.loads(hub.read(adapter, commit, pub.MANIFEST))
    there = hub.tree(adapter, commit)
    listed = manifest["files"]
    weights = ""
    for path in sorted(set(there) - pub.OWN_FILES):
        digest = hashlib.sha256(hub.read(adapter, commit, path)).hexdigest()
        weights = digest if path == WEIGHTS else weights
        if path not in listed or listed[path]["sha256"] != digest:
            return weights, f"{path} is not what its manifest lists"
    if missing := set(listed) - set(there):
        return weights, f"{min(missing)} is missing"
    return weights, "" if manifest["number"] == number else f"its manifest says v{manifest['number']}"
