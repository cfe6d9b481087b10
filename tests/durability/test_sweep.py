"""SIGKILL, ENOSPC and EIO at system calls of one publish: it goes on, or says what a person must do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from durability import injection

PLACES = 6
"""Of each kind in a publish; `make sweep` takes all."""


@pytest.mark.skipif(bool(injection.missing()), reason=injection.missing() or "strace is there")
def test_a_few_places_of_every_kind() -> None:
    """Nothing is lost, duplicated or wrong; what a kill leaves goes on by itself."""
    path = os.pathsep.join(["tests", *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "durability.sweep", "--scene", "publish", "--most", str(PLACES)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_strace_it_says_so() -> None:
    """The exit code is 2, and the message names what to install."""
    done = subprocess.run(
        [sys.executable, "-m", "durability.sweep"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2
    assert "strace" in done.stderr
