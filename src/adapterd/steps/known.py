"""What a scan remembers of one root, so that the next one judges only the runs of which there is news.

A run has news when something in its folders may have changed (`remembered.Tree`), when an observation of it was
written by whomever, when a person asks for one of its directories, when time made it unfinished, or when it did not
rest at its last scan: then something of it was on its way, or was written down. Everything is news to the first scan,
after a change of what the judgement rests on, and after a scan that came to no end.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from adapterd import mounts
from adapterd.config import Root
from adapterd.core import naming
from adapterd.ports import Observation
from adapterd.remembered import Tree
from adapterd.steps.host import Host


@dataclass(frozen=True, slots=True)
class _Rest:
    """A run that came to rest: its directories, and from when until when it stays so if nothing happens."""

    members: tuple[str, ...]
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class News:
    """What one look came to.

    Attributes:
        runs: those with news, each with the paths of all of its directories.
        traces: every folder that shows the traces of a training run.
        here: the path of every directory, where it must be seen whether one of them went; None where none can have.
        known: how many directories there are.
    """

    runs: Mapping[str, tuple[str, ...]]
    traces: frozenset[str]
    here: Collection[str] | None
    known: int
    unreadable: tuple[str, ...]


@dataclass(slots=True)
class Known:
    """What is remembered of one root; lost at a restart. `moment` as in `remembered.Tree`."""

    moment: Callable[[], int] = time.time_ns
    _terms: object = None
    _tree: Tree | None = None
    _runs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _traces: frozenset[str] = frozenset()
    _rests: dict[str, _Rest] = field(default_factory=dict)
    _mark: int = -1
    _next: object = None

    def forget(self) -> None:
        """Let everything be news to the next scan."""
        self._terms = self._next = self._tree = None
        self._runs, self._traces, self._rests, self._mark = {}, frozenset(), {}, -1

    def look(self, host: Host, root: Root, inode: tuple[int, int], wanted: Iterable[str], now: float) -> News:
        """Look at everything below a root once. Unless `ended` is called after it, the next look begins anew."""
        path, rules = str(root.path), host.config.validation
        keeping = root.network is not True and mounts.keeps_change_times(root.path)
        terms = (root, rules.convert_pickle, inode, keeping)
        if self._tree is None or self._terms != terms:
            self.forget()
            self._tree = Tree(path, root.depth, keeping=keeping, moment=self.moment)
        self._terms, self._next = None, terms
        self._mark, touched = host.registry.observed_since(self._mark)
        seen = self._tree.look()
        if seen.reshaped:
            self._regroup(self._tree)
        written = None if touched is None else {at for of, at in touched if of == path}
        asked = {_below(path, directory) for directory in wanted}
        fresh = {name for at in {*seen.changed, *asked, *(written or ())} for name in (at, self._run(at))}
        runs = {
            run: members
            for run, members in self._runs.items()
            if written is None or run in fresh or not _holds(self._rests.get(run), members, now)
        }
        for run in [*runs, *(self._rests.keys() - self._runs.keys())]:
            self._rests.pop(run, None)
        missing = seen.reshaped or written is None or bool(written)
        here = {at for members in self._runs.values() for at in members} if missing else None
        return News(runs, self._traces, here, sum(map(len, self._runs.values())), seen.unreadable)

    def rest(self, root: Root, run: str, members: tuple[str, ...], seen: Iterable[Observation], now: float) -> None:
        """Remember a run in which nothing is on its way, by what is written of its directories."""
        since, until = -math.inf, math.inf
        if root.checkpoints != "all":
            for was in (was for was in seen if was.checkpoint is not None):
                over = was.changed_at + root.unfinished_after
                # As the judgement has it, which rounds otherwise.
                if now - was.changed_at >= root.unfinished_after:
                    since = max(since, over)
                else:
                    until = min(until, over)
        self._rests[run] = _Rest(members, since, until)

    def ended(self) -> None:
        """The scan came to its end: what was news to it is none to the next."""
        self._terms = self._next

    def _run(self, path: str) -> str:
        return naming.place(path, self._traces.__contains__).run

    def _regroup(self, tree: Tree) -> None:
        """Name the run of every directory again."""
        folders = list(tree.folders())
        self._traces = frozenset(path for path, _, run in folders if run)
        runs: dict[str, list[str]] = {}
        for path in sorted(path for path, part, _ in folders if part):
            runs.setdefault(self._run(path), []).append(path)
        self._runs = {run: tuple(members) for run, members in runs.items()}


def _holds(rest: _Rest | None, members: tuple[str, ...], now: float) -> bool:
    """Whether a run still rests."""
    return rest is not None and rest.since <= now < rest.until and rest.members == members


def _below(root: str, directory: str) -> str:
    """The path relative to the root; any other path is no directory of it."""
    return "." if directory == root else directory.removeprefix(f"{root}/")
