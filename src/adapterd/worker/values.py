"""What the numbers of a weights file say by themselves, read as bits: numpy only, one pass over each tensor.

Facts about how adapters break are from measured cases: ZeRO-3 leaves tensors without elements, FSDP2 may leave one
rank's rows (axolotl 3772), a disk that filled up leaves pages of zeros.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from adapterd.core.adapter import Tensor
from adapterd.worker.files import DTYPES, Bytes, Weights

ABSURD = 1e4
"""No trained adapter has weights of this size; a value with a flipped exponent bit has, mostly."""
PAGE = 4096
_FLOATS: dict[str, type[np.floating[Any]]] = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
_WORD = 4
_SECOND_FACTOR = re.compile(r"\.lora_B(?:\.weight)?$")
_MOST_RANKS = 1024
_LEAST = 3
"""Modules that must show the same share of rows before it is a pattern."""


def extremes(weights: Weights) -> Iterator[tuple[Tensor, int, float]]:
    """Each floating tensor with NaN or Inf in it, or with values above ABSURD: how many are NaN or Inf, the largest.

    Read as whole numbers without their sign bit, floating numbers sort as they do by size: one maximum tells both.
    """
    for tensor in weights.tensors.values():
        kind, special = DTYPES[tensor.dtype]
        if not special or not tensor.elements:
            continue
        bits = weights.bytes_of(tensor).view(kind)
        sign = kind(1 << (8 * bits.itemsize - 1))
        magnitudes = bits & ~sign
        largest = int(magnitudes.max())
        if largest >= special:
            count = int(np.count_nonzero(magnitudes >= special))
            yield tensor, count, math.inf
        elif largest > _bits(ABSURD, tensor.dtype):
            yield tensor, 0, _value(largest, tensor.dtype)


def _bits(value: float, dtype: str) -> int:
    """The bits of a positive number in a type; above all of them where the type cannot hold it."""
    if dtype in ("F8_E5M2", "F8_E4M3"):
        return 0x7F
    if dtype == "BF16":
        return int(np.float32(value).view(np.uint32)) >> 16
    return int(np.array([value], dtype=_FLOATS[dtype]).view(DTYPES[dtype][0])[0])


def _value(bits: int, dtype: str) -> float:
    """The positive number that bits mean in a type."""
    if dtype == "BF16":
        return float(np.uint32(bits << 16).view(np.float32))
    return float(np.array([bits], dtype=DTYPES[dtype][0]).view(_FLOATS[dtype])[0])


def zeroed_pages(weights: Weights) -> list[tuple[int, list[str]]]:
    """Runs of zeros that begin and end at page boundaries of the file: how many pages, and the tensors in them.

    Rows and tensors that are rightly zero (an unused output, padding, a second factor before training) end where rows
    and tensors end, which pages do not.
    """
    raw = weights.raw
    whole = raw[: raw.size // PAGE * PAGE]
    empty = ~whole.view(np.uint64).reshape(-1, PAGE // 8).any(axis=1) if whole.size else np.zeros(0, bool)
    found = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], empty.astype(np.int8), [0]))))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        begin, end = int(first) * PAGE, int(last) * PAGE
        end = raw.size if end == whole.size and not raw[end:].any() else end
        if raw[begin - _WORD : begin].any() and (end == raw.size or raw[end : end + _WORD].any()):
            found.append((int(last - first), _within(weights, begin - weights.begin, end - weights.begin)))
    return [(pages, names) for pages, names in found if names]


def _within(weights: Weights, begin: int, end: int) -> list[str]:
    """The tensors that lie in a range of the values, unless the range is exactly some of them."""
    inside = [t for t in weights.tensors.values() if t.begin < end and begin < t.end]
    whole = all(begin <= t.begin and t.end <= end for t in inside)
    return [] if whole else [t.name for t in inside]


def partial_rows(weights: Weights) -> tuple[int, int, int] | None:
    """The sign of one rank's part: (modules, zero rows, rows) where all second factors have the same share of rows.

    With n ranks, rows are dealt out in chunks of ceil(rows / n); a rank's part is one chunk, at the same place in
    every module. A module alone may have rows that are rightly zero; the same share in nearly all is no chance.
    """
    seconds = [t for t in weights.tensors.values() if _SECOND_FACTOR.search(t.name) and len(t.shape) == 2]  # noqa: PLR2004 - a matrix
    shares = Counter(share for tensor in seconds for share in _shares(tensor, weights.bytes_of(tensor)))
    count = max(shares.values(), default=0)
    if count < _LEAST or count < 0.9 * len(seconds):
        return None
    rows = sum(t.shape[0] for t in seconds)
    zero = sum(t.shape[0] - int(_held(t, weights.bytes_of(t)).sum()) for t in seconds)
    return count, zero, rows


def _held(tensor: Tensor, data: Bytes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows have any value but zero."""
    bits = data.view(DTYPES[tensor.dtype][0]).reshape(tensor.shape)
    return np.asarray((bits << 1).astype(bool).any(axis=1))  # without the sign: minus zero is zero


def _shares(tensor: Tensor, data: Bytes) -> set[tuple[int, int]]:
    """Which chunk, of how many, may be the only one with values, as (chunk, chunks)."""
    if not tensor.elements:
        return set()
    held, rows = np.flatnonzero(_held(tensor, data)), tensor.shape[0]
    if not held.size or held.size == rows:
        return set()
    first, size = int(held[0]), int(held[-1]) - int(held[0]) + 1
    if held.size != size:
        return set()
    found = set()
    for ranks in range(2, min(rows, _MOST_RANKS) + 1):
        chunk = -(-rows // ranks)
        if chunk < size:
            break
        if first % chunk == 0 and min(chunk, rows - first) == size:
            found.add((first // chunk, ranks))
    return found
