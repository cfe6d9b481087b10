"""Versions on the line: claims, moves and standing, each one conditional UPDATE under fence, owner and stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, delete, func, or_, select, update

from adapterd.core.rules import FAILED, PASSED
from adapterd.core.version import LIVE, MOVES, AdapterVersion, Reason, Stage
from adapterd.ports import Claim, Conflict, LostLease, NotFound, RepoRecord, Validation
from adapterd.registry import arrivals, history, records, reports, rows
from adapterd.registry.schema import intents, versions

_RETURNED = (*rows.VERSION, versions.c.fence)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a claim asks for, as `Registry.claim` takes it."""

    owner: str
    now: float
    lease: float
    horizon: float
    prefer_base: str = ""
    prefer_final: bool = False


def claim(conn: Connection, stage: Stage, terms: Terms) -> Claim | None:
    """Lease the due version of lowest intake. Times further away than any that is ever set count as past."""
    own, now, lease, horizon = versions.c, terms.now, terms.lease, terms.horizon
    free = or_(own.lease_owner.is_(None), own.lease_until <= now, own.lease_until > now + max(horizon, lease))
    due = or_(own.due_at <= now, own.due_at > now + horizon)
    ready = and_(own.stage == stage, own.stalled.is_(False), free, due)
    next_ = _lowest(own.id, ready)
    # By way of the adapter: an older version of it that names the same base otherwise must not be overtaken.
    if terms.prefer_base:
        next_ = func.coalesce(_lowest(own.id, _beside(ready, own.base == terms.prefer_base)), next_)
    if terms.prefer_final:
        next_ = func.coalesce(_lowest(own.id, _beside(ready, own.final.is_(True))), next_)
    row = (
        conn.execute(
            update(versions)
            .where(own.id == next_)
            .values(fence=own.fence + 1, lease_owner=terms.owner, lease_until=now + lease)
            .returning(*_RETURNED)
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Claim(rows.version(row), terms.owner, row["fence"])


def _beside(ready: ColumnElement[bool], wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    """Ready, and of the adapter whose wanted version came first."""
    own = versions.c
    adapter = select(own.adapter).where(ready, wanted).order_by(own.intake).limit(1)
    return and_(ready, own.adapter == adapter.scalar_subquery())


def _lowest(wanted: ColumnElement[int], where: ColumnElement[bool]) -> ColumnElement[int]:
    """The id of the version of lowest intake, locked."""
    return (
        select(wanted)
        .where(where)
        .order_by(versions.c.intake)
        .limit(1)
        .with_for_update(skip_locked=True)  # nothing on SQLite, where the transaction is the lock
        .scalar_subquery()
    )


def reclaim(conn: Connection, owner: str, stage: Stage | None) -> int:
    """End the leases of an owner that cannot be at work: it has only just come to life, or its lane failed."""
    own = versions.c
    ended = update(versions).where(own.lease_owner == owner)
    if stage is not None:
        ended = ended.where(own.stage == stage)
    return conn.execute(ended.values(fence=own.fence + 1, lease_owner=None, lease_until=0.0)).rowcount


def next_due(conn: Connection, stage: Stage) -> float | None:
    """When the next version of a stage is due and free; perhaps in the past."""
    own = versions.c
    leased = and_(own.lease_owner.is_not(None), own.lease_until > own.due_at)
    when = case((leased, own.lease_until), else_=own.due_at)
    due: float | None = conn.scalar(select(func.min(when)).where(own.stage == stage, own.stalled.is_(False)))
    return due


def write(conn: Connection, held: Claim, **values: object) -> RowMapping:
    """Change the row if the claim still holds it, and return it. LostLease where it does not."""
    changed = update(versions).where(*_still(held)).values(**values).returning(*_RETURNED)
    return _held(conn.execute(changed).mappings().one_or_none(), held)


def holding(conn: Connection, held: Claim) -> AdapterVersion:
    """The version as it is now, if the claim still holds it. LostLease where it does not."""
    query = select(*_RETURNED).where(*_still(held)).with_for_update()
    return rows.version(_held(conn.execute(query).mappings().one_or_none(), held))


def _still(held: Claim) -> tuple[ColumnElement[bool], ...]:
    own, version = versions.c, held.version
    return own.id == version.id, own.fence == held.fence, own.lease_owner == held.owner, own.stage == version.stage


def _held(row: RowMapping | None, held: Claim) -> RowMapping:
    if row is None:
        raise LostLease(
            f"{held.version.label} is no longer leased to {held.owner} (fence {held.fence})",
            "nothing: whoever has it now goes on with it",
        )
    return row


@dataclass(frozen=True, slots=True)
class Facts:
    """What a step found out, as `Registry.advance` takes it."""

    reason: Reason | None = None
    validation: Validation | None = None
    number: int | None = None
    commit: str | None = None
    repo: RepoRecord | None = None


def advance(conn: Connection, held: Claim, to: Stage, at: float, facts: Facts) -> AdapterVersion:
    """Move along the line with the new facts, and end the lease."""
    was = holding(conn, held)
    if to not in MOVES[was.stage]:
        raise ValueError(f"no version moves from {was.stage} to {to}")
    if to is Stage.SUPERSEDED and was.final:
        raise Conflict(f"{was.label} was seen as a final save meanwhile: those are never coalesced")
    if (to is Stage.PUBLISHED) != (facts.commit is not None):
        raise ValueError(f"a version has a commit exactly when it is published, not when it is {to}")
    number = was.number if facts.number is None else facts.number
    if number is None and to is Stage.PUBLISHED:
        raise ValueError(f"{was.label} cannot be published without a number")
    if number is not None:
        arrivals.refuse_taken(conn, was.adapter, number, was.id)
        arrivals.raise_counter(conn, was.adapter, number)
    if facts.validation is not None:
        _report(conn, facts.validation, was)
    if facts.repo is not None:
        records.save_repo(conn, facts.repo)
    standing = {**arrivals.AT_ONCE, **_why(facts.reason)}
    row = write(conn, held, stage=to, number=number, commit=facts.commit, due_at=at, updated_at=at, **standing)
    told = {"was": was.stage, "reason": standing["reason"], "message": standing["message"], "commit": facts.commit}
    history.append(conn, was.id, at, to, number=number if facts.commit else None, **told)
    if to is Stage.PUBLISHED:
        # What was about to be done is done: the Hub holds those bytes now.
        conn.execute(delete(intents).where(intents.c.version_id == was.id))
        history.changed(conn, was.adapter)
    return rows.version(row)


def report(conn: Connection, validation: Validation) -> None:
    """Record that a published version was validated again, and say so in its history."""
    was = rows.version_by_id(conn, validation.version)
    if was is None or was.stage is not Stage.PUBLISHED:
        raise ValueError("only what is published is validated again")
    _report(conn, validation, was)
    codes = [str(each.get("code")) for each in validation.report.get("reasons") or ()]
    kind = PASSED if validation.verdict == "passed" else FAILED
    history.append(conn, was.id, validation.at, kind, policy=validation.policy, reason=", ".join(codes))
    history.changed(conn, was.adapter)


def _report(conn: Connection, validation: Validation, was: AdapterVersion) -> None:
    if (validation.version, validation.tree) != (was.id, was.tree):
        raise ValueError("a report belongs to another version or to another tree")
    values = rows.plain(validation)
    reports.write(conn, [{"version_id": values.pop("version"), **values}])


def wait(conn: Connection, held: Claim, until: float, reason: Reason, at: float, *, failed: bool) -> None:
    """Set when it is due again, and end the lease."""
    attempts = versions.c.attempts + (1 if failed else 0)
    standing = {**arrivals.AT_ONCE, **_why(reason), "attempts": attempts}
    write(conn, held, due_at=until, updated_at=at, **standing)
    history.waiting(conn, held.version.id, at, until, reason)


def stall(conn: Connection, held: Claim, reason: Reason, at: float) -> None:
    """Leave it to a person, and end the lease; the attempts stay, to be seen."""
    standing = {**arrivals.AT_ONCE, **_why(reason), "stalled": True, "attempts": versions.c.attempts}
    write(conn, held, due_at=at, updated_at=at, **standing)
    history.append(conn, held.version.id, at, "stalled", reason=reason.code, message=reason.message)


def retree(
    conn: Connection, held: Claim, tree: str, base: str, repairs: Sequence[Mapping[str, Any]], at: float
) -> AdapterVersion:
    """Take the repaired snapshot's tree, and keep the lease."""
    if held.version.stage is not Stage.STAGED:
        raise ValueError(f"only a staged version takes another tree, not a {held.version.stage} one")
    row = write(conn, held, tree=tree, base=base, repairs=list(repairs), updated_at=at)
    history.append(conn, held.version.id, at, "repaired", was=held.version.tree, tree=tree, base=base)
    return rows.version(row)


def retry(conn: Connection, version_id: int, at: float, actor: str) -> AdapterVersion:
    """Set a version going again; a published one is returned as it is. A lease on one that moves is left alone."""
    was = rows.version_by_id(conn, version_id)
    if was is None:
        raise NotFound(f"the registry has no version in row {version_id}", "see `adapterd list`")
    if was.stage is Stage.PUBLISHED:
        return was
    if was.stage in LIVE:
        fresh = {**arrivals.AT_ONCE, "due_at": at, "updated_at": at}
        # A stalled version has no lease; one that is being worked on keeps its own.
        del fresh["lease_owner"], fresh["lease_until"]
        conn.execute(update(versions).where(versions.c.id == version_id).values(**fresh))
    else:
        arrivals.to_staged(conn, version_id, was.stage, at)
    history.append(conn, version_id, at, "retried", actor=actor, was=was.stage, reason=was.reason)
    return rows.version(conn.execute(select(*rows.VERSION).where(versions.c.id == version_id)).mappings().one())


def _why(reason: Reason | None) -> dict[str, Any]:
    if reason is None:
        return {}
    return {"reason": reason.code, "message": reason.message, "hint": reason.hint}
