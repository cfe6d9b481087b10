"""Disks that are full, read-only, gone or failing: said with a hint, nothing lost, no traceback, and on it goes."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd.audit import AuditLog, Entry
from adapterd.compose import rebuilding
from adapterd.config import load, places
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import reason
from adapterd.core.version import Outcome, Stage, Waiting
from adapterd.health import Health
from adapterd.hub.server import Account, RunningHub, start
from adapterd.instance import keep_instance
from adapterd.lanes import Intake, Steps
from adapterd.ports import Claim, RegistryBusy, RegistryError
from adapterd.reconcile import LINE, Arrow
from adapterd.registry import acquire, backup, open_reader, prepare
from adapterd.spool import Spool
from adapterd.steps.host import Host
from helpers.adapters import write_adapter
from helpers.disks import full, mounted, read_only
from helpers.hosts import BASE, NAMESPACE, TOKEN, World
from helpers.sites import PATIENCE, Daemon, Site, until

NO_HUB = "http://127.0.0.1:9"
STRACE = shutil.which("strace")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    with mounted(tmp_path / "disk", "4m") as small:
        yield small


@pytest.fixture
def world(tmp_path: Path, disk: Path) -> Iterator[World]:
    """A publisher whose registry and spool lie on the small disk; it has no Hub."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "state").symlink_to(disk)
    made = World(tmp_path / "w", NO_HUB)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that all sites share."""
    with start(tmp_path_factory.mktemp("hub") / "data", [Account(NAMESPACE, TOKEN)]) as running:
        yield running


@pytest.fixture
def site(hub: RunningHub, tmp_path: Path) -> Site:
    """A training host."""
    return Site(tmp_path, hub)


@pytest.fixture
def watch(site: Site) -> Iterator[Callable[..., Daemon]]:
    """Start daemons; those that still run at the end of the test are ended."""
    with ExitStack() as stack:

        def begin() -> Daemon:
            daemon = Daemon(site)

            def end() -> None:
                daemon.stop()

            stack.callback(end)
            return daemon

        yield begin


def _health(world: World) -> Health:
    return Health("1", world.publisher, 0.0, world.clock)


def _write(world: World, run: str, seed: int) -> Path:
    return write_adapter(world.tmp / "train" / run, seed=seed, base=BASE)


def _turns(world: World, intake: Intake, times: int = 3) -> list[str]:
    """Turn so often, and give what went wrong; nothing but the registry's own words may."""
    said = []
    for _ in range(times):
        try:
            intake.turn()
        except RegistryError as error:
            said.append(error.message)
        world.clock.now += 10
    return said


def test_a_full_disk_holds_a_copy_up_until_there_is_room(world: World, disk: Path) -> None:
    """Neither the copy nor the record fits; when room is made both are there, without anybody's doing."""
    intake = Intake(lambda: world.host, _health(world))
    assert _turns(world, intake) == []
    _write(world, "run-1", 1)
    with full(disk):
        said = _turns(world, intake, 5)
        assert all("the disk is full" in text for text in said)
        assert list(world.registry.versions()) == []
    assert _turns(world, intake) == []
    assert [v.run for v in world.registry.versions()] == ["run-1"]
    assert not list((world.host.spool.path / ".incoming").glob("*"))


def test_a_copy_without_its_record_is_taken_up_though_its_directory_is_gone(tmp_path: Path) -> None:
    """The registry's disk fills up between the two, and the trainer rotates the directory away meanwhile."""
    with mounted(tmp_path / "disk", "4m") as disk:
        (tmp_path / "w").mkdir()
        (tmp_path / "w" / "state").symlink_to(disk)
        world = World(tmp_path / "w", NO_HUB, extra={"spool": f"{{path: {tmp_path}/w/spool}}"})
        world.host = _with_spool(world.host, tmp_path / "w" / "spool")
        intake, fills = Intake(lambda: world.host, _health(world)), ExitStack()
        _turns(world, intake)
        run = _write(world, "run-1", 1)
        _turns(world, intake, 1)
        world.host = replace(world.host, registry=_Filling(world.registry, fills, disk))  # type: ignore[arg-type]  # stands in
        assert _turns(world, intake, 1)
        assert [adapter for adapter, _, _ in world.host.spool.sidecars()] == [f"{NAMESPACE}/run-1"]
        shutil.rmtree(run)
        fills.close()
        assert _turns(world, intake) == []
        assert [(v.run, v.stage) for v in world.registry.versions()] == [("run-1", Stage.STAGED)]
        world.close()


class _Filling:
    """A registry whose disk is full from the binding of a series on, which stands just before the copy."""

    def __init__(self, registry: object, fills: ExitStack, disk: Path) -> None:
        self._registry, self._fills, self._disk, self._done = registry, fills, disk, False

    def __getattr__(self, name: str) -> object:
        found = getattr(self._registry, name)
        if name != "bind" or self._done:
            return found

        def bind(*args: object) -> object:
            self._done = True
            answer = found(*args)
            self._fills.enter_context(full(self._disk))
            return answer

        return bind


def _with_spool(host: Host, path: Path) -> Host:
    spool = Spool(path)
    spool.prepare()
    return replace(host, spool=spool)


def test_a_step_whose_record_cannot_be_written_is_done_again_at_once(world: World, disk: Path) -> None:
    """It is no failed attempt and no fault of adapterd, and the version does not wait until its lease runs out."""
    intake = Intake(lambda: world.host, _health(world))
    _turns(world, intake)
    _write(world, "run-1", 1)
    _turns(world, intake)
    fills: list[ExitStack] = []
    done: list[str] = []

    def step(host: Host, claim: Claim) -> Outcome:
        """The disk fills up while the step is at work."""
        if not fills:
            fills.append(ExitStack())
            fills[0].enter_context(full(disk))
        done.append(claim.version.run)
        return Waiting(host.clock() + 100, reason("device_busy", "no room"))

    lane = Steps(lambda: world.host, _health(world), Arrow("validate", Stage.STAGED, step))
    for _ in range(2):
        with pytest.raises(RegistryBusy):
            lane.turn()
    fills[0].close()
    lane.turn()
    (version,) = world.registry.versions()
    assert (version.attempts, version.stalled, version.reason) == (0, False, "device_busy")
    assert done == ["run-1", "run-1"]


def test_a_spool_that_turns_read_only_is_waited_for(tmp_path: Path) -> None:
    """The directory waits with `spool_unwritable`; writable again, it is copied."""
    with mounted(tmp_path / "spool", "4m") as disk:
        world = World(tmp_path / "w", NO_HUB)
        world.host = _with_spool(world.host, disk / "spool")
        intake = Intake(lambda: world.host, _health(world))
        _turns(world, intake)
        _write(world, "run-1", 1)
        with read_only(disk):
            _turns(world, intake)
            (seen,) = world.registry.observations()
            assert (seen.state, seen.reason) == ("waiting", "spool_unwritable")
            assert seen.hint
        assert _turns(world, intake) == []
        assert [o.state for o in world.registry.observations()] == ["settled"]
        world.close()


def test_a_spool_whose_disk_went_away_is_waited_for(tmp_path: Path) -> None:
    """That all snapshots are gone at once says nothing about one of them: no version stalls as damaged."""
    world = World(tmp_path / "w", NO_HUB)
    intake = Intake(lambda: world.host, _health(world))
    _turns(world, intake)
    _write(world, "run-1", 1)
    _turns(world, intake)
    spool = world.host.spool.path
    spool.rename(tmp_path / "away")
    spool.mkdir()
    lane = Steps(lambda: world.host, _health(world), LINE[0])
    lane.turn()
    (version,) = world.registry.versions()
    assert (version.stage, version.stalled, version.reason) == (Stage.STAGED, False, "spool_unreadable")
    spool.rmdir()
    (tmp_path / "away").rename(spool)
    world.clock.now += 3600
    lane.turn()
    assert [v.stage for v in world.registry.versions()] == [Stage.VALIDATED]
    world.close()


@pytest.mark.parametrize("refusal", [OSError(28, "No space left on device"), OSError(5, "Input/output error")])
def test_what_the_operating_system_refuses_a_step_is_tried_again(world: World, refusal: OSError) -> None:
    """A full or failing disk below a step is no fault of adapterd: said without a traceback, tried with pauses."""
    intake = Intake(lambda: world.host, _health(world))
    _turns(world, intake)
    _write(world, "run-1", 1)
    _turns(world, intake)

    def step(_host: Host, _claim: Claim) -> Outcome:
        """Meet the refusal."""
        raise refusal

    Steps(lambda: world.host, _health(world), Arrow("validate", Stage.STAGED, step)).turn()
    (version,) = world.registry.versions()
    assert (version.reason, version.attempts, version.stalled) == ("system_refused", 1, False)
    assert str(refusal.strerror) in version.message


def test_what_cannot_be_written_down_is_not_done(disk: Path) -> None:
    """An audit log that may not be written says so before anything is done; a line that did not fit breaks nothing."""
    log = AuditLog(disk / "audit.jsonl")
    entry = Entry(1.0, 0, "alice", "retry", {}, "why", "done")
    log.append(entry)
    with read_only(disk), pytest.raises(AdapterdError, match="Read-only") as caught:
        log.demand()
    assert caught.value.hint
    with full(disk), suppress(AdapterdError):
        for _ in range(100):
            log.append(entry)
    log.demand()
    log.append(entry)
    assert log.broken_at() is None


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, also those in between, and a registry that was copied back with more."""
    before = os.umask(0)
    try:
        state = tmp_path / "state"
        spool = Spool(state / "spool")
        spool.prepare()
        spool.freeze(
            write_adapter(tmp_path / "train", base="/models/base"),
            "acme/support",
            lambda _: "acme/base",
            (10**7, 100),
            beside=lambda _: {"schema": 1},
        )
        registry = state / "registry.db"
        prepare(registry)
        acquire(registry).release()
        registry.chmod(0o666)
        prepare(registry)
        AuditLog(state / "audit.jsonl").append(Entry(1.0, 0, "a", "retry", {}, "", "done"))
        backup(registry, state / "backups" / "registry-2026-11-25.db")
    finally:
        os.umask(before)
    for path in state.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_running_daemon_outlives_a_full_disk(site: Site, watch: Callable[..., Daemon], tmp_path: Path) -> None:
    """It goes on where it was when room is made; what was written meanwhile is taken in, and no traceback is logged."""
    with mounted(tmp_path / "state", "6m") as disk:
        site.configure(base_models="[]")
        write_adapter(site.tmp / "train" / "old-run")
        daemon = watch().ready()
        until(lambda: site.states().get("old-run") == "baseline", "the baseline")
        with full(disk):
            write_adapter(site.tmp / "train" / "late-run", seed=1)
            until(lambda: "full" in daemon.said().split("daemon_started")[1], "the full disk is said")
            assert daemon.process.poll() is None
        until(lambda: site.states().get("late-run") == "settled", "taken in")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.said()
        assert '"exception"' not in daemon.said()


def test_a_runtime_folder_that_cannot_be_made_ends_nothing(site: Site, watch: Callable[..., Daemon]) -> None:
    """The line goes on without its control socket, `status` says so, and it comes as soon as it can."""
    (site.tmp / "run").write_text("in the way")
    daemon = watch().ready()
    assert "control_socket_off" in daemon.said()
    (site.tmp / "run").unlink()
    until(lambda: (site.tmp / "run" / "control.sock").exists() or list((site.tmp / "run").glob("*")), "the socket")
    status = site.run("status", "--config", str(site.config))
    assert "daemon: running" in status.stdout
    assert "control socket" not in status.stdout


def test_a_torn_registry_is_refused_and_a_copy_put_back(site: Site, watch: Callable[..., Daemon]) -> None:
    """Copied beside the running daemon; the refusal names both ways out, and the torn one is kept."""
    config = ("--config", str(site.config))
    daemon = watch().ready()
    made = site.run("registry", "backup", str(site.tmp / "copy.db"), *config)
    assert made.returncode == 0, made.stderr
    again = site.run("registry", "backup", str(site.tmp / "copy.db"), *config)
    assert again.returncode == 2
    running = site.run("registry", "restore", str(site.tmp / "copy.db"), *config)
    assert running.returncode == 78
    assert str(daemon.process.pid) in running.stderr
    assert daemon.stop() == 0
    data = bytearray(site.registry.read_bytes())
    data[8192 + 2000 : 12288] = b"\xff" * 2096
    site.registry.write_bytes(data)
    refused = site.run("watch", *config)
    assert refused.returncode == 78
    assert "damaged" in refused.stderr
    assert "registry restore" in refused.stderr
    assert "registry rebuild" in refused.stderr
    assert "Traceback" not in refused.stderr
    back = site.run("registry", "restore", str(site.tmp / "copy.db"), *config)
    assert back.returncode == 0, back.stderr
    assert (site.tmp / "state" / "registry.db.replaced").exists()
    (site.tmp / "daemon.log").unlink()
    assert watch().ready().stop() == 0


def test_a_rebuild_that_is_interrupted_changes_nothing_and_is_done_again(site: Site) -> None:
    """A half-made registry is never taken for a whole one; a damaged one is kept under another name."""
    config = load(site.config)
    at = places(config, {}, Path("/"))
    at.registry.parent.mkdir(parents=True)
    keep_instance(at, "publisher-x")
    at.registry.write_bytes(b"damaged" * 1000)
    (at.registry.parent / ".registry.db.rebuilt").write_bytes(b"half of one")

    def interrupted() -> None:
        with rebuilding(config) as making:
            making.host.registry.await_baseline("/train")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert at.registry.read_bytes() == b"damaged" * 1000
    assert not list(at.registry.parent.glob(".registry*"))
    with rebuilding(config) as making:
        assert (making.host.publisher, making.successor) == ("publisher-x", False)
        making.host.registry.await_baseline("/train")
    assert at.registry.with_name("registry.db.damaged").read_bytes() == b"damaged" * 1000
    with open_reader(at.registry) as reader:
        assert reader.generation() == 0


def test_an_empty_file_is_a_lost_registry(site: Site) -> None:
    """Where an earlier life left traces, nothing is begun anew in silence."""
    at = places(load(site.config), {}, Path("/"))
    at.registry.parent.mkdir(parents=True)
    keep_instance(at, "publisher-x")
    at.registry.touch()
    refused = site.run("watch", "--config", str(site.config))
    assert refused.returncode == 78
    assert "is missing" in refused.stderr
    assert "registry rebuild" in refused.stderr


@pytest.mark.skipif(STRACE is None, reason="there is no strace to inject errors with")
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_a_registry_whose_disk_fails_is_said_and_passes(site: Site, verb: str) -> None:
    """EIO at every read of the file: no wrong configuration, so that the service manager starts it again."""
    at = places(load(site.config), {}, Path("/"))
    prepare(at.registry)
    inject = ["-f", "-qqq", "-o", "/dev/null", "-P", str(at.registry), "-e", "trace=pread64"]
    command = [
        str(STRACE),
        *inject,
        "-e",
        "inject=pread64:error=EIO",
        *site.command(verb, "--config", str(site.config)),
    ]
    done = subprocess.run(
        command, env=site.environ(), capture_output=True, text=True, check=False, timeout=2 * PATIENCE
    )
    if "ptrace" in done.stderr:
        pytest.skip("nothing may be traced here")
    assert done.returncode == 75, done.stderr
    assert "cannot be read or written" in done.stderr
    assert "Try:" in done.stderr
    assert "Traceback" not in done.stderr
