"""The adapter's files, read by ourselves: config, safetensors header, values. Numpy only, nothing is unpickled.

The weights are read into memory, never mapped: a mapped file that shrinks kills the process.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapterd.core import adapter as ad
from adapterd.core.adapter import CONFIG, PICKLE, WEIGHTS, Tensor

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
    """Read the header, and hold every tensor's place against its type and shape."""
    try:
        tensors = ad.parse_header(lambda offset, length: raw[offset : offset + length].tobytes(), raw.size)
    except ad.BadWeightsError as exc:
        raise BadFileError("bad_weights", f"{WEIGHTS}: {exc}") from exc
    data = raw[8 + int.from_bytes(raw[:8].tobytes(), "little") :]
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            raise BadFileError("bad_weights", f"{WEIGHTS}: {tensor.name} has the unknown dtype {tensor.dtype!r}")
        if tensor.end - tensor.begin != tensor.elements * np.dtype(_DTYPES[tensor.dtype][0]).itemsize:
            what = f"{tensor.name} {tensor.dtype}{list(tensor.shape)} does not fit its place"
            raise BadFileError("bad_weights", f"{WEIGHTS}: {what} {tensor.begin}:{tensor.end}")
    held = sum(tensor.end - tensor.begin for tensor in tensors)
    if held != data.size:
        raise BadFileError("bad_weights", f"{WEIGHTS} holds {data.size} bytes of values, its header names {held}")
    return Weights(data, {tensor.name: tensor for tensor in tensors}, raw.size)


def _first_line(exc: Exception, snapshot: Path) -> str:
    """Say what happened, without the host's path."""
    text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return (text.replace(f"{snapshot}/", "").splitlines() or [type(exc).__name__])[0]
