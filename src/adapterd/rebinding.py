"""rebind: a series follows its root to another path, with what is known of it: nothing is taken twice or lost."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from adapterd.core.errors import AdapterdError
from adapterd.log import get_logger
from adapterd.ports import Observation
from adapterd.steps.host import Host

log = get_logger(__name__)

_USAGE, _UNKNOWN = 2, 5


class RebindError(AdapterdError):
    """A series cannot follow there: `exit` is the exit code that says why not."""

    def __init__(self, message: str, hint: str, code: int) -> None:
        """Keep the exit code."""
        super().__init__(message, hint)
        self.exit = code


def rebind(host: Host, adapter: str, root: str) -> tuple[str, int]:
    """Bind a series to another configured root; the root that it had, and how many directories were carried over.

    Where the root that it had is configured no more, all that is known of it is carried over: it has moved as a whole.
    Otherwise only the directories of this series are, and those that plainly are the same ones.

    Raises RebindError: there is no such series, or no such root.
    """
    path = str(Path(root))
    bound = next((r for r in host.registry.adapters() if r.name.casefold() == adapter.casefold()), None)
    if bound is None:
        raise RebindError(f"the registry knows no {adapter}", "`adapterd list` shows what it knows", _UNKNOWN)
    if host.root(path) is None:
        raise RebindError(
            f"{path} is no configured root", "list it under `roots`, in place of the old path; then rebind", _USAGE
        )
    if bound.root == path:
        return path, 0
    moved = host.root(bound.root) is None
    there = {seen.path: seen for seen in host.registry.observations(path)}
    was = {
        seen.path: seen
        for seen in host.registry.observations(bound.root)
        if moved
        or seen.adapter.casefold() == bound.name.casefold()
        or (seen.path in there and there[seen.path].fingerprint == seen.fingerprint)
    }
    fresh = moved and all(record.root != path for record in host.registry.adapters())
    carried = [replace(seen, root=path) for seen in _carried(was, there, fresh=fresh)]
    if fresh and not host.registry.root_inode(path)[0]:
        # It was never looked at: what is not among these has come since the last look at the old path.
        host.registry.baseline(path, None, carried)
    host.registry.rebind(bound.name, path, carried)
    log.info("series_rebound", adapter=bound.name, root=path, was=bound.root, directories=len(carried))
    return bound.root, len(carried)


def _carried(was: Mapping[str, Observation], there: Mapping[str, Observation], *, fresh: bool) -> Iterator[Observation]:
    """What is to be known of the new root's directories.

    Its own baseline counts for nothing where the old root knew better; with `fresh` nothing else ever lived there, so
    that what the old root did not know is new. What was copied rather than moved looks changed: it is looked at again,
    and the same content is no second version.
    """
    for path, known in was.items():
        seen = there.get(path)
        if seen is None or (_open(seen) and seen.fingerprint == known.fingerprint):
            yield known
        elif _open(seen) and not known.state == seen.state == "baseline":
            yield _anew(replace(known, version=None))
    for path, seen in there.items():
        if path not in was and (seen.reason == "name_collision" or (fresh and seen.state == "baseline")):
            yield _anew(seen)


def _open(seen: Observation) -> bool:
    """Whether nothing was decided about a directory in the new root yet."""
    return seen.state in ("baseline", "waiting") or seen.reason == "name_collision"


def _anew(seen: Observation) -> Observation:
    """Have the next scan take a directory up as if it had changed."""
    return replace(seen, state="waiting", fingerprint="", reason="", message="", hint="")
