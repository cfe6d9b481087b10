"""Writers from hell, the short form of `make writers`: two of each kind."""

import os
import subprocess
import sys
from pathlib import Path

from durability.movers import ALL

TESTS = Path(__file__).parents[1]


def test_whatever_writers_do_only_whole_states_become_versions() -> None:
    """Partial 0, missed 0, duplicates 0, and the Hub holds what was written; a process, since its audit hook stays."""
    fast = "/dev/shm"  # noqa: S108 - the folder below it is private
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(TESTS)])}
    command = [sys.executable, "-m", "durability.writers", str(2 * len(ALL)), "--seed", "7", "--no-live"]
    done = subprocess.run(
        command,
        env={**environ, "TMPDIR": fast} if os.access(fast, os.W_OK) else environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line.split() for line in done.stdout.splitlines() if line.startswith("all ")]
    writers, versions, *bad = map(int, total[1:])
    assert writers == 2 * len(ALL)
    assert versions >= len(ALL)
    assert [bad[0], bad[1], bad[3]] == [0, 0, 0]
