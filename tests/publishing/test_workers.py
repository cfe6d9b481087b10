"""Workers that die in front of a whole line: the version is tried again, stalls by name, and harms no other."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd import operate, reconcile
from adapterd.core.version import AdapterVersion, Stage
from adapterd.reconcile import LINE
from adapterd.worker.supervisor import WorkerSupervisor
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive
from worker.test_supervisor import PRELUDE

CHILD = """
while True:
    request = hear()
    with open(FOLDER + "/workers", "a") as note: print(os.getpid(), file=note)
    with open(FOLDER + "/bad") as name: bad = "/" + name.read() + "/" in request["request"]["snapshot"]
    if bad:
        MISDEED
    say(event="result", id=request["id"], hashes={}, result=dict(
        findings=[], measurements={"effect": 0.5, "loss_base": 3.0, "loss_adapter": 2.0}, device="cpu",
        dtype="float32", versions={"peft": "0"}, base_fingerprint="f" * 64))
"""

Line = Callable[[str], World]


@pytest.fixture
def line(make_world: Callable[..., World], tmp_path: Path) -> Iterator[Line]:
    """A publisher over a real supervisor, whose worker does a misdeed on the adapters that the file `bad` names."""
    made: list[WorkerSupervisor] = []
    (tmp_path / "bad").touch()

    def build(misdeed: str) -> World:
        code = CHILD.replace("MISDEED", misdeed).replace("FOLDER", repr(str(tmp_path)))
        made.append(WorkerSupervisor(command=[sys.executable, "-c", PRELUDE + code]))
        return make_world(validator=made[-1])

    yield build
    for supervisor in made:
        supervisor.close()


@pytest.fixture
def bad(tmp_path: Path) -> Callable[[str], None]:
    """Say which adapter the worker stumbles over; an empty name is none's."""

    def name(adapter: str) -> None:
        (tmp_path / "bad").write_text(adapter.rpartition("/")[2])

    return name


def now(world: World, version: AdapterVersion) -> AdapterVersion:
    """The version as it is now."""
    found = world.registry.version(version.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("misdeed", "cause", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "worker_crashed", "SIGSEGV"),
        ("sys.exit(0)", "worker_crashed", "exited with status 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "worker_out_of_memory", "SIGKILL"),
        ("time.sleep(300)", "worker_timeout", "was killed after 3 s"),
        ("wire.sendall(b'no json\\n')", "worker_protocol", "no json"),
    ],
)
def test_a_version_that_kills_its_worker_stalls_and_the_next_passes(
    misdeed: str, cause: str, words: str, line: Line, bad: Callable[[str], None], adapter: str, tmp_path: Path
) -> None:
    """Tried twice, each time in a fresh worker; then the cause by name, and every other adapter is published."""
    world = line(misdeed)
    world.extra["validation"] = "{deadline: 3s}"
    world.reopen()
    other = f"{adapter}-other"
    bad(adapter)
    killer, bystander = stage(world, adapter, 1), stage(world, other, 2)
    drive(world)
    found = now(world, killer)
    assert (found.stage, found.stalled, found.reason) == (Stage.STAGED, True, cause)
    assert words in found.message
    assert now(world, bystander).stage is Stage.PUBLISHED
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 3
    assert len(set(workers)) >= 2
    assert sum(event.kind == "worker_died" for event in world.registry.events(killer.id)) == 2


def test_a_version_that_was_not_to_blame_goes_on_after_retry(
    line: Line, bad: Callable[[str], None], adapter: str
) -> None:
    """The host was short of memory that night: one word later it is published."""
    world = line("os._exit(1)")
    bad(adapter)
    version = stage(world, adapter, 1)
    drive(world)
    assert now(world, version).stalled
    bad("")
    assert operate.retry(world.host, version.label, "tester", "") == [version.label]
    drive(world)
    assert now(world, version).stage is Stage.PUBLISHED


def test_a_worker_that_is_spent_serves_no_second_adapter(
    line: Line, bad: Callable[[str], None], adapter: str, tmp_path: Path
) -> None:
    """It changed the base: the next one is measured in a fresh process."""
    spent = (
        "say(event='result', id=request['id'], hashes={}, spent=True, result=dict(findings=[], measurements={},"
        " device='cpu', dtype='float32', versions={}, base_fingerprint='f' * 64)); continue"
    )
    world = line(spent)
    bad(adapter)
    versions = [stage(world, adapter, 1), stage(world, adapter, 2)]
    drive(world)
    assert [now(world, version).stage for version in versions] == [Stage.PUBLISHED] * 2
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == len(set(workers)) == 2


def test_an_idle_worker_is_gone_and_comes_back_for_the_next(line: Line, adapter: str) -> None:
    """After a turn without work nothing of it is left; a later version starts another."""
    world = line("pass")
    first = stage(world, adapter, 1)
    reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5)
    supervisor = world.host.validator
    assert isinstance(supervisor, WorkerSupervisor)
    pid = supervisor.pid
    assert pid is not None
    supervisor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    second = stage(world, adapter, 2)
    drive(world)
    assert [now(world, version).stage for version in (first, second)] == [Stage.PUBLISHED] * 2
