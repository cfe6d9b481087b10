"""Small disks that really fill up, where this user may mount one."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_DETACH = 2


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size at `folder`; the test is skipped where this user may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        _LIBC.umount2(os.fsencode(folder), _DETACH)


@contextmanager
def full(folder: Path) -> Iterator[Path]:
    """A disk on which nothing more fits, while the block lasts."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"\0"):
            pass
    try:
        yield folder
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A mounted disk that turns read-only, as the kernel does after an error, while the block lasts."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
