"""The adapter's files, read by ourselves: config, safetensors header, values. Numpy only, nothing is unpickled.

The weights are read into memory, never mapped: a mapped file that shrinks kills the process.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_LONGEST_HEADER = 100 * 2**20

# dtype -> numpy type to look at it with, and the bits that are all set in Inf and NaN (0: it has neither)
_DTYPES: Mapping[str, tuple[type[np.generic], int]] = {
    "F64": (np.uint64, 0x7FF0000000000000),
    "F32": (np.uint32, 0x7F800000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
    "F8_E5M2": (np.uint8, 0x7C),
    "F8_E4M3": (np.uint8, 0x7F),
    "I64": (np.uint64, 0),
    "I32": (np.uint32, 0),
    "I16": (np.uint16, 0),
    "I8": (np.uint8, 0),
    "U64": (np.uint64, 0),
    "U32": (np.uint32, 0),
    "U16": (np.uint16, 0),
    "U8": (np.uint8, 0),
    "BOOL": (np.uint8, 0),
}


class BadFileError(Exception):
    """The file is not what its name says; `code` is the code of a reason."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the header; the bytes are ``weights.data[begin:end]``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole safetensors file in memory; `size` is the file's."""

    data: npt.NDArray[np.uint8]
    tensors: Mapping[str, Tensor]
    size: int

    def non_finite(self) -> Iterator[tuple[Tensor, int]]:
        """Each tensor with NaN or Inf in it, and how many."""
        for tensor in self.tensors.values():
            kind, mask = _DTYPES[tensor.dtype]
            if mask and tensor.elements:
                bits: npt.NDArray[Any] = self.data[tensor.begin : tensor.end].view(kind) & kind(mask)
                if bits.max() == mask:
                    yield tensor, int(np.count_nonzero(bits == mask))


def read_config(snapshot: Path) -> dict[str, Any]:
    """Read ``adapter_config.json``.

    Raises:
        BadFileError: it is no JSON object.
    """
    try:
        config = json.loads((snapshot / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise BadFileError("bad_config", f"{CONFIG}: {_first_line(exc, snapshot)}") from exc
    if not isinstance(config, dict):
        raise BadFileError("bad_config", f"{CONFIG} holds no JSON object")
    return config


def read_weights(snapshot: Path) -> Weights:
    """Read ``adapter_model.safetensors`` and its header.

    Raises:
        BadFileError: it is missing, or not a whole safetensors file.
    """
    path = snapshot / WEIGHTS
    if not path.is_file():
        if (snapshot / PICKLE).exists():
            raise BadFileError("pickle_only", f"the weights are only in {PICKLE}")
        raise BadFileError("bad_weights", f"there is no {WEIGHTS}")
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as exc:
        raise BadFileError("bad_weights", f"{WEIGHTS}: {_first_line(exc, snapshot)}") from exc
    return _parse(raw)


def _parse(raw: npt.NDArray[np.uint8]) -> Weights:
    """Read the header and hold its offsets against the size."""
    length = int.from_bytes(raw[:8].tobytes(), "little")
    if raw.size < 8 or length > min(_LONGEST_HEADER, raw.size - 8):  # noqa: PLR2004 - the length's own eight bytes
        raise BadFileError("bad_weights", f"{WEIGHTS} has {raw.size} bytes and no whole header")
    try:
        header = json.loads(raw[8 : 8 + length].tobytes())
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        data = raw[8 + length :]
        tensors = {name: _tensor(name, entry, data.size) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadFileError("bad_weights", f"{WEIGHTS}: the header is no safetensors header: {exc}") from exc
    held = sum(tensor.end - tensor.begin for tensor in tensors.values())
    if held != data.size:
        raise BadFileError("bad_weights", f"{WEIGHTS} holds {data.size} bytes of values, its header names {held}")
    return Weights(data, tensors, raw.size)


def _tensor(name: str, entry: Mapping[str, Any], size: int) -> Tensor:
    """Read one header entry; KeyError, TypeError or ValueError where it is none."""
    dtype, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
    begin, end = (int(n) for n in entry["data_offsets"])
    if dtype not in _DTYPES:
        raise ValueError(f"{name} has the unknown dtype {dtype!r}")
    tensor = Tensor(name, dtype, shape, begin, end)
    itemsize = np.dtype(_DTYPES[dtype][0]).itemsize
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= size or end - begin != tensor.elements * itemsize:
        raise ValueError(f"{name} {dtype}{list(shape)} does not fit its place {begin}:{end} of {size}")
    return tensor


def _first_line(exc: Exception, snapshot: Path) -> str:
    """Say what happened, without the host's path."""
    text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return (text.replace(f"{snapshot}/", "").splitlines() or [type(exc).__name__])[0]
