"""Which device is taken, and how a device says no."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapterd.ports import DeviceBusy, ProbeResult
from adapterd.worker.devices import candidates, ran_out, room

HAS_GPU = torch.cuda.is_available()


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_auto_is_the_cpu_where_there_is_no_accelerator() -> None:
    """Named twice it is tried once."""
    assert candidates(("auto", "cpu")) == ["cpu"]


def test_a_listed_device_is_kept_in_its_order() -> None:
    """`cuda` is the first of them."""
    assert candidates(("cuda", "cuda:1", "cpu")) == ["cuda:0", "cuda:1", "cpu"]


def test_a_base_larger_than_the_host_has_no_room() -> None:
    """The refusal says what it needs and what is free."""
    refusal = room("cpu", 2**60)
    assert refusal is not None
    assert "are free" in refusal
    assert room("cpu", 0) is None


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_faults(exc: Exception, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Whatever class the library chose for it."""
    assert ran_out(exc) is expected


def test_the_next_listed_device_is_taken(good: Path, probe: Callable[..., ProbeResult]) -> None:
    """A device that is not there is passed over; where none is left, the version waits."""
    assert probe(good, devices=("cuda:99", "cpu")).device == "cpu"
    with pytest.raises(DeviceBusy, match=r"cuda:99: this host has (no|\d) CUDA device"):
        probe(good, devices=("cuda:99",))
