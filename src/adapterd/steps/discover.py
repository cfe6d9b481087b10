"""discover: every adapter directory has an observation, and those that shall come to rest are named.

It only looks. An observation overwrites its own row; running it twice changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapterd import roots
from adapterd.bases import hub_id
from adapterd.config import Labels, LabelsError, Root, read_labels
from adapterd.core import adapter as ad
from adapterd.core import naming
from adapterd.core.naming import Place
from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.version import Reason
from adapterd.ports import Observation
from adapterd.steps.host import Host

RESTING = ("baseline", "settled", "refused")
"""States in which nothing happens to a directory until its fingerprint changes."""

TAKEN_UP = ("waiting", "stalled")
"""States of a directory whose snapshot is still to be taken."""

STALLED_CONVERSION = "conversion_stalled"
"""The reason of a directory whose conversion came to no answer, again and again."""

NOT_MOUNTED = "mount it again; nothing is lost meanwhile, and what comes with it is new"

LABELS_LIMIT = 64 * 1024

BAD_LABELS = "\0bad labels: "
"""Marks labels that could not be read; no text of a YAML file holds a zero byte."""


@dataclass(frozen=True, slots=True)
class Found:
    """One adapter directory as this scan saw it."""

    root: Root
    folder: roots.Folder
    at: Place
    labels: Labels
    before: Observation | None
    unfinished: Reason | None = None
    """Why it is its run's last word, where the run ended without a final save."""

    @property
    def directory(self) -> Path:
        """Its absolute path."""
        return Path(self.root.path) / self.folder.path

    @property
    def fingerprint(self) -> str:
        """Of its payload files."""
        return ad.fingerprint(self.folder.entries)

    @property
    def unchanged(self) -> bool:
        """Whether it was seen before, as it is."""
        return self.before is not None and self.before.fingerprint == self.fingerprint

    def signals(self) -> str:
        """The state file and marker that are there now, as an observation keeps them."""
        return " ".join(sorted(roots.signals_of(self.directory, checkpoint=not self.at.final)))


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan of a root came to: the directories to settle, in the order in which they shall be taken."""

    pending: tuple[Found, ...]
    known: int
    problem: Reason | None = None
    missed: tuple[str, ...] = ()
    """Paths of directories that went before their snapshot was taken."""
    unreadable: tuple[str, ...] = ()
    """Paths of folders that cannot be listed: whose adapters, if there are any, are not seen."""


def scan(host: Host, root: Root, wanted: frozenset[str] = frozenset()) -> Scan:
    """Look at one root.

    Args:
        host: the effects.
        root: to look at; absent or unreadable is a problem in the answer, not an error.
        wanted: absolute paths of directories that a person asked for; no filter and no baseline holds those.
    """
    path = Path(root.path)
    taken, was = host.registry.root_inode(str(path))
    try:
        inode = roots.inode_of(path)
    except roots.SettleError as error:
        return Scan((), 0, reason(error.code, error.message))
    if inode is None:
        # After a rebuild a root that is away for now may hold what was published long ago.
        if not taken and not host.registry.awaits_baseline(str(path)):
            host.registry.baseline(str(path), None, ())
        return Scan((), 0, reason("root_missing", f"root {path} does not exist"))
    walk = roots.walk(path, root.depth)
    before = {seen.path: seen for seen in host.registry.observations(str(path))}
    found = places(root, walk, before)
    if _not_mounted(was, inode, found, before):
        # What is written here all the same is new, and so is what comes when the other is back.
        host.registry.know_directory(str(path), inode)
        message = f"root {path} is empty and lies on another device than it did: nothing seems to be mounted there"
        return Scan((), 0, reason("root_missing", message, NOT_MOUNTED))
    known = was in (None, inode) or host.registry.knows_directory(str(path), inode)
    if not taken or (was is not None and not known and _replaced(was, inode, found)):
        before = _take_baseline(host, root, inode, found, before)
        found = [replace(f, before=before.get(f.folder.path)) for f in found]
    elif was != inode:
        host.registry.set_root_inode(str(path), inode)
    return replace(_sort_out(host, root, found, before, wanted, walk.unreadable), unreadable=walk.unreadable)


def places(root: Root, walk: roots.Walk, before: Mapping[str, Observation]) -> list[Found]:
    """Name run and checkpoint of every folder, and read each run's labels once."""
    labels: dict[str, Labels] = {}
    found = []
    for folder in walk.folders:
        at = naming.place(folder.path, walk.runs.__contains__)
        if at.run not in labels:
            labels[at.run] = _labels(Path(root.path), at.run)
        found.append(Found(root, folder, at, labels[at.run], before.get(folder.path)))
    return found


def _labels(root: Path, run: str) -> Labels:
    """A run's labels; what stands in a file that cannot be read may be `publish: no`, so that it stalls."""
    try:
        data = roots.read_small(root / run, ad.LABELS, LABELS_LIMIT)
        if data:
            return read_labels(data, f"{run}/{ad.LABELS}")
        fault = f"{run}/{ad.LABELS} is empty, as while somebody writes it; try: write it, or remove it"
    except roots.SettleError as error:
        fault = "" if error.code == "source_gone" else f"{run}/{ad.LABELS}: {error.message}"
    except LabelsError as error:
        fault = _on_one_line(error)
    except (OSError, ValueError) as error:
        fault = f"{run}/{ad.LABELS}: {error}"
    return Labels(notes=f"{BAD_LABELS}{fault}"[:1000]) if fault else Labels()


def _on_one_line(error: LabelsError) -> str:
    """What is wrong with the labels, each problem with what helps: the reason's own hint knows no keys."""
    return f"{error.message}\nTry: {error.hint}".replace("\nTry: ", "; try: ").replace("\n", "; ")


def _not_mounted(
    was: tuple[int, int] | None,
    inode: tuple[int, int],
    found: Sequence[Found],
    before: Mapping[str, Observation],
) -> bool:
    """Whether the root is the empty directory on which something else used to be mounted."""
    return was is not None and was[0] != inode[0] and not found and bool(before)


def _replaced(was: tuple[int, int], inode: tuple[int, int], found: Sequence[Found]) -> bool:
    """Whether another directory stands at the root's path now, which then gets a baseline of its own.

    Asked only of a directory that the root never was. Device numbers change over reboots and remounts: a root in which
    anything is as it was seen is the same root, and so is an inode of which nothing was seen yet.
    """
    known = [f for f in found if f.before is not None]
    if any(f.before is not None and f.before.fingerprint == f.fingerprint for f in known):
        return False
    return bool(known) or was[1] != inode[1]


def _take_baseline(
    host: Host,
    root: Root,
    inode: tuple[int, int],
    found: Sequence[Found],
    before: Mapping[str, Observation],
) -> dict[str, Observation]:
    """Write down what was here before adapterd looked, in one transaction; `backlog` says what of it still goes on."""
    afresh = host.registry.awaits_baseline(str(root.path))
    goes_on = _backlog(host, root, found) if not afresh else frozenset()
    now = host.clock()
    seen = {
        f.folder.path: Observation(
            root=str(root.path),
            path=f.folder.path,
            state="waiting" if f.folder.path in goes_on else "baseline",
            fingerprint=f.fingerprint,
            run=f.at.run,
            checkpoint=f.at.checkpoint,
            first_seen=now,
            changed_at=now,
            # What goes on as it lies may still be vouched for by these; what changes later may not.
            signal="" if f.folder.path in goes_on else f.signals(),
        )
        for f in found
        if f.folder.path not in before or before[f.folder.path].fingerprint != f.fingerprint
    }
    host.registry.baseline(str(root.path), inode, list(seen.values()))
    return {**before, **seen}


def _backlog(host: Host, root: Root, found: Sequence[Found]) -> frozenset[str]:
    """The paths that are published although they were there before: all, or each adapter's latest that is wanted."""
    if root.backlog == "all":
        return frozenset(f.folder.path for f in found)
    if root.backlog == "latest":
        now, last = host.clock(), _newest(found)
        newest: dict[str, Found] = {}
        for f in (f for f in found if _held_back(root, f, last, now) is None):
            adapter = _adapter(host, f)
            newest[adapter] = max(newest.get(adapter, f), f, key=_mtime)
        return frozenset(f.folder.path for f in newest.values())
    return frozenset()


def _adapter(host: Host, found: Found) -> str:
    """The adapter that a directory would become; its own path where nothing can be said yet."""
    data = roots.read_if_there(found.directory, ad.CONFIG, ad.MAX_CONFIG_BYTES)
    try:
        return name_of(host, found, ad.parse_config(data or b"").base)
    except (ad.BadConfigError, naming.NameRefusedError):
        return f"/{found.folder.path}"


def name_of(host: Host, found: Found, written: str) -> str:
    """The adapter that a directory belongs to: what it was first called, its label, or the rendered template.

    `written` is what its config names as base model. Raises naming.NameRefusedError with the code of the reason.
    """
    if found.before is not None and found.before.adapter:
        return found.before.adapter
    if found.labels.adapter:
        name = naming.checked_name(found.labels.adapter)
    else:
        template = found.root.named if found.at.name else found.root.adapter
        base = hub_id(written, host.config, found.root) or written
        name = naming.adapter_name(template, found.at, str(found.root.path), base, host.user)
    return f"{host.config.hub.namespace}/{name}"


def _newest(found: Sequence[Found]) -> frozenset[str]:
    """The last checkpoint of each run."""
    return frozenset(naming.newest_checkpoints([(f.folder.path, f.at) for f in found]).values())


def _mtime(found: Found) -> int:
    return max((e.mtime_ns for e in ad.sources(found.folder.entries)), default=0)


def _sort_out(
    host: Host,
    root: Root,
    found: Sequence[Found],
    before: Mapping[str, Observation],
    wanted: frozenset[str],
    unreadable: Sequence[str],
) -> Scan:
    pending, written = judge(host, root, found, wanted, host.clock())
    lost = gone({f.folder.path for f in found}, before, unreadable)
    host.registry.observe([*written, *lost])
    return Scan(in_order(pending), len(found), missed=tuple(was.path for was in lost))


def in_order(pending: Sequence[Found]) -> tuple[Found, ...]:
    """By run and step, the final last: what one scan finds together is taken in by step."""
    return tuple(sorted(pending, key=lambda f: (f.at.run, f.at.name, f.at.checkpoint is None, f.at.checkpoint or 0)))


def judge(
    host: Host, root: Root, found: Sequence[Found], wanted: frozenset[str], now: float
) -> tuple[list[Found], list[Observation]]:
    """Which directories of whole runs shall come to rest, and what is to be written down of them and of the others."""
    last = _newest(found)
    finals = {(f.at.run, f.at.name) for f in found if f.at.final}
    pending: list[Found] = []
    written: list[Observation] = []
    for f in found:
        asked, was = str(f.directory) in wanted, f.before
        if was is not None and f.unchanged and not asked and _rests(host, was):
            continue
        seen = _observed(f, now)
        over = (f.at.run, f.at.name) in finals
        held_back = _held_back(root, f, last, now, over=over)
        if held_back and held_back.code == "unfinished" and (asked or root.unfinished == "candidate"):
            pending.append(replace(f, unfinished=held_back))
        elif held_back and not (asked and _state(held_back) != "stalled"):
            seen = replace(seen, state=_state(held_back), reason=held_back.code, message=held_back.message)
            seen = replace(seen, hint=held_back.hint)
        else:
            pending.append(f)
        if was is None or replace(was, message="") != replace(seen, message=""):
            written.append(seen)
    return pending, written


def _state(why: Reason) -> str:
    """The state of a directory that is held back."""
    if BY_CODE[why.code].severity is Severity.STALL:
        return "stalled"
    return "unfinished" if why.code == "unfinished" else "unwanted"


def _rests(host: Host, was: Observation) -> bool:
    """Whether an unchanged directory needs no further look.

    What a setting or a label holds back is judged again at each scan. A secret can only go by a change of the files,
    and to find it costs a copy; a conversion that hangs would hold up all others each time.
    """
    if was.reason == "pickle_only" and host.config.validation.convert_pickle:
        return False
    return (was.state in RESTING and was.reason != "too_large") or was.reason in ("leaks_secret", STALLED_CONVERSION)


def _observed(f: Found, now: float) -> Observation:
    """The row of a directory that is on its way; what is known of it already stays."""
    was = f.before
    fresh = Observation(
        root=str(f.root.path),
        path=f.folder.path,
        state="waiting",
        fingerprint=f.fingerprint,
        run=f.at.run,
        checkpoint=f.at.checkpoint,
        first_seen=was.first_seen if was else now,
        changed_at=was.changed_at if was and f.unchanged else now,
        adapter=was.adapter if was else "",
        signal=f.signals(),
    )
    if was is not None and f.unchanged and was.state in ("waiting", "stalled", "refused"):
        return replace(fresh, state=was.state, reason=was.reason, message=was.message, hint=was.hint)
    return fresh


def _held_back(root: Root, f: Found, newest: frozenset[str], now: float, *, over: bool = True) -> Reason | None:
    """Why a directory stays an observation, by labels or by the root's `checkpoints`.

    Args:
        root: whose settings count.
        f: the directory.
        newest: the last checkpoint of each run.
        now: seconds since the epoch.
        over: whether its run has a final save.
    """
    notes = f.labels.notes or ""
    if notes.startswith(BAD_LABELS):
        return reason("bad_labels", notes.removeprefix(BAD_LABELS))
    if not f.labels.publish:
        return reason("unwanted_by_label", f"{f.at.run}/{ad.LABELS} says `publish: no`")
    if f.at.checkpoint is None or root.checkpoints == "all":
        return None
    last = f.folder.path in newest
    if root.checkpoints == "latest" and last:
        return None
    quiet = now - f.before.changed_at if f.before is not None and f.unchanged else 0.0
    if last and not over and quiet >= root.unfinished_after:
        return reason("unfinished", f"run {f.at.run} has been quiet for {quiet / 60:.0f} minutes without a final save")
    return reason("unwanted", f"the root's `checkpoints: {root.checkpoints}` leaves out {f.folder.path}")


def gone(here: Collection[str], before: Mapping[str, Observation], unreadable: Sequence[str] = ()) -> list[Observation]:
    """A directory that vanished before its snapshot was taken is shown as missed; what cannot be read may be there."""
    veiled = tuple("" if path == "." else f"{path}/" for path in unreadable)
    lost = reason("source_gone", "it was deleted before its snapshot was taken")
    return [
        replace(was, state="source_gone", reason=lost.code, message=lost.message, hint=lost.hint)
        for path, was in before.items()
        if path not in here and was.state in TAKEN_UP and not f"{path}/".startswith(veiled)
    ]
