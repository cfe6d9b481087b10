"""The devices of this host, and how the worker chooses among them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapterd.ports import BaseModel, DeviceBusy, DeviceTooSmall, NoSuchDevice, ProbeRequest, ProbeResult
from adapterd.worker.devices import candidates, choose, is_device_fault, look, needed, ran_out, spread
from adapterd.worker.room import AbsentError, Device, TooSmallError
from adapterd.worker.supervisor import WorkerSupervisor

GIB = 2**30
HAS_GPU = torch.cuda.is_available()


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_auto_is_the_cpu_where_there_is_no_accelerator() -> None:
    """Named twice it is tried once."""
    assert candidates(("auto", "cpu")) == ["cpu"]
    assert candidates(("auto",), spread=True) == ["cpu"]


def test_a_listed_device_is_kept_in_its_order() -> None:
    """`cuda` is the first of them."""
    assert candidates(("cuda", "cuda:1", "cpu")) == ["cuda:0", "cuda:1", "cpu"]


def test_a_base_larger_than_the_host_is_too_large_and_not_to_be_waited_for() -> None:
    """What the host has in all decides, not what is free."""
    with pytest.raises(TooSmallError, match="cpu has"):
        choose(("cpu",), 2**60)
    assert choose(("cpu",), 0) == "cpu"


def test_a_device_that_is_not_there_is_passed_over() -> None:
    """Where none is left, that is said."""
    assert choose(("cuda:99", "cpu"), 1, 0.0, 900.0) == "cpu"
    with pytest.raises(AbsentError, match=r"cuda:99: this host has (no|\d) CUDA device"):
        choose(("cuda:99",), 1)


def test_the_cpu_is_as_large_as_its_memory() -> None:
    """No more is free than there is."""
    found = look("cpu")
    assert found.total is not None
    assert found.free is not None
    assert 0 < found.free <= found.total


def test_a_spread_is_told_in_transformers_words() -> None:
    """GPUs by number, the CPU by name."""
    facts = {"cuda:0": Device("cuda:0", 8 * GIB, 4 * GIB), "cpu": Device("cpu", 64 * GIB, 32 * GIB)}
    most = spread(("cuda:0", "cpu"), 10 * GIB, {"0": 2 * GIB, "cpu": 60 * GIB}, read=facts.__getitem__)
    assert most == {0: 2 * GIB, "cpu": 10 * GIB}


@pytest.mark.parametrize(
    ("config", "quantization", "expected"),
    [
        ({"dtype": "bfloat16"}, {}, 2000),
        ({"torch_dtype": "float32"}, {}, 1000),
        ({"text_config": {"dtype": "float32", "vocab_size": 10, "hidden_size": 5}}, {"load_in_4bit": True}, 325),
        (
            {"dtype": "float32", "vocab_size": 10, "hidden_size": 5, "tie_word_embeddings": False},
            {"load_in_8bit": True},
            600,
        ),
        ({}, {}, 2000),
    ],
)
def test_what_a_base_needs_is_read_from_its_folder(
    config: dict[str, object], quantization: dict[str, object], expected: int, tmp_path: Path
) -> None:
    """2000 bytes of weights, loaded as bfloat16: twice as much as half of them where they are float32."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(bytes(2000))
    base = BaseModel("org/base", "local", str(tmp_path), quantization=quantization)
    assert needed(base, "bfloat16") == expected


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), False),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_faults(exc: Exception, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Whatever class the library chose for it."""
    assert ran_out(exc) is expected


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (RuntimeError("Error(s) in loading state_dict:\n\tan exception: ('CUDA error: device-side assert',)"), False),
        (ValueError("CUDA error: device-side assert triggered"), False),
    ],
)
def test_a_fault_of_the_device_is_told_from_the_adapters(exc: Exception, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """For some there is no class of their own, and the adapter would be blamed; one that PEFT wraps is its own."""
    assert is_device_fault(exc) is expected


def test_the_worker_takes_the_next_listed_device(
    good: Path, bases: object, probe: Callable[..., ProbeResult], tmp_path: Path
) -> None:
    """A device that is not there is passed over; no device, and no device that is large enough, are told apart."""
    assert probe(good, devices=("cuda:99", "cpu"), max_wait=900.0).device == "cpu"
    with pytest.raises(NoSuchDevice, match=r"cuda:99: this host has (no|\d) CUDA device"):
        probe(good, devices=("cuda:99",))
    huge = tmp_path / "huge"
    huge.mkdir()
    for file in bases.llama.iterdir():  # type: ignore[attr-defined] # a dataclass of the conftest
        (huge / file.name).symlink_to(file)
    with (huge / "pytorch_model.bin").open("wb") as sparse:
        sparse.truncate(2**43)
    (huge / "model.safetensors").unlink()
    with pytest.raises(DeviceTooSmall, match="cpu has") as caught:
        probe(good, huge, devices=("cpu",))
    assert isinstance(caught.value, DeviceBusy)


def test_a_base_is_spread_within_the_operators_limits(good: Path, bases: object, worker: WorkerSupervisor) -> None:
    """`device_map` on a host with the CPU alone: it passes there; limits that are too narrow are told as such."""
    path = str(bases.llama)  # type: ignore[attr-defined] # a dataclass of the conftest
    wide = BaseModel("", "local", path, device_map="auto", max_memory={"cpu": GIB})
    for _ in range(2):
        result = worker.probe(ProbeRequest(str(good), wide, devices=("cpu",), seconds=120.0))
        assert (result.device, result.findings) == ("cpu", ())
    narrow = BaseModel("", "local", path, device_map="auto", max_memory={"cpu": 1000})
    with pytest.raises(DeviceTooSmall, match=r"cpu can hold 0\.00 GiB of it together"):
        worker.probe(ProbeRequest(str(good), narrow, devices=("cpu",), seconds=120.0))
