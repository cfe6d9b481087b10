"""How a worker steps back behind training, and what holds it in."""

import os
import subprocess
import sys

UNPRIVILEGED = 65534 if os.getuid() == 0 else None
"""Another user for what the superuser is exempt from."""


def ended(code: str, user: int | None = None) -> str:
    """Run a line of Python in a process of its own, as another user where one is given; what it printed."""
    become = f"import os; os.setgroups([]); os.setuid({user});" if user is not None else ""
    program = f"from adapterd.worker.yielding import *; import os, resource, sys, time; {become}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_a_worker_is_nice_idle_on_the_disk_and_the_first_to_go() -> None:
    """CPU, disk and memory are training's first."""
    told = ended(
        "was = os.nice(0); yield_to_training(os.getppid())\n"
        "import ctypes; calls = {'x86_64': 252, 'aarch64': 31}\n"
        "print(os.nice(0) - was, ctypes.CDLL(None).syscall(calls[os.uname().machine], 1, 0) >> 13,\n"
        "      open('/proc/self/oom_score_adj').read())"
    )
    assert told.split() == [str(min(10, 19 - os.nice(0))), "3", "600"]


def test_a_worker_leaves_no_core_file() -> None:
    """It would hold the base model, and who knows what else."""
    assert ended("contain(); print(resource.getrlimit(resource.RLIMIT_CORE))") == "(0, 0)"


def test_orphans_come_back_to_the_worker() -> None:
    """So that they are found when it ends."""
    code = (
        "contain()\nif (child := os.fork()) == 0:\n"
        "    if os.fork() == 0:\n"
        "        while os.getppid() not in (1, {0}): time.sleep(0.01)\n"
        "        os._exit(os.getppid() == {0})\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0); print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    assert ended(code.replace("{0}", "parent").replace("contain()\n", "contain(); parent = os.getpid()\n")) == "1"


def test_a_fork_bomb_ends_at_the_limit() -> None:
    """The limit lies above what the user runs already; the superuser has none."""
    code = (
        "contain(20); r, w = os.pipe(); made = 0\n"
        "while made < 2000:\n"
        "    try: child = os.fork()\n"
        "    except BlockingIOError: break\n"
        "    if child == 0: os.close(w); os.read(r, 1); os._exit(0)\n"
        "    made += 1\n"
        "print(made); os.close(w)"
    )
    made = int(ended(code, UNPRIVILEGED))
    assert made < 1000


def test_a_limit_that_is_lower_already_stays() -> None:
    """An operator's own limit is not lifted."""
    code = (
        "resource.setrlimit(resource.RLIMIT_NPROC, (7, 7)); contain(); print(resource.getrlimit(resource.RLIMIT_NPROC))"
    )
    assert ended(code) == "(7, 7)"


def test_what_runs_is_counted_by_the_kernel() -> None:
    """Each further thread counts; the limit that was set stays. The superuser's are not counted."""
    code = (
        "before = resource.getrlimit(resource.RLIMIT_NPROC)\n"
        "import threading; stop = threading.Event(); was = tasks()\n"
        "for _ in range(300): threading.Thread(target=stop.wait).start()\n"
        "print(tasks() - was, resource.getrlimit(resource.RLIMIT_NPROC) == before); stop.set()"
    )
    more, same = ended(code, UNPRIVILEGED).split()
    assert 250 <= int(more) <= 350
    assert same == "True"


def test_the_limit_lies_well_above_what_runs() -> None:
    """A library may start threads by the hundred."""
    code = "was = tasks(); contain(); print(resource.getrlimit(resource.RLIMIT_NPROC)[0] - was)"
    assert int(ended(code, UNPRIVILEGED)) >= 3000
