"""Which device to measure on: as listed, present, and with room for the base model. Training goes first."""

from collections.abc import Sequence
from pathlib import Path

import torch

_MARGIN = 1.15
"""What a pass over the probe texts needs beside the weights, as measured on small and middling models."""
_GIB = 2**30


def candidates(listed: Sequence[str]) -> list[str]:
    """Spell out the list: `auto` is the accelerator that is present, then the CPU."""
    spelled: list[str] = []
    for name in listed:
        if name == "auto":
            spelled += [kind for kind in ("cuda:0", "mps") if missing(kind) is None]
            spelled.append("cpu")
        else:
            spelled.append("cuda:0" if name == "cuda" else name)
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


def room(device: str, needed: int) -> str | None:
    """Say why the device cannot take a base of this many bytes now, or None."""
    absent = missing(device)
    if absent is not None:
        return absent
    free = _free(device)
    if free is not None and needed * _MARGIN > free:
        return f"the base needs {needed * _MARGIN / _GIB:.2f} GiB, {free / _GIB:.2f} GiB are free"
    return None


def ran_out(exc: BaseException) -> bool:
    """Tell whether an exception says that there was not enough memory, on whatever device."""
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(exc, RuntimeError) and any(
        words in str(exc).lower() for words in ("can't allocate memory", "not enough memory", "out of memory")
    )


def is_device_fault(exc: BaseException) -> bool:
    """Tell whether the accelerator itself failed: nothing in this process can be trusted with it any more."""
    kind = getattr(torch, "AcceleratorError", None)
    return kind is not None and isinstance(exc, kind)


def _free(device: str) -> int | None:
    """Give the bytes that are free on the device, None where nobody says."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    named = dict(line.split(":", 1) for line in lines)
    return int(named["MemAvailable"].split()[0]) * 1024
