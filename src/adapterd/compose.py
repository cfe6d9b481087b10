"""Compose a host: the ports behind a configuration, under the writer's lock."""

import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapterd import log as logs
from adapterd.config import Config, ConfigError, Places, find_token, load, places
from adapterd.config.checks import root_conflict
from adapterd.core.breaker import Rule
from adapterd.core.budget import Limits
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import BY_CODE
from adapterd.fingerprints import Digests
from adapterd.instance import fresh_publisher, keep_instance, known_publisher, new_instance, read_instance
from adapterd.pace import Pace, Terms
from adapterd.ports import Registry, RegistryBusy, RegistryError
from adapterd.registry import SqlRegistry, acquire, install, open_registry, prepare, remove, revision, verify
from adapterd.roots import SettleError
from adapterd.spool import Spool, clear_asides
from adapterd.steps.host import Host
from adapterd.worker.converting import Converter
from adapterd.worker.gates import GateRunner
from adapterd.worker.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from adapterd.hub.client import HubClient

log = logs.get_logger(__name__)


class SetupError(AdapterdError):
    """This host is not set up for what was asked: a folder, a command, a path."""


def terms_of(config: Config) -> Terms:
    """The terms of a configuration for the pace of its endpoint."""
    schedule, allowed = config.schedule, config.hub.budget
    rule = Rule(schedule.backoff, schedule.backoff_max, trial=config.hub.deadline)
    return Terms(Limits(allowed.requests, allowed.commits), rule)


def pace_of(config: Config, former: Host | None = None) -> Pace:
    """The pace of a configuration's endpoint: the former host's where the endpoint is the same, under today's terms."""
    same = former is not None and former.config.hub.endpoint == config.hub.endpoint
    pace = former.pace if former is not None and same else Pace()
    pace.configure(terms_of(config))
    return pace


def hub_of(config: Config, environ: Mapping[str, str], home: Path, pace: Pace | None = None) -> "HubClient":
    """The Hub client of a configuration; without a token where none is to be found."""
    from adapterd.hub.client import HubClient  # noqa: PLC0415 - who has nothing to publish needs none

    try:
        token = find_token(config, environ, home)
    except ConfigError as error:
        log.warning("token_missing", message=error.message, hint=error.hint)
        value = None
    else:
        value = token.value
        logs.hide(value)
        if token.warning:
            log.warning("token_readable_by_others", message=token.warning)
    hub = config.hub
    xet = hub.xet if isinstance(hub.xet, bool) else hub.endpoint == "https://huggingface.co" and hub.ca_file is None
    return HubClient(
        hub.endpoint, value, xet=xet, ca_file=hub.ca_file, proxy=hub.proxy, deadline=hub.deadline, pace=pace
    )


def worker_of(config: Config, digests: Digests | None = None) -> WorkerSupervisor:
    """The worker's supervisor of a configuration; `digests` are those of base files that are known already."""
    rules = config.validation
    return WorkerSupervisor(threads=rules.threads, idle_exit=rules.idle_exit, digests=digests)


class Once:
    """A Hub client that is made when it is first needed, and anew while there is no token for it."""

    def __init__(self, make: Callable[[], "HubClient"]) -> None:
        """Remember how to make it."""
        self._make = make
        self._lock = threading.Lock()
        self._made: HubClient | None = None

    def __call__(self) -> "HubClient":
        """Give the one client; made now where there is none yet, or a token may have come meanwhile."""
        with self._lock:
            if self._made is None or not self._made.signed_in:
                self._made = self._make()
            return self._made


@contextmanager
def opened(config: Config) -> Iterator[Host]:
    """Everything that steps need, under the writer's lock.

    Raises RegistryError where another process writes, or the registry is missing, damaged or newer.
    """
    at = _folders(config)
    with acquire(at.registry):
        for file in (at.index, at.instance, at.digests):
            clear_asides(file)
        known = known_publisher(at)
        prepare(at.registry)
        verify(at.registry)
        # Who we are is kept after the registry is there: a crash between the two must not look like a lost one.
        publisher = known or new_instance(at)
        with _composed(config, at, open_registry(at.registry), publisher) as host:
            yield host


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A registry in the making: its host, and whether this publisher is new here."""

    host: Host
    successor: bool


@contextmanager
def rebuilding(config: Config) -> Iterator[Rebuilding]:
    """A host over an empty registry that takes the lost one's place when the block ends well.

    It is made beside it: after a crash the registry is as it was, and the rebuild begins anew. A damaged one is kept
    under another name. Raises RegistryError where the registry is whole, newer, or no registry at all.
    """
    at = _folders(config)
    with acquire(at.registry):
        _demand_loss(at.registry)
        known = read_instance(at)
        publisher = known or fresh_publisher()
        aside = at.registry.with_name(f".{at.registry.name}.rebuilt")
        remove(aside)
        try:
            prepare(aside)
            with _composed(config, at, open_registry(aside), publisher) as host:
                yield Rebuilding(host, successor=known is None)
            install(aside, at.registry, "damaged")
        except OSError as error:
            raise SetupError(f"{aside} cannot be made: {error.strerror or error}", "make room there") from error
        finally:
            remove(aside)
        if known is None:
            keep_instance(at, publisher)


def _demand_loss(registry: Path) -> None:
    """RegistryError unless the registry is missing, empty, or damaged."""
    if not registry.exists() or registry.stat().st_size == 0:
        return
    try:
        verify(registry)
    except RegistryBusy:
        raise
    except RegistryError as error:
        log.warning("registry_damaged", message=error.message)
        return
    revision(registry)
    raise RegistryError(
        f"there is a registry at {registry}; only a lost one is rebuilt", "move it aside first, and keep it"
    )


def _folders(config: Config) -> Places:
    """Where everything lies, with its folders made."""
    at = places(config, os.environ, Path.home())
    for root in config.roots:
        # By their names they are apart, or the configuration would have been refused; a link may join them.
        if text := root_conflict([Path(root.path).resolve()], at.spool.resolve()):
            raise SetupError(f"through a link, {text}", "set spool.path to a folder outside every root")
    for folder in {at.state, at.registry.parent, at.instance.parent}:
        make_folder(folder)
    return at


@contextmanager
def _composed(config: Config, at: Places, registry: SqlRegistry, publisher: str) -> Iterator[Host]:
    """The host over an open registry; everything that it holds ends with the block."""
    host = host_of(config, at, registry, publisher)
    try:
        try:
            host.spool.prepare()
        except SettleError as error:
            # Whatever is copied says so again, and waits; all else goes on.
            log.warning("spool_unusable", reason=error.code, message=error.message, hint=BY_CODE[error.code].hint)
        registry.reclaim(publisher)  # nobody else can hold a lease of ours: we have the writer's lock
        yield host
    finally:
        host.validator.close()
        host.gates.close()
        host.convert.close()
        registry.close()


def make_folder(folder: Path) -> None:
    """Make a folder private to this user; SetupError where that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be made: {error.strerror}", "set state_dir to a folder that this user can write"
        ) from error


def host_of(config: Config, at: Places, registry: Registry, publisher: str) -> Host:
    """The host of a configuration over an open registry."""
    digests, pace = Digests(at.digests), pace_of(config)
    return Host(
        config=config,
        registry=registry,
        hub=Once(lambda: hub_of(config, os.environ, Path.home(), pace)),
        validator=worker_of(config, digests),
        convert=Converter(),
        gates=GateRunner(),
        spool=Spool(at.spool, [str(Path.home()), *(str(root.path) for root in config.roots)]),
        publisher=publisher,
        clock=time.time,
        monotonic=time.monotonic,
        user=pwd.getpwuid(os.getuid()).pw_name,
        index=at.index,
        digests=digests,
        pace=pace,
    )


@contextmanager
def offline(config_path: Path) -> Iterator[Host]:
    """What a verb that changes something works on when no daemon runs."""
    config = load(config_path)
    with opened(config) as host:
        yield host
