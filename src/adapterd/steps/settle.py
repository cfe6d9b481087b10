"""settle: a finished directory has a snapshot in the spool and an adapter version in the registry.

Its one side effect is a copy that is renamed to its digest, so doing it twice gives the same snapshot; the registry's
UNIQUE (adapter, identity) makes the second sighting provenance and no version.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from adapterd import roots
from adapterd.bases import hub_id
from adapterd.core import adapter as ad
from adapterd.core import naming, settling
from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.retention import is_erased
from adapterd.core.standing import erasures
from adapterd.core.version import LIVE, AdapterVersion, Reason, Stage
from adapterd.ports import Draft, Observation, Sighting
from adapterd.spool import Snapshot
from adapterd.steps.discover import STALLED_CONVERSION, Found, name_of
from adapterd.steps.host import Host

DIED_ONCE = "worker_restarted"
"""The reason of a directory whose conversion came to no answer once."""

RESTED = ("generic_name", "bad_name", "name_collision", "too_large", DIED_ONCE)
"""Reasons that a directory has only after it came to rest: while it is unchanged, no quiet time begins anew."""


ASKED = "asked"
"""The event that a person asked for this very version."""


@dataclass(slots=True)
class Rests:
    """What is remembered between looks, by absolute path; lost at a restart, after which quiet times begin anew."""

    by_path: dict[str, settling.Rest] = field(default_factory=dict)

    def forget(self, path: str) -> None:
        """Drop what is remembered of one directory."""
        self.by_path.pop(path, None)


@dataclass(frozen=True, slots=True)
class Settled:
    """It has a snapshot; `new` tells whether it became a version or was a second sighting of one."""

    version: AdapterVersion
    new: bool


@dataclass(frozen=True, slots=True)
class Later:
    """Look again in `seconds` at the latest; `news` is the state and the reason where these are new."""

    seconds: float
    news: tuple[str, Reason] | None = None


def settle(host: Host, found: Found, rests: Rests, *, network: bool = False, now: bool = False) -> Settled | Later:
    """Look at one directory, and freeze it when it has come to rest.

    Args:
        host: the effects.
        found: the directory, as discover saw it.
        rests: memory between looks.
        network: whether it lies on a network file system, where the quiet time is longer.
        now: a person asked for it: a whole directory that nobody holds open is taken without the quiet time.
    """
    try:
        return _settle(host, found, rests, network=network, now=now)
    except roots.SettleError as error:
        return _put_off(host, found, rests, _why(found, error))
    except naming.NameRefusedError as error:
        return _put_off(host, found, rests, _unnamed(found, error))
    except OSError as error:
        return _put_off(
            host, found, rests, reason("source_unreadable", f"{found.directory}: {error.strerror or error}")
        )


def _why(found: Found, error: roots.SettleError) -> Reason:
    """The reason that an error is. A conversion that died is tried once more before a person must look: no verdict."""
    was = found.before
    again = was is not None and found.unchanged and was.reason in (DIED_ONCE, STALLED_CONVERSION)
    code = DIED_ONCE if error.code == STALLED_CONVERSION and not again else error.code
    return reason(code, error.message)


def _unnamed(found: Found, error: naming.NameRefusedError) -> Reason:
    """The reason that a name is refused; its hint says which file would give another."""
    file = Path(found.root.path) / found.at.run / ad.LABELS
    return reason(error.code, str(error), BY_CODE[error.code].hint.replace(f"the run's {ad.LABELS}", str(file)))


def failed(host: Host, found: Found, rests: Rests, error: Exception) -> Later:
    """Put a directory aside at which adapterd itself failed: it stalls, and the others go on."""
    return _put_off(
        host, found, rests, reason("bug", f"settling {found.folder.path} failed with {type(error).__name__}")
    )


def _settle(host: Host, found: Found, rests: Rests, *, network: bool, now: bool) -> Settled | Later:
    directory, settings = found.directory, host.config.settle
    entries = _list(directory)
    pickles = host.config.validation.convert_pickle
    look = roots.look(directory, entries, checkpoint=not found.at.final, pickles=pickles)
    key, clock = str(directory), host.monotonic()
    rest = settling.remember(rests.by_path.get(key), look, clock, _last(found, host.clock()))
    rests.by_path[key] = rest
    times = settling.Times(settings.quiet_network if network else settings.quiet, settings.patience)
    if now and (look.whole or look.code != "half_written"):
        times = settling.Times(0.0, 0.0)
    match settling.decide(look, rest, clock, times):
        case settling.NotYet(seconds, code, message):
            return _put_off(host, found, rests, reason(code, message), seconds)
        case settling.Broken(code, message):
            return _put_off(host, found, rests, reason(code, message))
        case settling.Finished():
            return _freeze(host, found, rests, look, now=now)


def _list(directory: Path) -> tuple[ad.Entry, ...]:
    try:
        return roots.entries_of(directory)
    except OSError as error:
        code = "source_gone" if error.errno in roots.GONE else "source_unreadable"
        raise roots.SettleError(code, f"{directory} cannot be listed: {error.strerror}") from error


def _last(found: Found, now: float) -> settling.Former | None:
    """What the registry remembers of the directory from before a restart."""
    was = found.before
    if was is None:
        return None
    signals = frozenset(was.signal.split())
    return settling.Former(was.fingerprint, signals, rested=was.reason in RESTED, age=now - was.changed_at)


def _freeze(host: Host, found: Found, rests: Rests, look: settling.Look, *, now: bool) -> Settled:
    written = _written(found.directory)
    adapter = name_of(host, found, written)
    bound = host.registry.bind(adapter, str(found.root.path), "", "", "")
    if bound.root != str(found.root.path) or bound.name != adapter:
        raise roots.SettleError("name_collision", f"{adapter} belongs to root {bound.root} as {bound.name}")
    settings, rules = host.config.settle, host.config.validation
    with host.spool.deciding:
        lay = host.spool.trees(adapter)
        snapshot = host.spool.freeze(
            found.directory,
            adapter,
            lambda base: hub_id(base, host.config, found.root),
            (settings.max_size, settings.max_files),
            look.fingerprint,
            lambda frozen: sidecar(_draft(found, adapter, frozen, written, look)),
            (lambda folder: host.convert(folder, rules.deadline, settings.max_size)) if rules.convert_pickle else None,
            host.config.spool.max_size,
        )
        draft = _draft(found, adapter, snapshot, written, look)
        version, new = host.registry.intake(draft, host.clock())
    host.registry.observe(
        [_observation(found, look, "settled", found.unfinished, adapter=adapter, version=version.id, now=host.clock())]
    )
    _tidy(host, version, draft)
    rests.forget(str(found.directory))
    if _erased(host, version):
        host.spool.discard(adapter, snapshot.tree)
    elif now:
        # What a person asked for is never coalesced away, and comes back where it was; a stalled one has its copy anew,
        # and so has a rejected one whose copy was tidied away.
        host.registry.note(version.id, ASKED, {"path": found.folder.path}, host.clock())
        anew = version.stage is Stage.REJECTED and snapshot.tree not in lay
        if version.stage is Stage.SUPERSEDED or version.stalled or anew:
            version = host.registry.retry(version.id, host.clock(), host.user)
    return Settled(version, new)


def _erased(host: Host, version: AdapterVersion) -> bool:
    """Whether the content was erased and is done with, so that its bytes must not lie here again."""
    repo = host.registry.repo(version.adapter)
    gone = is_erased(version) or (repo is not None and version.identity in erasures(repo.standing))
    return gone and version.stage not in LIVE


def _written(directory: Path) -> str:
    """What the config names as base model, where it is still the one that was looked at."""
    try:
        return ad.parse_config(roots.read_small(directory, ad.CONFIG, ad.MAX_CONFIG_BYTES)).base
    except ValueError as error:
        raise roots.SettleError("changed_while_copying", f"{directory} changed before it was copied") from error


def _tidy(host: Host, version: AdapterVersion, draft: Draft) -> None:
    """Let the sidecars say what the registry says now: of this snapshot, and of the version's first one.

    The version is safe in the registry already: a spool that cannot be written now has nothing to hold up.
    """
    sightings = host.registry.sightings(version.id)
    for tree in {draft.tree, version.tree}:
        with suppress(roots.SettleError):
            if host.spool.folder(version.adapter, tree).is_dir():
                said = sidecar(replace(draft, tree=tree), version, sightings)
                host.spool.write_sidecar(version.adapter, tree, said)


def _draft(found: Found, adapter: str, snapshot: Snapshot, written: str, look: settling.Look) -> Draft:
    at = found.at
    said = roots.trainer_state(found.directory, named=bool(at.name))
    return Draft(
        adapter=adapter,
        identity=snapshot.identity,
        tree=snapshot.tree,
        root=str(found.root.path),
        path=found.folder.path,
        run=at.run if at.run != "." else Path(found.root.path).name,
        checkpoint=at.checkpoint,
        step=said.step if at.checkpoint is None else at.checkpoint,
        final=at.final,
        base=written,
        peft_type=snapshot.config.peft_type,
        task=snapshot.config.task,
        fingerprint=look.fingerprint,
        labels=found.labels.record(),
        repairs=snapshot.repairs,
        trained=said.losses,
    )


def sidecar(
    draft: Draft, version: AdapterVersion | None = None, sightings: Sequence[Sighting] = ()
) -> dict[str, object]:
    """What lies beside a snapshot, so that a rebuild can stage it again: the draft, and what became of it."""
    said: dict[str, object] = {
        "schema": 1,
        "intake": None,
        **{name: getattr(draft, name) for name in Draft.__slots__ if name not in ("labels", "repairs", "trained")},
        "labels": dict(draft.labels),
        "trained": dict(draft.trained),
        "repairs": [dict(repair) for repair in draft.repairs],
        "sightings": [asdict(sighting) for sighting in sightings],
    }
    if version is not None:
        first = {"labels": dict(version.labels), "repairs": [dict(repair) for repair in version.repairs]}
        said |= {"intake": version.intake, "final": version.final, "trained": dict(version.trained), **first}
    return said


def _put_off(host: Host, found: Found, rests: Rests, why: Reason, seconds: float | None = None) -> Later:
    """Write down why it is not settled yet; the reason's severity says what becomes of it."""
    states = {Severity.WAIT: "waiting", Severity.STALL: "stalled"}
    # What is no adapter directory after all is refused as one, whatever weight its reason has elsewhere.
    state = "source_gone" if why.code == "source_gone" else states.get(BY_CODE[why.code].severity, "refused")
    was = found.before
    news = was is None or (was.state, was.reason, was.fingerprint) != (state, why.code, found.fingerprint)
    if news:
        host.registry.observe([_observation(found, None, state, why, now=host.clock())])
    if state != "waiting":
        rests.forget(str(found.directory))
    scan = host.config.schedule.scan
    return Later(min(seconds, scan) if seconds is not None else scan, (state, why) if news else None)


def _observation(
    found: Found,
    look: settling.Look | None,
    state: str,
    why: Reason | None,
    *,
    now: float,
    adapter: str = "",
    version: int | None = None,
) -> Observation:
    was = found.before
    seen = Observation(
        root=str(found.root.path),
        path=found.folder.path,
        state=state,
        fingerprint=look.fingerprint if look else found.fingerprint,
        adapter=adapter or (was.adapter if was else ""),
        run=found.at.run,
        checkpoint=found.at.checkpoint,
        version=version,
        first_seen=was.first_seen if was else now,
        changed_at=was.changed_at if was and was.fingerprint == found.fingerprint else now,
        signal=" ".join(sorted(look.present)) if look else found.signals(),
    )
    return replace(seen, reason=why.code, message=why.message, hint=why.hint) if why else seen
