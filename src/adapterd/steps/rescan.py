"""discover, again and again: the same answer as `discover.scan`, at the cost of what happened since the last time."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from adapterd import roots
from adapterd.config import Root
from adapterd.steps import discover
from adapterd.steps.discover import Found, Scan
from adapterd.steps.host import Host
from adapterd.steps.known import Known, News

TOGETHER = 200
"""Directories that are judged together, or a whole run where that has more: memory grows with it and stays so."""


def scan(host: Host, root: Root, known: Known, wanted: frozenset[str] = frozenset()) -> Scan:
    """Look at one root, as `discover.scan` does; `known` is what earlier scans of it remember."""
    path = Path(root.path)
    taken, was = host.registry.root_inode(str(path))
    try:
        inode = roots.inode_of(path)
    except roots.SettleError:
        inode = None
    if not taken or inode is None or inode != was:
        known.forget()
        return discover.scan(host, root, wanted)
    now = host.clock()
    news = known.look(host, root, inode, wanted, now)
    pending: list[Found] = []
    for runs in _together(news.runs):
        pending += _judge(host, root, known, news, runs, wanted, now)
    missed = _missed(host, root, news)
    known.ended()
    return Scan(discover.in_order(pending), news.known, missed=missed, unreadable=news.unreadable)


def _together(runs: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, tuple[str, ...]]]:
    """Whole runs, some at a time."""
    some: dict[str, tuple[str, ...]] = {}
    for run, members in runs.items():
        if some and sum(map(len, some.values())) + len(members) > TOGETHER:
            yield some
            some = {}
        some[run] = members
    if some:
        yield some


def _judge(
    host: Host,
    root: Root,
    known: Known,
    news: News,
    runs: Mapping[str, tuple[str, ...]],
    wanted: frozenset[str],
    now: float,
) -> list[Found]:
    """Judge some runs; those whose directories shall come to rest."""
    paths = [path for members in runs.values() for path in members]
    folders = (roots.folder_at(Path(root.path), path) for path in paths)
    walk = roots.Walk(tuple(folder for folder in folders if folder is not None), news.traces)
    before = {seen.path: seen for seen in host.registry.observations(str(root.path), paths=paths)}
    found = discover.places(root, walk, before)
    pending, written = discover.judge(host, root, found, wanted, now)
    if written:
        host.registry.observe(written)
    moving = {f.at.run for f in pending} | {seen.run for seen in written}
    # What could not be read may be readable soon, and no change time tells that.
    moving |= {f.at.run for f in found if (f.labels.notes or "").startswith(discover.BAD_LABELS)}
    listed = {f.folder.path for f in found}
    moving |= {run for run, members in runs.items() if not listed.issuperset(members)}
    for run, members in runs.items():
        if run not in moving:
            known.rest(root, run, members, (before[path] for path in members if path in before), now)
    return pending


def _missed(host: Host, root: Root, news: News) -> tuple[str, ...]:
    """The directories that went before their snapshot was taken."""
    if news.here is None:
        return ()
    waiting = host.registry.observations(str(root.path), states=discover.TAKEN_UP)
    lost = discover.gone(news.here, {seen.path: seen for seen in waiting}, news.unreadable)
    if lost:
        host.registry.observe(lost)
    return tuple(was.path for was in lost)
