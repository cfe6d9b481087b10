"""Ask NVIDIA's driver for a GPU's memory, without making the CUDA context that asking torch would leave on it.

A context takes some hundred MiB of the very GPU that training has; a version that only waits for room must not take
them. Where the driver's library does not answer, torch is asked.
"""

import ctypes
import os
from collections.abc import Callable, Mapping

_LIBRARY = "libnvidia-ml.so.1"


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def memory(
    index: int, environ: Mapping[str, str] = os.environ, load: Callable[[str], ctypes.CDLL] = ctypes.CDLL
) -> tuple[int, int] | None:
    """Total and free bytes of the GPU that CUDA calls `index`; None where the driver does not say."""
    name = _visible(index, environ)
    if name is None:
        return None
    try:
        library = load(_LIBRARY)
        if library.nvmlInit_v2():
            return None
        try:
            return _ask(library, name)
        finally:
            library.nvmlShutdown()
    except (OSError, AttributeError):  # no driver, or one that is too old
        return None


def _ask(library: ctypes.CDLL, name: str) -> tuple[int, int] | None:
    handle, found = ctypes.c_void_p(), _Memory()
    if name.isdecimal():
        failed = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
    else:
        failed = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    if failed or library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(found)):
        return None
    return int(found.total), int(found.free)


def _visible(index: int, environ: Mapping[str, str]) -> str | None:
    """The driver's name for the GPU: its UUID, or its number, where CUDA counts as the driver does."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index)] * (index + 1) if visible is None else [name.strip() for name in visible.split(",")]
    if index >= len(names):
        return None
    alike = names[index].isdecimal() and environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return names[index] if alike or names[index].startswith(("GPU-", "MIG-")) else None
