"""What the host and its control groups, and NVIDIA's driver, say about memory."""

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapterd.worker.memory import host
from adapterd.worker.nvml import memory

GIB = 2**30
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
MEMINFO = f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {40 * GIB // 1024} kB\n"

Write = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A small /proc and /sys/fs/cgroup; groups by path, with their files."""

    def build(groups: Mapping[str, Mapping[str, str]], own: str = "0::/a/b\n", meminfo: str = MEMINFO) -> Any:  # noqa: ANN401 - two paths
        proc, mount = tmp_path / "proc", tmp_path / "cgroup"
        (proc / "self").mkdir(parents=True)
        mount.mkdir()
        (proc / "meminfo").write_text(meminfo)
        (proc / "self" / "cgroup").write_text(own)
        for name, files in groups.items():
            folder = mount / name
            folder.mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (folder / file).write_text(text)
        return proc, mount

    return build


@pytest.mark.parametrize(
    ("groups", "total", "free"),
    [
        ({}, 64, 40),
        ({"a/b": {"memory.max": "max\n", "memory.high": "max\n", "memory.current": f"{GIB}\n"}}, 64, 40),
        ({"a/b": {"memory.max": f"{16 * GIB}\n", "memory.current": f"{4 * GIB}\n"}}, 16, 12),
        ({"a/b": {"memory.high": f"{16 * GIB}\n", "memory.current": f"{4 * GIB}\n"}}, 16, 12),
        ({"a": {"memory.max": f"{8 * GIB}\n", "memory.current": f"{9 * GIB}\n"}}, 8, 0),
        ({"a/b": {"memory.max": f"{99 * GIB}\n", "memory.current": "0\n"}}, 64, 40),
        (
            {
                "a/b": {
                    "memory.max": f"{16 * GIB}\n",
                    "memory.current": f"{12 * GIB}\n",
                    "memory.stat": f"anon 1\ninactive_file {10 * GIB}\n",
                }
            },
            16,
            14,
        ),
    ],
)
def test_the_narrowest_limit_counts(groups: dict[str, dict[str, str]], total: int, free: int, write: Write) -> None:
    """The host's own figure, or that of the control group or one above it; cached files can be given up."""
    found = host(*write(groups))
    assert (found.name, found.total, found.free) == ("cpu", total * GIB, free * GIB)


def test_a_container_is_the_root_of_its_own_groups(write: Write) -> None:
    """Its path is `/`, and the limit lies in the mount itself."""
    proc, mount = write({}, own="0::/\n")
    (mount / "memory.max").write_text(f"{2 * GIB}\n")
    (mount / "memory.current").write_text(f"{GIB}\n")
    assert host(proc, mount).free == GIB


def test_where_nobody_says_nothing_is_known(write: Write, tmp_path: Path) -> None:
    """A host without these files is asked for its size alone; groups of version 1 limit nothing that we know."""
    assert host(tmp_path / "none", tmp_path / "none").free is None
    proc, mount = write({}, own="4:memory:/a\n", meminfo="garbage\n")
    assert host(proc, mount).free is None


class Driver:
    """The driver's library with two GPUs, as ctypes would show it."""

    def __init__(self, *, failing: str = "") -> None:
        """Fail in the named function."""
        self.failing = failing
        self.asked: list[object] = []
        self.open = 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's own name
        """Begin."""
        self.open += 1
        return int(self.failing == "init")

    def nvmlShutdown(self) -> int:  # noqa: N802 - the library's own name
        """End."""
        self.open -= 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, _: object) -> int:  # noqa: N802 - the library's own name
        """Find a GPU by number."""
        self.asked.append(index.value)
        return int(index.value > 1)

    def nvmlDeviceGetHandleByUUID(self, name: bytes, _: object) -> int:  # noqa: N802 - the library's own name
        """Find a GPU by its UUID."""
        self.asked.append(name)
        return 0

    def nvmlDeviceGetMemoryInfo(self, _: object, found: Any) -> int:  # noqa: ANN401, N802 - ctypes' reference; the library's own name
        """Say what it has."""
        told = found._obj  # noqa: SLF001 - what ctypes' reference refers to
        told.total, told.free = 24 * GIB, 5 * GIB
        return int(self.failing == "memory")


@pytest.mark.parametrize(
    ("visible", "index", "asked"),
    [
        (None, 1, [1]),
        ("1,0", 0, [1]),
        ("GPU-abc, MIG-def", 1, [b"MIG-def"]),
        ("0", 1, []),  # not visible
        ("", 0, []),
        ("nonsense", 0, []),
    ],
)
def test_the_driver_is_asked_for_the_gpu_that_cuda_means(visible: str | None, index: int, asked: list[object]) -> None:
    """By number, or by the UUID that CUDA_VISIBLE_DEVICES names; no context is left on it."""
    driver = Driver()
    environ = ORDER if visible is None else ORDER | {"CUDA_VISIBLE_DEVICES": visible}
    found = memory(index, environ, lambda _: driver)  # type: ignore[arg-type, return-value] # stands in for the library
    assert driver.asked == asked
    assert found == ((24 * GIB, 5 * GIB) if asked else None)
    assert driver.open == 0


def absent(_: str) -> ctypes.CDLL:
    """Find no library."""
    raise OSError("libnvidia-ml.so.1: cannot open shared object file")


@pytest.mark.parametrize(
    "load",
    [absent, lambda _: Driver(failing="init"), lambda _: Driver(failing="memory"), lambda _: object()],
)
def test_a_driver_that_does_not_answer_says_nothing(load: Callable[[str], ctypes.CDLL]) -> None:
    """Then torch is asked."""
    assert memory(0, ORDER, load) is None


def test_where_cuda_counts_in_its_own_order_a_number_says_nothing() -> None:
    """The fastest first is CUDA's default; asked by UUID there is no doubt."""
    driver = Driver()
    assert memory(0, {}, lambda _: driver) is None  # type: ignore[arg-type, return-value] # stands in for the library
    assert memory(0, {"CUDA_VISIBLE_DEVICES": "GPU-1"}, lambda _: driver) is not None  # type: ignore[arg-type, return-value] # the same
