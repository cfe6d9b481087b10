"""The worker on a real GPU. Where there is none, the decisions are tested on facts alone (`test_room`)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from adapterd.core.verdict import Limits, decide
from adapterd.ports import BaseModel, DeviceBusy, ProbeRequest, ProbeResult
from adapterd.worker import nvml
from adapterd.worker.devices import look
from adapterd.worker.supervisor import WorkerSupervisor

GIB = 2**30
MIB = 2**20
TRAINING = """
import sys, torch
free, _ = torch.cuda.mem_get_info(0)
held = torch.empty(free - 256 * 2**20, dtype=torch.uint8, device="cuda:0")
print("ready", flush=True)
sys.stdin.read()
"""
GROWING = """
import sys, torch
from adapterd.ports import BaseModel, ProbeRequest
from adapterd.worker import residence
from adapterd.worker.measure import Bench
from adapterd.worker.room import BusyError

held, size = [torch.zeros(1, device="cuda:0")], 2**33
while size >= 2**21:  # all but a small block for the weights of the base
    try:
        held.append(torch.empty(size, dtype=torch.uint8, device="cuda:0"))
    except torch.OutOfMemoryError:
        size //= 2
held.pop()
torch.cuda.empty_cache()
residence.choose = lambda *_, **__: "cuda:0"  # there was room when it was asked
bench = Bench()
try:
    print(bench.measure(ProbeRequest(sys.argv[1], BaseModel("", "local", sys.argv[2]), ("cuda:0",))).findings)
except BusyError as error:
    print(error, bench.spent)
"""

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this host has no CUDA device")
Probe = Callable[..., ProbeResult]


@pytest.fixture
def training() -> Iterator[None]:
    """Another process that leaves less of the GPU than a context takes, as a training job does."""
    command = [sys.executable, "-c", TRAINING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        yield
        job.communicate()


def test_a_good_adapter_passes_on_the_gpu(good: Path, probe: Probe) -> None:
    """In float32 and in bfloat16; the report says where."""
    for dtype in ("float32", "bfloat16"):
        result = probe(good, devices=("cuda",), dtype=dtype)
        assert decide(result.findings, result.measurements, Limits()).verdict == "passed"
        assert (result.device, result.dtype) == ("cuda:0", dtype)
        assert result.measurements["peak_device_bytes"] > 0


def test_auto_is_the_gpu(good: Path, probe: Probe) -> None:
    """Where it has room."""
    assert probe(good, devices=("auto",)).device == "cuda:0"


def test_the_driver_says_what_torch_says() -> None:
    """Of the same GPU, although it is asked in another way."""
    told = nvml.memory(0, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} | os.environ)
    free, total = torch.cuda.mem_get_info(0)
    if told is None:
        pytest.skip("this driver does not answer, so torch is asked")
    assert told[0] == pytest.approx(total, rel=0.05)
    assert told[1] == pytest.approx(free, abs=2 * GIB)
    found = look("cuda:0")
    assert found.free is not None
    assert found.total is not None
    assert found.free <= told[1] + GIB
    assert found.free <= found.total < told[0]


@pytest.mark.usefixtures("training")
def test_a_gpu_in_use_is_waited_for_and_then_passed_by(good: Path, bases: Any) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """What is missing is said; after its patience the version takes the CPU. Training keeps what it has."""
    base = BaseModel("", "local", str(bases.llama))
    ask = ProbeRequest(str(good), base, ("cuda:0", "cpu"), seconds=120.0, max_wait=900.0)
    supervisor = WorkerSupervisor()
    try:
        with pytest.raises(DeviceBusy, match=r"cuda:0: .* are missing"):
            supervisor.probe(ask)
        waited = ProbeRequest(str(good), base, ("cuda:0", "cpu"), seconds=120.0, max_wait=900.0, waited=900.0)
        assert supervisor.probe(waited).device == "cpu"
    finally:
        supervisor.close()


def test_a_gpu_that_fills_up_in_the_middle_is_no_fault_of_the_adapter(good: Path, bases: Any) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Whichever library runs out first, and in whatever words: the version waits, and the worker is spent."""
    program = [sys.executable, "-c", GROWING, str(good), str(bases.llama)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "cuda:0: it ran out of memory in the middle of the measurement True"


def test_a_worker_that_ended_gives_all_of_the_gpu_back(good: Path, bases: Any) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Not only its tensors: the context too."""
    before, _ = torch.cuda.mem_get_info(0)
    supervisor = WorkerSupervisor()
    base = BaseModel("", "local", str(bases.llama))
    result = supervisor.probe(ProbeRequest(str(good), base, ("cuda:0",), seconds=120.0))
    during, _ = torch.cuda.mem_get_info(0)
    supervisor.close()
    after, _ = torch.cuda.mem_get_info(0)
    assert result.device == "cuda:0"
    assert during < before
    assert after == pytest.approx(before, abs=64 * MIB)
