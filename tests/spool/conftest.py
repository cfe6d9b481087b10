"""A spool, an adapter directory beside it, and ways to act as another user."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd.spool import Snapshot, Spool
from helpers.adapters import write_adapter

ADAPTER = "acme/support"
LIMITS = (10 * 1024**2, 100)
NOBODY = 65534


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A whole adapter directory, as PEFT writes it."""
    return write_adapter(tmp_path / "train" / "run", base="/models/base")


@pytest.fixture
def freeze(spool: Spool) -> Callable[[Path], Snapshot]:
    """Freeze a directory whose base model nothing knows."""
    return lambda source: spool.freeze(source, ADAPTER, lambda _: "", LIMITS)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are private, and are made so again by each of its processes."""
    with tempfile.TemporaryDirectory(prefix="adapterd-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def as_nobody() -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Run Python as a user who is not root, where root runs the tests."""

    def run(code: str) -> "subprocess.CompletedProcess[str]":
        # What is loaded later the other user may not be able to read.
        first = [
            "import os, resource, signal, mmap, encodings.utf_8_sig",
            "from pathlib import Path",
            "from adapterd import roots",
            "from adapterd.spool import Spool",
            f"if os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
        ]
        command = [sys.executable, "-c", "\n".join([*first, code])]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
