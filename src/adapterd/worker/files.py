"""The adapter's files, read by ourselves: config, safetensors header, values. Numpy only, nothing is unpickled.

The weights are read into memory, never mapped: a mapped file that shrinks kills the process.
"""

import codecs
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapterd.core import adapter as ad
from adapterd.core.adapter import CONFIG, INDEX, PICKLE, WEIGHTS, Tensor

Bytes = npt.NDArray[np.uint8]

# dtype -> numpy type to look at it with, and the bits that are all set in Inf and NaN (0: it has neither)
DTYPES: Mapping[str, tuple[type[np.unsignedinteger[Any]], int]] = {
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

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        """Keep the code, and a better hint than the table's where there is one."""
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole safetensors file in memory: `raw` are its bytes, `begin` is where its values begin in them."""

    raw: Bytes
    begin: int
    tensors: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return int(self.raw.size)

    def bytes_of(self, tensor: Tensor) -> Bytes:
        """The bytes of one tensor, without a copy."""
        return self.raw[self.begin + tensor.begin : self.begin + tensor.end]


def read_config(snapshot: Path) -> dict[str, Any]:
    """Read ``adapter_config.json``.

    Raises:
        BadFileError: it is no JSON object.
    """
    try:
        data = _read(snapshot / CONFIG).tobytes()
        if data.startswith(codecs.BOM_UTF8):
            raise BadFileError("bad_config", f"{CONFIG} begins with a byte order mark, which PEFT does not read")
        config = json.loads(data)
    except (OSError, ValueError, RecursionError) as exc:
        raise BadFileError("bad_config", f"{CONFIG}: {_first_line(exc, snapshot)}") from exc
    if not isinstance(config, dict):
        raise BadFileError("bad_config", f"{CONFIG} holds no JSON object")
    return config


def read_weights(snapshot: Path) -> Weights:
    """Read ``adapter_model.safetensors`` and its header.

    Raises:
        BadFileError: it is missing, in shards or pickled, or not a whole safetensors file.
    """
    path = snapshot / WEIGHTS
    if not os.path.lexists(path):
        if (snapshot / INDEX).exists() or any(ad.is_weights(entry.name) for entry in snapshot.iterdir()):
            text = "the weights are in shards, which PEFT cannot load"
            hint = f"save with a larger max_shard_size, or join the shards into one {WEIGHTS}"
            raise BadFileError("unsupported_peft", text, hint)
        if (snapshot / PICKLE).exists():
            raise BadFileError("pickle_only", f"the weights are only in {PICKLE}")
        raise BadFileError("bad_weights", f"there is no {WEIGHTS}")
    try:
        raw = _read(path)
    except OSError as exc:
        raise BadFileError("bad_weights", f"{WEIGHTS}: {_first_line(exc, snapshot)}") from exc
    return _parse(raw)


def _read(path: Path) -> Bytes:
    """Read a regular file, and nothing else: a pipe would be waited for, a link followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no regular file")
        return np.fromfile(file, dtype=np.uint8)


def _parse(raw: Bytes) -> Weights:
    """Read the header, and hold every tensor's place against its type, its shape and the others' places."""
    try:
        tensors = ad.parse_header(lambda offset, length: raw[offset : offset + length].tobytes(), raw.size)
    except ad.BadWeightsError as exc:
        raise BadFileError("bad_weights", f"{WEIGHTS}: {exc}") from exc
    begin = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    reached = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.dtype not in DTYPES:
            raise BadFileError("bad_weights", f"{WEIGHTS}: {tensor.name} has the unknown dtype {tensor.dtype!r}")
        size = tensor.elements * np.dtype(DTYPES[tensor.dtype][0]).itemsize
        if tensor.begin != reached or tensor.end - tensor.begin != size:
            what = f"{tensor.name} {tensor.dtype}{list(tensor.shape)} does not fit its place"
            raise BadFileError("bad_weights", f"{WEIGHTS}: {what} {tensor.begin}:{tensor.end}")
        reached = tensor.end
    if reached != raw.size - begin:
        raise BadFileError(
            "bad_weights", f"{WEIGHTS} holds {raw.size - begin} bytes of values, its header names {reached}"
        )
    return Weights(raw, begin, {tensor.name: tensor for tensor in tensors})


def _first_line(exc: Exception, snapshot: Path) -> str:
    """Say what happened, without the host's path."""
    text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return (text.replace(f"{snapshot}/", "").splitlines() or [type(exc).__name__])[0]
