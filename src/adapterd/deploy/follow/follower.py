"""The turn of a follower: look, decide, act, until nothing is left to do now.

One failure holds back one act: the old version stays, everything else goes on, and it is tried again after a pause
that grows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from adapterd.core.errors import AdapterdError
from adapterd.core.following import (
    Action,
    Check,
    Drain,
    Followed,
    Forget,
    Golden,
    Listing,
    Load,
    Pull,
    Switch,
    Unload,
    View,
    decide,
    drains_left,
    of_adapter,
    settled,
)
from adapterd.core.likeness import INCONCLUSIVE
from adapterd.core.version import backoff
from adapterd.deploy.engines import Engine, Order
from adapterd.deploy.faults import ErasedError, VerificationError
from adapterd.deploy.follow.memory import Memory
from adapterd.deploy.follow.proving import PROVEN, UNASKED, prove
from adapterd.deploy.follow.reporting import Report, Trouble, status
from adapterd.deploy.follow.wishes import Settings, Spec, Wishes
from adapterd.deploy.shelf import Held, Shelf
from adapterd.ports import Hub, Transient

_ROUNDS = 12
"""More than the acts that one version takes one after the other."""

Tell = Callable[..., None]
"""Is told an event by a constant name, with its fields."""


class Prove(Protocol):
    """The golden check: `adapter`, `base` or `inconclusive`, and why in words."""

    def __call__(self, engine: Engine, held: Held) -> tuple[str, str]:
        """Ask an engine the golden prompts of a version that it has loaded."""
        ...


@dataclass(slots=True)
class _Hold:
    attempts: int
    until: float
    error: AdapterdError


class Follower:
    """Keeps engines at what channels hold."""

    def __init__(  # noqa: PLR0913 - its ports, each by name
        self,
        *,
        hub: Hub,
        shelf: Shelf,
        engines: Sequence[Engine],
        specs: Sequence[Spec],
        settings: Settings,
        memory: Memory,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        tell: Tell,
        prove: Prove | None = prove,
    ) -> None:
        """Know nothing yet of Hub and engines; what lies on disk is looked at when it is needed."""
        self._hub, self._shelf, self._memory = hub, shelf, memory
        self._engines = {engine.key: engine for engine in engines}
        self._specs, self._settings = {spec.name: spec for spec in specs}, settings
        self._clock, self._jitter, self._tell, self._prove = clock, jitter, tell, prove
        self._wishes = Wishes(hub, specs, settings, clock())
        self._holds: dict[Action, _Hold] = {}
        self._listings: dict[str, Listing | None] = {}
        self._faults: dict[str, AdapterdError] = {}
        self._silent: dict[str, float] = {}
        self._checked: dict[tuple[str, str], bool] = {}
        self._whole: dict[str, bool] = {}
        self._said: set[tuple[str, str, str]] = set()

    def turn(self, stopping: Callable[[], bool] = lambda: False) -> Report:
        """Look at everything, do what is to be done, and say how it stands. `stopping` ends it between two acts."""
        self._wishes.look(self._clock())
        for key in self._engines:
            self._list(key)
        for _ in range(_ROUNDS):
            view = self._view()
            wished = set(decide(replace(view, held=())))
            self._holds = {action: hold for action, hold in self._holds.items() if action in wished}
            actions = decide(view)
            if not actions or stopping():
                break
            for action in actions:
                if not stopping():
                    self._try(action)
        return self._close()

    def _close(self) -> Report:
        """Tidy up, and say how it stands."""
        view = self._view()
        self._memory.drains = drains_left(view)
        self._memory.keep()
        report = self._report(view)
        self._tidy(view)
        self._complain(report)
        self._memory.show(status(view, report))
        return report

    def _list(self, key: str) -> None:
        """Ask an engine what it has."""
        try:
            listed = self._engines[key].listed()
        except AdapterdError as error:
            self._listings[key], self._faults[key] = None, error
            self._silent.setdefault(key, self._clock())
            return
        ours = {name for name, folder in listed.items() if Path(folder).is_relative_to(self._shelf.directory)}
        self._listings[key] = Listing(frozenset(listed), frozenset(ours))
        self._faults.pop(key, None)
        self._silent.pop(key, None)
        # A version that went and comes back is checked again.
        self._checked = {at: ok for at, ok in self._checked.items() if at[0] != key or at[1] in listed}

    def _view(self) -> View:
        now = self._clock()
        aliases = self._memory.aliases
        followed = tuple(self._followed(spec) for spec in self._specs.values())
        needed = {one.want for one in followed} | set(aliases.values())
        there = self._shelf.there()
        return View(
            followed=followed,
            shelf={name for name in needed if name in there and self._is_whole(there[name])},
            engines=dict(self._listings),
            aliases=dict(aliases),
            now=now,
            drain=self._settings.drain,
            drains=dict(self._memory.drains),
            checked=dict(self._checked),
            held={action for action, hold in self._holds.items() if hold.until > now},
            given_up={key for key, since in self._silent.items() if now - since >= self._settings.patience},
            golden=self._settings.golden if self._prove is not None else Golden.OFF,
        )

    def _followed(self, spec: Spec) -> Followed:
        """An adapter as it shall be; where the Hub has not said so to this process, as it was."""
        known = self._wishes.resolved.get(spec.name)
        adapter = spec.reference.adapter
        was = self._memory.aliases.get(spec.name) or self._shelf.links().get(spec.name, "")
        want = known.serving_name if known is not None else was if of_adapter(was, adapter) else ""
        return Followed(spec.name, adapter, want, spec.engines)

    def _is_whole(self, held: Held) -> bool:
        """Whether every byte is the manifest's; found out once in the life of this process."""
        if held.serving_name not in self._whole:
            problem = held.altered
            self._whole[held.serving_name] = not problem
            if problem:
                self._tell("version_altered", serving_name=held.serving_name, problem=problem)
        return self._whole[held.serving_name]

    def _try(self, action: Action) -> None:
        try:
            self._do(action)
        except (AdapterdError, OSError) as error:
            said = error if isinstance(error, AdapterdError) else Transient(f"{action}: {error}", "room on the disk")
            attempts = self._holds[action].attempts + 1 if action in self._holds else 1
            pause = backoff(attempts, self._settings.interval, self._settings.longest, self._jitter())
            if isinstance(said, Transient) and said.retry_after:
                pause = max(pause, said.retry_after)
            self._holds[action] = _Hold(attempts, self._clock() + pause, said)
        else:
            self._holds.pop(action, None)

    def _do(self, action: Action) -> None:
        match action:
            case Pull(name, serving):
                self._pull(name, serving)
            case Load(engine, name, serving):
                self._engines[engine].load(self._order(name, serving))
                self._tell("version_loaded", engine=engine, name=name, serving_name=serving)
                self._list(engine)
            case Check(engine, _, serving):
                self._check(engine, serving)
            case Switch(name, serving, former):
                self._shelf.link(name, serving)
                self._memory.aliases[name] = serving
                self._memory.keep()
                self._tell("alias_switched", name=name, serving_name=serving, former=former)
            case Forget(name):
                del self._memory.aliases[name]
                self._memory.keep()
                self._tell("alias_dropped", name=name)
            case Drain(engine, serving, until):
                self._memory.drains[engine, serving] = until
                self._memory.keep()
            case Unload(engine, name, serving):
                self._engines[engine].unload(self._order(name, serving))
                self._tell("version_unloaded", engine=engine, name=name, serving_name=serving)
                self._list(engine)

    def _pull(self, name: str, serving: str) -> None:
        resolved = self._wishes.resolved.get(name)
        if resolved is None or resolved.serving_name != serving:
            fault = self._wishes.faults.get(name) or self._wishes.index_fault
            raise fault or Transient(
                f"{serving} does not lie here, and the Hub was not asked yet", "nothing, it is asked"
            )
        altered = self._whole.get(serving) is False
        for warning in resolved.warnings:
            self._tell("version_withdrawn", name=name, serving_name=serving, warning=warning)
        self._shelf.put(self._hub, resolved, lambda line: self._tell("pulling", name=name, line=line), force=altered)
        self._whole[serving] = True
        self._tell("version_pulled", name=name, serving_name=serving, adapter=resolved.adapter, number=resolved.number)

    def _order(self, name: str, serving: str) -> Order:
        """What an engine is told; the other version is the one that the name means now."""
        place = self._shelf.directory
        other = self._memory.aliases.get(name, "")
        other = "" if other == serving else other
        where = place / other if other else None
        return Order(self._specs[name].reference.adapter, name, serving, place / serving, other, where)

    def _check(self, key: str, serving: str) -> None:
        """Ask the golden prompts; what cannot be asked proves nothing either way."""
        held = self._shelf.there().get(serving)
        if held is None or self._prove is None:
            return
        try:
            verdict, why = self._prove(self._engines[key], held)
        except AdapterdError as error:
            if isinstance(error, Transient) and self._settings.golden is Golden.REQUIRE:
                raise
            verdict, why = INCONCLUSIVE, error.message
        proven = verdict in PROVEN
        event = "golden_passed" if proven else "golden_doubtful"
        if verdict != UNASKED:
            self._tell(event, engine=key, serving_name=serving, verdict=verdict, why=why)
        if not proven and self._settings.golden is Golden.REQUIRE:
            raise VerificationError(f"{serving} is not proven on {key}: {why}", "golden: warn, or another version")
        self._checked[key, serving] = proven

    def _tidy(self, view: View) -> None:
        """Let former versions go that no engine has and no name means."""
        used = {one.want for one in view.followed} | set(view.aliases.values())
        for listing in view.engines.values():
            used |= listing.names if listing is not None else set()
        if any(listing is None for listing in view.engines.values()):
            return  # it may have any of them
        for name in self._shelf.tidy(self._settings.keep, used):
            self._whole.pop(name, None)
            self._tell("version_removed", serving_name=name)

    def _report(self, view: View) -> Report:
        rest = {one.name for one in view.followed if settled(one, view)}
        found = [Trouble("", "", self._wishes.index_fault)] if self._wishes.index_fault is not None else []
        found += [Trouble(name, "", error) for name, error in sorted(self._wishes.faults.items())]
        found += [Trouble("", key, error) for key, error in sorted(self._faults.items())]
        found += [
            Trouble(getattr(action, "name", ""), getattr(action, "engine", ""), hold.error)
            for action, hold in self._holds.items()
            if hold.error is not self._wishes.faults.get(getattr(action, "name", ""))
        ]
        waiting = [one.name for one in view.followed if one.name not in rest]
        return Report(tuple(sorted(rest)), tuple(waiting), tuple(found))

    def _complain(self, report: Report) -> None:
        """Say each trouble once, and when it is over."""
        now = {(t.name, t.engine, t.error.message) for t in report.troubles}
        for trouble in report.troubles:
            if (trouble.name, trouble.engine, trouble.error.message) not in self._said:
                event = "version_erased" if isinstance(trouble.error, ErasedError) else "held_back"
                fields = {"name": trouble.name, "engine": trouble.engine}
                told = {key: value for key, value in fields.items() if value}
                self._tell(event, error=trouble.error.message, hint=trouble.error.hint, **told)
        if self._said and not now:
            self._tell("all_well")
        self._said = now
