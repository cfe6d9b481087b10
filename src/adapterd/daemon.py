"""The composition root: builds the ports, starts the lanes, listens to signals and to people.

It never imports torch: that is the worker's. Migrations run in a child.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path
from types import FrameType
from typing import Any

from adapterd import log as logs
from adapterd.answering import Answers
from adapterd.audit import AuditLog
from adapterd.bases import BaseMissingError, configured, recorded
from adapterd.compose import Once, SetupError, hub_of, make_folder, opened, pace_of, worker_of
from adapterd.config import Config, ConfigError, find_token, load, places
from adapterd.control import ControlServer
from adapterd.core import verdict as judge
from adapterd.core.errors import AdapterdError
from adapterd.core.examples import BadExamplesError
from adapterd.core.version import Stage
from adapterd.draining import Draining
from adapterd.health import Health
from adapterd.lanes import Exports, Intake, Lane, Steps, coming, stamp
from adapterd.mirroring import Mirror
from adapterd.reconcile import LINE
from adapterd.revalidating import Revalidation
from adapterd.sdnotify import Notifier
from adapterd.steps.again import stage_again
from adapterd.steps.host import Host
from adapterd.steps.validate import examples_of, policy_of, root_of
from adapterd.upkeep import CHORES, TRIGGERS, Upkeep
from adapterd.wakeups import Calendar, Wake, Watcher

log = logs.get_logger(__name__)

STOP_SECONDS = 75.0
"""How long SIGTERM waits for what is in hand; below TimeoutStopSec and stop_grace_period of the shipped units."""


class Daemon:
    """`adapterd watch`: lanes, wake-ups, signals."""

    def __init__(self, config_path: Path, host: Host, notifier: Notifier) -> None:
        """Build everything; nothing runs yet."""
        self._config_path = config_path
        self._read = stamp(config_path)
        self._host = host
        self._places = places(host.config, os.environ, Path.home())
        self._notify = notifier
        self.stopping = threading.Event()
        self.reloading = threading.Event()
        self.health = Health(
            package_version("adapterd"),
            host.publisher,
            time.time(),
            time.monotonic,
            stale_after=4 * host.config.schedule.scan + 60,
            hub=self._pace,
        )
        self._wakes = {name: Wake() for name in ("intake", "validate", "publish", "exports", "mirror", "upkeep")}
        self._main = Wake()
        self._watcher = Watcher(self._wakes["intake"])
        self._calendar = Calendar()
        self.intake = Intake(self.host, self.health, self._watcher)
        self._again = Revalidation(self.health, self._wakes["exports"].set)
        self._validate = Steps(self.host, self.health, LINE[0], self._wakes["publish"], self._again.turn)
        self._publish = Steps(self.host, self.health, LINE[1], self._wakes["exports"])
        self._exports = Exports(self.host, self.health)
        self._mirror = Mirror(self.host, self.health)
        self._upkeep = Upkeep(self.host, self.health)
        turns = {
            "intake": self._take_in,
            "validate": self._validate.turn,
            "publish": self._publish.turn,
            "exports": self._export,
            "mirror": self._mirror.turn,
            "upkeep": self._upkeep.turn,
        }
        rests = {"intake": lambda: self.intake.rest}
        self._lanes = [
            Lane(name, turn, self._wakes[name], self.health, rests.get(name, lambda: 0.0))
            for name, turn in turns.items()
        ]
        self._answers = Answers(
            self.host,
            self.health,
            AuditLog(self._places.audit),
            self.intake,
            self._exports,
            self._again,
            self._reread,
            self._renew,
            self.wake,
        )
        self._servers: list[Any] = []
        self._control: ControlServer | None = None
        self._swapping = threading.Lock()

    def host(self) -> Host:
        """The host of the present configuration."""
        return self._host

    def _pace(self) -> Mapping[str, Any]:
        return self._host.pace.document()

    def _take_in(self) -> float:
        staged = self.health.counters.get("version_staged", 0)
        pause = self.intake.turn()
        if self.health.counters.get("version_staged", 0) != staged:
            self._wakes["validate"].set()
        return pause

    def _export(self) -> float:
        moved = self.health.counters.get("channel_moved", 0)
        pause = self._exports.turn()
        if self.health.counters.get("channel_moved", 0) != moved:
            self._wakes["mirror"].set()
        return pause

    def wake(self) -> None:
        """Make every lane look."""
        for wake in self._wakes.values():
            wake.set()

    def start(self) -> None:
        """Start lanes, wake-ups, the control socket and the status page, and say that we are ready."""
        self._look_for_token()
        self._serve()
        self._calendar.start()
        self._set_calendar()
        self._exports.look()
        for lane in self._lanes:
            lane.start()
        self.health.ready = True
        self._notify.ready()
        log.info(
            "daemon_started",
            publisher=self._host.publisher,
            roots=[str(root.path) for root in self._host.config.roots],
            endpoint=self._host.config.hub.endpoint,
            namespace=self._host.config.hub.namespace,
        )

    def _set_calendar(self) -> None:
        schedule = self._host.config.schedule
        self._calendar.at(schedule.reconcile, self._afresh, "reconcile")
        self._calendar.at(schedule.revalidate, self._revalidate, "revalidate")
        for chore in CHORES:
            self._calendar.at(getattr(schedule, TRIGGERS.get(chore, chore)), partial(self._ask_for_chore, chore), chore)

    def _revalidate(self) -> None:
        self._again.ask()
        self._wakes["validate"].set()

    def _ask_for_chore(self, chore: str) -> None:
        self._upkeep.ask(chore)
        self._wakes["upkeep"].set()

    def _look_for_token(self) -> None:
        """Say early that there is no token; where there is one, let go of what stalled for want of a good one."""
        host = self._host
        try:
            find_token(host.config, os.environ, Path.home())
        except ConfigError as error:
            self.health.problems["token_missing"] = (error.message, error.hint)
            log.warning("token_missing", message=error.message, hint=error.hint)
            return
        self.health.problems.pop("token_missing", None)
        for version in host.registry.versions():
            if version.stalled and version.reason in ("denied", "token_missing"):
                host.registry.retry(version.id, host.clock(), host.user)

    def _reread(self) -> None:
        """Take up a configuration that was changed since it was read; ConfigError where it is wrong."""
        if stamp(self._config_path) != self._read:
            load(self._config_path)
            self.reload()

    def _afresh(self) -> None:
        self._exports.look()
        self._exports.afresh.set()
        self.wake()

    def _listen(self) -> None:
        """Have a control socket; where none can be made the line goes on, and it is tried again."""
        if self._control is not None:
            return
        control = ControlServer(self._places.socket, self._answers.handlers())
        try:
            make_folder(self._places.socket.parent)
            control.start()
        except AdapterdError as error:
            if not (self.health.ready or isinstance(error.__cause__, OSError)):
                raise  # another daemon listens there: two would answer for one
            if "control_socket" not in self.health.problems:
                log.warning("control_socket_off", message=error.message, hint=error.hint)
            self.health.problems["control_socket"] = (error.message, error.hint)
        else:
            self.health.problems.pop("control_socket", None)
            self._control = control
            self._servers.append(control)

    def _serve(self) -> None:
        self._listen()
        address = self._host.config.status.address
        if address is None:
            return
        from adapterd.status import start  # noqa: PLC0415 - costs memory, and may be off

        try:
            page = start(address, self._host.registry, self.health)
        except AdapterdError as error:
            self.health.problems["status_page"] = (error.message, error.hint)
            log.warning("status_page_off", message=error.message, hint=error.hint)
        else:
            self._servers.append(page)
            log.info("status_page_on", url=page.url)

    def reload(self) -> None:
        """SIGHUP: read the configuration again; a wrong one is said and the old one stays."""
        self._notify.reloading()
        self._read = stamp(self._config_path)
        try:
            config = load(self._config_path)
            if _fixed(config) != _fixed(self._host.config):
                log.warning(
                    "restart_needed", message="state_dir, runtime_dir, registry, spool and status need a restart"
                )
            self._swap(config)
        except AdapterdError as error:
            self.health.problems["configuration"] = (error.message, error.hint)
            log.error("configuration_refused", message=error.message, hint=error.hint)  # noqa: TRY400 - the user's file
        else:
            self.health.problems.pop("configuration", None)
            log.info("configuration_reloaded", roots=[str(root.path) for root in config.roots])
            self._name_affected()
            self._look_for_token()
        self._notify.ready()
        self.wake()

    def _swap(self, config: Config) -> None:
        old = self._host
        pace = pace_of(config, old)
        hub = Once(lambda: hub_of(config, os.environ, Path.home(), pace))
        changes: dict[str, Any] = {"config": config, "hub": hub, "pace": pace}
        if (config.validation.threads, config.validation.idle_exit) != (
            old.config.validation.threads,
            old.config.validation.idle_exit,
        ):
            changes["validator"] = worker_of(config, old.digests)
        with self._swapping:
            self._host = replace(old, **changes)
        if self._host.validator is not old.validator:
            old.validator.close()
        logs.configure(config.log.level, config.log.format)
        self._set_calendar()

    def _renew(self) -> None:
        """A person who sets something going may have given another token meanwhile."""
        with self._swapping:
            config, pace = self._host.config, self._host.pace
            self._host = replace(self._host, hub=Once(lambda: hub_of(config, os.environ, Path.home(), pace)))

    def _name_affected(self) -> None:
        """Name the rejected versions whose verdict was reached under rules that are no longer those of today."""
        host = self._host
        for version in host.registry.versions(stage=Stage.REJECTED):
            rows = host.registry.validations(version.id)
            terms = rows[-1].report.get("policy_terms", {}) if rows else {}
            root = root_of(host, version)
            was = recorded(terms)
            base = configured(was.id, was.revision, "", host.config, root)
            try:
                examples = examples_of(host.config, base, root)
                today = policy_of(host.config, base, examples, host.digests)
            except (BadExamplesError, BaseMissingError):
                continue
            if rows and judge.policy_id(today) != rows[-1].policy:
                log.warning(
                    "rejected_under_older_policy", version=version.label, hint=f"adapterd retry {version.label}"
                )

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Ping the service manager and reload on demand, until stopped or `until` is true; then stop everything."""
        interval = self._notify.watchdog_interval()
        pause = min(interval or 5.0, 5.0 if until is None else 0.5)
        counted: int | None = None
        while not (self.stopping.is_set() or (until is not None and until())):
            self._main.wait(pause)
            if self.reloading.is_set():
                self.reloading.clear()
                self.reload()
            if self.health.alive() and all(lane.is_alive() for lane in self._lanes):
                self._notify.watchdog()
            self._listen()
            counted = self._tell(counted)
        self.stop()

    def _tell(self, counted: int | None) -> int | None:
        """Say to the service manager what changed; the registry's troubles are the lanes', and end nothing."""
        registry = self._host.registry
        try:
            if (changes := registry.changes()) == counted:
                return counted
            counts = registry.counts()
        except AdapterdError as error:
            self._notify.status(error.message)
            return None
        self._notify.status(f"{counts.get('published', 0)} published, {counts.get('stalled', 0)} stalled")
        return changes

    def interrupt(self) -> None:
        """End `run` soon; safe in a signal handler."""
        self.stopping.set()
        self._main.set()

    def ask_reload(self) -> None:
        """Reload soon; safe in a signal handler."""
        self.reloading.set()
        self._main.set()

    def stop(self) -> None:
        """Finish or give back what is in hand, within `STOP_SECONDS`."""
        self._notify.stopping()
        log.info("daemon_stopping")
        for part in (self.intake, self._validate, self._publish, self._exports, self._mirror, self._upkeep):
            part.stopping.set()
        for lane in self._lanes:
            lane.stop()
        self._host.validator.close()
        self._host.gates.close()
        self._host.convert.close()
        deadline = time.monotonic() + STOP_SECONDS
        for lane in self._lanes:
            lane.join(max(0.1, deadline - time.monotonic()))
        self._calendar.close()
        self._watcher.close()
        for server in self._servers:
            server.stop()
        log.info("daemon_stopped", in_hand=[lane.name for lane in self._lanes if lane.is_alive()])


def _fixed(config: Config) -> tuple[object, ...]:
    return config.state_dir, config.runtime_dir, config.registry.path, config.spool.path, config.status


def watch(config_path: Path, command: Sequence[str] = ()) -> int:
    """Run the daemon in the foreground; with a command, beside it, until the line has drained. The exit code."""
    config = load(config_path)
    logs.configure(config.log.level, config.log.format)
    notifier = Notifier.take(os.environ)
    with opened(config) as host:
        stage_again(host)
        daemon = Daemon(config_path, host, notifier)
        _on(signal.SIGHUP, daemon.ask_reload)
        if command:
            return _beside(daemon, host, command)
        for number in (signal.SIGTERM, signal.SIGINT):
            _on(number, daemon.interrupt)
        daemon.start()
        daemon.run()
        return 0


def _on(number: signal.Signals, do: Callable[[], object]) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        do()

    signal.signal(number, handler)


def _beside(daemon: Daemon, host: Host, command: Sequence[str]) -> int:
    """Run a training command, watch while it trains, drain, and return its exit code."""
    # The baseline of what lies here is taken before the command can write.
    daemon.intake.turn()
    draining = Draining(daemon.host, daemon.health, daemon.wake, coming(host))
    try:
        child = subprocess.Popen(command)  # noqa: S603 - the operator's own command
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started: {error.strerror}", "check the command after `--`") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        _on(number, partial(_pass_on, child, number, daemon))
    daemon.start()
    daemon.run(lambda: child.poll() is not None and draining.done())
    code = child.wait()
    return code if code >= 0 else 128 - code


def _pass_on(child: "subprocess.Popen[bytes]", number: signal.Signals, daemon: Daemon) -> None:
    """Hand a signal to the command; a second one ends the drain too."""
    if child.poll() is None:
        child.send_signal(number)
    else:
        daemon.interrupt()
