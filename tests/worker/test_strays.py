"""Nothing that a worker started outlives it: not in another session, not as an orphan, not with another environment."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapterd.ports import WorkerDied
from adapterd.worker import strays
from adapterd.worker.environment import MARK
from worker.test_supervisor import Start, ask, death, eventually, gone, start

__all__ = ["start"]
SLEEP = "import time; time.sleep(300)"
DETACHED = f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True).pid"
ORPHAN = """
def orphan():
    r, w = os.pipe()
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(w, str(os.getpid()).encode())
            time.sleep(300)
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(r, 16))
"""
BARE = f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True, env={{}}).pid"


def told(note: Path) -> int:
    """The process id that a child wrote down."""
    eventually(lambda: note.exists() and note.read_text() != "")
    return int(note.read_text())


@pytest.mark.parametrize("end", ["time.sleep(300)", "os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
@pytest.mark.parametrize(("before", "started"), [("", DETACHED), (ORPHAN, "orphan()")])
def test_what_left_the_process_group_dies_too(
    start: Start, tmp_path: Path, before: str, started: str, end: str
) -> None:
    """After a deadline, an exit or a kill: a session of its own and a double fork are no way out."""
    note = tmp_path / "pid"
    died = death(start(f"{before}\nhear(); open({str(note)!r}, 'w').write(str({started}))\n{end}"), seconds=2.0)
    assert isinstance(died, WorkerDied)
    eventually(lambda: gone(told(note)))


def test_a_child_with_an_empty_environment_dies_with_a_worker_that_is_ended(start: Start, tmp_path: Path) -> None:
    """It carries no mark, but it descends from a worker that still runs when its deadline comes."""
    note = tmp_path / "pid"
    death(start(f"hear(); open({str(note)!r}, 'w').write(str({BARE}))\ntime.sleep(300)"), seconds=1.5)
    eventually(lambda: gone(told(note)))


def test_an_idle_worker_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    """When it is closed, what it started goes with it."""
    note = tmp_path / "pid"
    supervisor = start(f"n = hear()['id']; open({str(note)!r}, 'w').write(str({DETACHED})); answer(n); hear()")
    ask(supervisor)
    supervisor.close()
    eventually(lambda: gone(told(note)))


def test_each_worker_has_a_mark_of_its_own(start: Start) -> None:
    """So that the end of one harms no other."""
    code = "while True:\n    answer(hear()['id'], mark=os.environ['" + MARK + "'])\n"
    one, other = start(code), start(code)
    marks = {ask(one).measurements["mark"], ask(other).measurements["mark"]}
    assert len(marks) == 2
    one.close()
    assert ask(other).measurements["mark"] in marks


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user with another worker's mark."""
    with subprocess.Popen([sys.executable, "-c", SLEEP], env={**os.environ, MARK: "another"}) as process:
        yield process
        process.kill()


def test_other_processes_are_left_alone(bystander: subprocess.Popen[bytes]) -> None:
    """A mark must be the whole value; without any stray nothing is killed."""
    strays.end("anothe")
    strays.end("another one")
    assert bystander.poll() is None
    strays.end("another")
    assert bystander.wait(20) == -9


def test_where_there_is_no_proc_nothing_is_done(tmp_path: Path) -> None:
    """Another system has its process groups alone."""
    began = time.monotonic()
    strays.end("mark", os.getpid(), tmp_path / "none")
    assert time.monotonic() - began < 1
