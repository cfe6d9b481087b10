"""Which device to measure on: as listed, present, and with room for the base model. Training goes first.

What the devices are like is read here; what follows from it is decided in `worker.room`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adapterd.fingerprints import weight_bytes
from adapterd.ports import BaseModel
from adapterd.worker import memory, nvml, room
from adapterd.worker.architecture import plain_config
from adapterd.worker.room import AbsentError, BusyError, Device, Patience, TooSmallError

__all__ = ["AbsentError", "BusyError", "Device", "TooSmallError", "choose", "needed", "ran_out", "spread"]

_CONTEXT = 768 * 2**20
"""What CUDA itself takes of a GPU: 0.5 GiB with the first tensor, 0.7 after some passes (H100, torch 2.11)."""
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|_status_alloc_failed", re.IGNORECASE)
_FAULT = re.compile(r"^(CUDA|HIP) error: [a-z]|_STATUS_(NOT_INITIALIZED|INTERNAL_ERROR|EXECUTION_FAILED)\b")
"""What torch says where it has no class: before 2.8, and of cuBLAS and cuDNN, which fail so on a full GPU, too."""
Read = Callable[[str], Device]


def choose(
    listed: Sequence[str],
    size: int,
    waited: float = 0.0,
    max_wait: float = 0.0,
    *,
    resident: str | None = None,
    read: Read | None = None,
) -> str:
    """Choose the device for a base of `size` bytes in memory (`needed`).

    The first that is there and could ever hold it is taken when it has room; the next one only after the version has
    waited `max_wait` seconds for each of those before it.

    Args:
        listed: the operator's devices, in order of preference.
        size: bytes of the base in memory; a margin for the passes is added.
        waited: seconds that the version has waited for a device so far.
        max_wait: seconds to wait for each; 0 takes any that has room.
        resident: the device that this very base lies on, if it does. Another base must be dropped before.
        read: tells what a device is like; by default the host is asked.

    Raises:
        AbsentError: this host has none of them.
        TooSmallError: none that is there could ever hold it.
        BusyError: no room now; the message says what is missing on each.
    """
    facts = [(read or look)(name) for name in candidates(listed)]
    return room.decide(facts, size, Patience(waited, max_wait), resident)


def spread(
    listed: Sequence[str], size: int, limits: Mapping[str, int], *, read: Read | None = None
) -> dict[int | str, int]:
    """For a base with a `device_map`: the `max_memory` to load it with, from what is free on each device now.

    Raises as `choose` does; the sum over the devices counts, and there is no next one to wait for.
    """
    facts = [(read or look)(name) for name in candidates(listed, spread=True)]
    most = room.share(facts, size, limits)
    return {int(name.removeprefix("cuda:")) if name.startswith("cuda:") else name: size for name, size in most.items()}


def needed(base: BaseModel, dtype: str) -> int:
    """Bytes that the base takes in memory, in this type and quantization."""
    folder = Path(base.path)
    fields = _language(plain_config(folder))
    stored = str(fields.get("dtype") or fields.get("torch_dtype") or "").removeprefix("torch.")
    rows, width = fields.get("vocab_size"), fields.get("hidden_size")
    embedded = rows * width if isinstance(rows, int) and isinstance(width, int) else 0
    copies = 1 if fields.get("tie_word_embeddings", True) else 2
    return room.bytes_needed(weight_bytes(folder), stored, dtype, base.quantization, embedded * copies)


def candidates(listed: Sequence[str], *, spread: bool = False) -> list[str]:
    """Spell out the list: `auto` is the accelerator that is present, then the CPU; `cuda` is the first of them.

    For a base that is to be spread, both mean all GPUs.
    """
    every = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if spread else []
    spelled: list[str] = []
    for name in listed:
        if name == "auto":
            spelled += every or [kind for kind in ("cuda:0", "mps") if missing(kind) is None]
            spelled.append("cpu")
        elif name == "cuda":
            spelled += every or ["cuda:0"]
        else:
            spelled.append(name)
    return list(dict.fromkeys(spelled))


def missing(device: str) -> str | None:
    """Say that the device is not there, or None."""
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        return f"this host has {there or 'no'} CUDA device{'s' if there > 1 else ''}"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "this host has no MPS device"
    return None


def look(device: str) -> Device:
    """Read what one device is like now."""
    absent = missing(device)
    if absent is not None:
        return Device(device, absent=absent)
    kind, _, index = device.partition(":")
    if kind == "cuda":
        return _cuda(int(index or 0))
    if kind == "mps":
        most = torch.mps.recommended_max_memory()
        return Device(device, most, most - torch.mps.driver_allocated_memory())
    return memory.host()


def ran_out(exc: BaseException) -> bool:
    """Tell whether an exception says that there was not enough memory, on whatever device."""
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(exc, RuntimeError) and _NO_MEMORY.search(str(exc)) is not None


def is_device_fault(exc: BaseException) -> bool:
    """Tell whether the accelerator itself failed: nothing in this process can be trusted with it any more."""
    kind = getattr(torch, "AcceleratorError", None)
    if kind is not None and isinstance(exc, kind):
        return True
    return isinstance(exc, RuntimeError) and _FAULT.search(str(exc)) is not None


def _cuda(index: int) -> Device:
    """A GPU, asked of the driver: torch would leave a context on it."""
    told = nvml.memory(index)
    if told is None:
        free, total = torch.cuda.mem_get_info(index)
    else:
        total, free = told
        free -= 0 if torch.cuda.is_initialized() else _CONTEXT
    return Device(f"cuda:{index}", max(int(total) - _CONTEXT, 0), max(int(free), 0))


def _language(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config with those of its language model, where it holds several models."""
    inner = fields.get("text_config")
    return fields | inner if isinstance(inner, dict) else fields
