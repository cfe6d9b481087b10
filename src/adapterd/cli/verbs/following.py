"""follow: the loop around a follower's turns, with its signals, its log, and systemd."""

import os
import random
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd import log, reach
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError, code_of
from adapterd.cli.verbs.settings import reference_of, seconds_of
from adapterd.config.following import AUTO, FollowedAdapter, FollowedEngine, Following, load_following
from adapterd.config.followpage import follow_example
from adapterd.core.following import Golden
from adapterd.deploy import ErasedError, Layout, Shelf
from adapterd.deploy.engines import CommandEngine, Engine, ServingEngine
from adapterd.deploy.follow import Follower, Memory, Report, Settings, Spec
from adapterd.ports import Denied, Hub
from adapterd.sdnotify import Notifier

SPREAD = 0.1
"""Of the interval, either way: sidecars that were started together do not ask together."""
GRACE = 10.0
"""Seconds after SIGTERM for what is in hand; what is cut off then is taken up at the next start."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says of one adapter, as text; empty for what it does not say."""

    engines: Sequence[str] = ()
    command: str = ""
    name: str = ""
    interval: str = ""
    drain: str = ""
    golden: str = ""


def example() -> int:
    """Write a commented configuration."""
    say.line(follow_example().removesuffix("\n"))
    return Exit.DONE


def follow(config: Path, *, once: bool) -> int:
    """Follow what a file names."""
    found = load_following(config.absolute())
    with reach.hub_at(found.hub.endpoint, found.as_host) as hub:
        return _run(hub, found, once=once)


def follow_one(adapter: str, directory: Path, given: Given, endpoint: str | None, *, once: bool) -> int:
    """Follow one adapter."""
    reference_of(adapter)
    said: dict[str, Any] = {"dir": Path(os.path.abspath(directory)), "index": "off"}  # noqa: PTH100 - links stay
    said["adapters"] = [{"adapter": adapter} | ({"name": given.name} if given.name else {})]
    said["engines"] = [{"url": url} for url in given.engines]
    said["exec"] = shlex.split(given.command)
    said |= {key: seconds_of(text, f"--{key}") for key in ("interval", "drain") if (text := getattr(given, key))}
    if given.golden:
        said["golden"] = given.golden
    try:
        found = Following.model_validate(said)
    except ValueError as error:
        raise UsageFaultError(
            f"{adapter} cannot be followed like this: {_first(error)}", "adapterd follow --help"
        ) from error
    with reach.hub_of(None, endpoint) as hub:
        return _run(hub, found, once=once)


def _first(error: ValueError) -> str:
    """The first problem that pydantic found, in its words."""
    problems = error.errors() if hasattr(error, "errors") else []
    return f"{'.'.join(map(str, problems[0]['loc']))}: {problems[0]['msg']}" if problems else str(error)


def _run(hub: Hub, found: Following, *, once: bool) -> int:
    """Turn once, or until somebody ends it."""
    log.configure()
    shelf = Shelf(found.dir, Layout.VLLM)
    memory = Memory(found.dir, shelf.room)
    stop = threading.Event()
    with ExitStack() as held:
        held.enter_context(memory.alone())
        held.enter_context(_stopping(stop))
        notifier = Notifier.take(os.environ)
        told = log.get_logger("follow")

        def tell(event: str, **fields: object) -> None:
            if once and event == "held_back":
                return  # the summary says it in two lines
            told.info(event, **fields) if event not in _WARNINGS else told.warning(event, **fields)

        engines: list[Engine] = [_engine(each, found.dir) for each in found.engines]
        if found.exec:
            key = " ".join(found.exec)
            engines.append(
                CommandEngine(found.exec, lambda: memory.told(key), lambda told: memory.keep_told(key, told))
            )
        follower = Follower(
            hub=hub,
            shelf=shelf,
            engines=engines,
            specs=[_spec(each, engines, found) for each in found.adapters],
            settings=_settings(found),
            memory=memory,
            clock=time.time,
            jitter=random.random,
            tell=tell,
        )
        if once:
            report = follower.turn(stop.is_set)
            _summarize(report)
            return code(report)
        tell("follow_started", dir=str(found.dir), adapters=len(found.adapters), engines=len(engines))
        while not stop.is_set():
            report = follower.turn(stop.is_set)
            notifier.ready()
            notifier.status(
                f"{len(report.settled)} at rest, {len(report.waiting)} not, {len(report.troubles)} troubles"
            )
            stop.wait(found.interval * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 - no secret
        notifier.stopping()
        tell("follow_stopped")
    return Exit.DONE


_WARNINGS = frozenset({"golden_doubtful", "held_back", "version_altered", "version_withdrawn", "version_erased"})


_GRAVE = (Exit.REJECTED, Exit.DENIED, Exit.NOT_FOUND, Exit.CONFIGURATION, Exit.USAGE, Exit.STALLED, Exit.BUG)
"""What waiting does not mend, the gravest first."""


def code(report: Report) -> Exit:
    """How one turn ended: by the gravest trouble; waiting where only time is needed; done where all is at rest.

    A Hub that is away is no trouble of what is served whole from here.
    """
    # An exact version that was erased, and is served from what lies here, waits for nothing.
    told = [t for t in report.troubles if not (isinstance(t.error, ErasedError) and t.name in report.settled)]
    codes = {code_of(trouble.error) for trouble in told}
    if grave := next((each for each in _GRAVE if each in codes), None):
        return grave
    return Exit.WAITING if report.waiting or any(trouble.engine for trouble in told) else Exit.DONE


def _summarize(report: Report) -> None:
    """Say how one turn ended."""
    for trouble in report.troubles:
        say.complain(trouble.error.message, trouble.error.hint)
    say.line(f"{len(report.settled)} at rest" + (f", waiting: {', '.join(report.waiting)}" if report.waiting else ""))


def _engine(each: FollowedEngine, folder: Path) -> ServingEngine:
    folders = (folder, each.sees_dir_as) if each.sees_dir_as is not None else None
    return ServingEngine(each.url, kind=each.kind, api_key=_key(each.api_key_file), folders=folders)


def _key(path: Path | None) -> Callable[[], str | None]:
    """Reads an engine's key when it is needed, so that it may be changed meanwhile."""

    def read() -> str | None:
        if path is None:
            return None
        try:
            key = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Denied(f"{path} cannot be read: {error.strerror}", "api_key_file of this engine") from None
        log.hide(key)
        return key

    return read


def _spec(each: FollowedAdapter, engines: Sequence[Engine], found: Following) -> Spec:
    """One adapter on its engines; a command is told of all of them."""
    listed = {engine.url for engine in found.engines} if each.engines is None else set(each.engines)
    served = {_engine(engine, found.dir).key for engine in found.engines if engine.url in listed}
    keys = tuple(engine.key for engine in engines if engine.key in served or isinstance(engine, CommandEngine))
    return Spec(each.reference, each.stable_name, keys)


def _settings(found: Following) -> Settings:
    return Settings(
        index=found.index_repo,
        optional=found.index == AUTO,
        recheck=found.recheck,
        interval=found.interval,
        drain=found.drain,
        patience=found.patience,
        keep=found.keep,
        golden=Golden(found.golden),
    )


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """End between two acts at SIGTERM and Ctrl-C, and at once where an act takes too long: any moment is safe."""

    def end(*_: object) -> None:
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def leave(*_: object) -> None:
        os._exit(Exit.DONE)

    handlers: dict[signal.Signals, Any] = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGALRM: leave}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
