"""What comes in: baselines, observations, bindings, new versions, and versions that the Hub already holds."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import islice

from sqlalchemy import Connection, and_, case, func, or_, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import AdapterRecord, Conflict, Draft, Observation
from adapterd.registry import history, rows
from adapterd.registry.schema import adapters, observations, root_directories, roots, sightings, versions

_KEPT = ("adapter", "first_seen")
_AT_ONCE = 100
"""Rows that one statement is given: what a thousand take in memory on their way to SQLite never goes back."""
_WRITTEN = "observations written"


def set_root(conn: Connection, root: str, inode: tuple[int, int] | None, *, baseline: bool) -> None:
    """Remember which directory a root is; `baseline` marks its baseline as taken, otherwise that stays as it was."""
    device, number = (None, None) if inode is None else map(str, inode)
    new = insert(roots).values(root=root, baselined=baseline, device=device, inode=number)
    seen = {"device": device, "inode": number}
    conn.execute(
        new.on_conflict_do_update(index_elements=["root"], set_={**seen, "baselined": True} if baseline else seen)
    )
    if inode is not None:
        know_directory(conn, root, inode)


def know_directory(conn: Connection, root: str, inode: tuple[int, int]) -> None:
    """Count a directory among those that the root was."""
    device, number = map(str, inode)
    new = insert(root_directories).values(root=root, device=device, inode=number)
    conn.execute(new.on_conflict_do_nothing())


def knows_directory(conn: Connection, root: str, inode: tuple[int, int]) -> bool:
    """Whether the root was this directory once."""
    device, number = map(str, inode)
    own = root_directories.c
    query = select(own.root).where(own.root == root, own.device == device, own.inode == number)
    return conn.execute(query).first() is not None


def root_inode(conn: Connection, root: str) -> tuple[bool, tuple[int, int] | None]:
    """Whether the root has a baseline, and the directory that it was."""
    row = conn.execute(select(roots).where(roots.c.root == root)).one_or_none()
    if row is None:
        return False, None
    return row.baselined, None if row.inode is None else (int(row.device), int(row.inode))


def await_baseline(conn: Connection, root: str) -> None:
    """Forget which directory a root was, and that its baseline was taken, but not that there was one."""
    blank = {"baselined": False, "device": None, "inode": None}
    new = insert(roots).values(root=root, **blank)
    conn.execute(new.on_conflict_do_update(index_elements=["root"], set_=blank))


def awaits_baseline(conn: Connection, root: str) -> bool:
    """Whether there is a row that tells of an earlier life, and no baseline of this one."""
    return conn.scalar(select(roots.c.baselined).where(roots.c.root == root)) is False


def observe(conn: Connection, seen: Iterable[Observation]) -> None:
    """Write observations; a row that says the same already is not touched."""
    rest, written = iter(seen), conn.info.setdefault(_WRITTEN, [])
    while batch := [rows.plain(observation) for observation in islice(rest, _AT_ONCE)]:
        conn.execute(_overwrite(), batch)
        written += [(row["root"], row["path"]) for row in batch]


def wrote(conn: Connection, places: Iterable[tuple[str, str]]) -> None:
    """Remember that these observations are others now, by root and path."""
    conn.info.setdefault(_WRITTEN, []).extend(places)


def taken(conn: Connection) -> list[tuple[str, str]]:
    """The root and path of each observation that was written over this connection since the last time of asking."""
    return list(conn.info.pop(_WRITTEN, ()))


@cache
def _overwrite() -> Insert:
    new = insert(observations)
    old, given = observations.c, new.excluded
    taken = [column.name for column in rows.OBSERVATION if not column.primary_key and column.name not in _KEPT]
    return new.on_conflict_do_update(
        index_elements=["root", "path"],
        set_={
            **{name: given[name] for name in taken},
            "adapter": case((old.adapter != "", old.adapter), else_=given.adapter),
            "first_seen": case((old.first_seen > 0, old.first_seen), else_=given.first_seen),
        },
        where=or_(
            *(old[name].is_distinct_from(given[name]) for name in taken),
            and_(old.adapter == "", given.adapter != ""),
            and_(old.first_seen == 0, given.first_seen != 0),
        ),
    )


def ensure_adapter(conn: Connection, adapter: str) -> str:
    """Make the adapter's row where there is none; its name as it was first written."""
    new = insert(adapters).values(
        name=adapter, folded=adapter.casefold(), root="", base="", peft_type="", task="", counter=0
    )
    conn.execute(new.on_conflict_do_nothing())
    return rows.canonical(conn, adapter)


def bind(conn: Connection, wanted: AdapterRecord) -> AdapterRecord:
    """Fill what is still empty in the series' binding; the binding there is."""
    name = ensure_adapter(conn, wanted.name)
    query = select(*rows.ADAPTER).where(adapters.c.name == name)
    was = AdapterRecord(**conn.execute(query).mappings().one())
    empty = {key: value for key, value in rows.plain(wanted).items() if value and not getattr(was, key)}
    if not empty:
        return was
    conn.execute(update(adapters).where(adapters.c.name == name).values(**empty))
    own = versions.c
    if conn.scalar(select(own.id).where(own.adapter == name, own.stage == Stage.PUBLISHED).limit(1)):
        history.changed(conn, name)
    return replace(was, **empty)


def rebind(conn: Connection, adapter: str, root: str) -> None:
    """Bind a series to another root: its binding, and where its versions were seen."""
    name = rows.canonical(conn, adapter)
    was = conn.scalar(select(adapters.c.root).where(adapters.c.name == name))
    conn.execute(update(adapters).where(adapters.c.name == name).values(root=root))
    own = select(versions.c.id).where(versions.c.adapter == name)
    seen = update(sightings).where(sightings.c.version_id.in_(own), sightings.c.root == was).values(root=root)
    conn.execute(seen.prefix_with("OR IGNORE"))  # it may have been seen in both


def intake(conn: Connection, draft: Draft, at: float, order: int | None) -> tuple[AdapterVersion, bool]:
    """Make the draft a version, or a further sighting of the version that has its content."""
    adapter = ensure_adapter(conn, draft.adapter)
    known = _known(conn, adapter, draft.identity)
    version_id = _insert(conn, adapter, draft, at, order, stage=Stage.STAGED) if known is None else known.id
    fresh = _sight(conn, version_id, draft, at)
    if known is None:
        history.append(conn, version_id, at, "staged", root=draft.root, path=draft.path, tree=draft.tree)
    else:
        if fresh:
            _enrich(conn, known, draft, at)
        if known.stage in (Stage.REJECTED, Stage.SUPERSEDED) and known.tree != draft.tree:
            # Its own snapshot may be gone by now; if it comes back, then with this one.
            taken = update(versions).where(versions.c.id == version_id)
            conn.execute(taken.values(tree=draft.tree, base=draft.base, repairs=list(draft.repairs), updated_at=at))
        if draft.final and known.stage is Stage.SUPERSEDED:
            to_staged(conn, version_id, Stage.SUPERSEDED, at)
            history.append(conn, version_id, at, "staged", was=Stage.SUPERSEDED, path=draft.path)
    _settle(conn, adapter, draft, version_id, at)
    return _version(conn, version_id), known is None


def restore(conn: Connection, draft: Draft, number: int, commit: str, at: float, order: int | None) -> AdapterVersion:
    """Insert what the Hub holds as PUBLISHED; the same again changes nothing. Conflict where it is another version."""
    adapter = ensure_adapter(conn, draft.adapter)
    raise_counter(conn, adapter, number)
    known = _known(conn, adapter, draft.identity)
    if known is not None and (known.stage, known.number, known.commit) == (Stage.PUBLISHED, number, commit):
        return known
    if known is not None:
        raise Conflict(f"the content of {adapter}@v{number} is in the registry already, as {known.label}")
    refuse_taken(conn, adapter, number)
    # The root stays open: the Hub does not know it, and the first one that binds gets it.
    bind(conn, AdapterRecord(adapter, "", draft.base, draft.peft_type, draft.task))
    version_id = _insert(conn, adapter, draft, at, order, stage=Stage.PUBLISHED, number=number, commit=commit)
    _sight(conn, version_id, draft, at)
    history.append(conn, version_id, at, "restored", number=number, commit=commit)
    history.changed(conn, adapter)
    return _version(conn, version_id)


def to_staged(conn: Connection, version_id: int, was: Stage, at: float) -> None:
    """Move a version that no lane holds back to STAGED, due now; its fence moves on."""
    conn.execute(
        update(versions)
        .where(versions.c.id == version_id, versions.c.stage == was)
        .values(stage=Stage.STAGED, due_at=at, fence=versions.c.fence + 1, updated_at=at, **AT_ONCE)
    )


AT_ONCE = {"attempts": 0, "reason": "", "message": "", "hint": "", "stalled": False} | {
    "lease_owner": None,
    "lease_until": 0.0,
}
"""The standing of a version that simply moves on."""


def raise_counter(conn: Connection, adapter: str, number: int) -> None:
    """Let the adapter's counter follow a number; it never sinks."""
    own = adapters.c
    conn.execute(update(adapters).where(own.name == adapter, own.counter < number).values(counter=number))


def refuse_taken(conn: Connection, adapter: str, number: int, version_id: int | None = None) -> None:
    """Conflict where another version of the adapter has the number."""
    own = versions.c
    query = select(*rows.VERSION).where(
        own.adapter == adapter, own.number == number, own.id.is_distinct_from(version_id)
    )
    other = rows.one(conn, query, rows.version)
    if other is not None:
        raise Conflict(f"{adapter}@v{number} is {other.stage} in the registry with another identity: {other.identity}")


def _known(conn: Connection, adapter: str, identity: str) -> AdapterVersion | None:
    query = select(*rows.VERSION).where(versions.c.adapter == adapter, versions.c.identity == identity)
    return rows.one(conn, query, rows.version)


def _version(conn: Connection, version_id: int) -> AdapterVersion:
    return rows.version(conn.execute(select(*rows.VERSION).where(versions.c.id == version_id)).mappings().one())


def _insert(
    conn: Connection,
    adapter: str,
    draft: Draft,
    at: float,
    order: int | None,
    *,
    stage: Stage,
    number: int | None = None,
    commit: str | None = None,
) -> int:
    last = select(func.coalesce(func.max(versions.c.intake), 0) + 1).scalar_subquery()
    free = order is not None and conn.scalar(select(versions.c.id).where(versions.c.intake == order)) is None
    facts = {
        name: getattr(draft, name)
        for name in ("identity", "tree", "base", "run", "step", "final", "labels", "repairs", "trained")
    }
    new = insert(versions).values(
        adapter=adapter,
        intake=order if free else last,
        stage=stage,
        number=number,
        commit=commit,
        due_at=at,
        fence=0,
        created_at=at,
        updated_at=at,
        **facts,
        **AT_ONCE,
    )
    return int(conn.execute(new.returning(versions.c.id)).scalar_one())


def _sight(conn: Connection, version_id: int, draft: Draft, at: float) -> bool:
    """Add the sighting; False where this very one is known."""
    names = ("root", "path", "run", "checkpoint", "step", "final", "fingerprint")
    new = insert(sightings).values(version_id=version_id, seen_at=at, **{name: getattr(draft, name) for name in names})
    return conn.execute(new.on_conflict_do_nothing().returning(sightings.c.id)).scalar() is not None


def _enrich(conn: Connection, known: AdapterVersion, draft: Draft, at: float) -> None:
    """Let a further sighting tell what earlier ones did not: that it is final, its step, what the trainer measured."""
    history.append(conn, known.id, at, "sighted", root=draft.root, path=draft.path, final=draft.final)
    step = draft.step if known.step is None else known.step
    told = {"final": known.final or draft.final, "step": step, "trained": known.trained or draft.trained}
    if all(getattr(known, name) == value for name, value in told.items()):
        return
    conn.execute(update(versions).where(versions.c.id == known.id).values(**told, updated_at=at))
    if known.stage is Stage.PUBLISHED:
        history.changed(conn, known.adapter)


def _settle(conn: Connection, adapter: str, draft: Draft, version_id: int, at: float) -> None:
    """Mark the draft's observation settled into the version; make it where there is none."""
    settled = Observation(
        root=draft.root,
        path=draft.path,
        state="settled",
        fingerprint=draft.fingerprint,
        adapter=adapter,
        run=draft.run,
        checkpoint=draft.checkpoint,
        version=version_id,
        first_seen=at,
        changed_at=at,
    )
    observe(conn, [settled])
