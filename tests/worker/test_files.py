"""The safetensors reader against the library's own writer, and against anything."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from adapterd.core.adapter import WEIGHTS
from adapterd.worker.attach import tensor_of
from adapterd.worker.files import BadFileError, read_weights
from adapterd.worker.values import extremes

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2, torch.float8_e4m3fn]
OTHERS = [torch.int64, torch.int8, torch.uint8, torch.bool]


def saved(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Write a weights file."""
    save_file(tensors, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize("dtype", FLOATS + OTHERS, ids=str)
def test_tensors_of_every_type_are_read_bitwise(dtype: torch.dtype, tmp_path: Path) -> None:
    """What the library wrote is what the worker loads."""
    wanted = {"a": torch.arange(6).reshape(2, 3).to(dtype), "b": torch.ones(1).to(dtype), "c": torch.zeros(0).to(dtype)}
    weights = read_weights(saved(tmp_path, wanted))
    for name, tensor in wanted.items():
        held = tensor_of(weights, weights.tensors[name])
        assert held.dtype == dtype
        assert held.shape == tensor.shape
        assert torch.equal(held.view(torch.uint8), tensor.view(torch.uint8))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_values_that_are_no_numbers_are_counted_in_every_type(dtype: torch.dtype, tmp_path: Path) -> None:
    """NaN in each, Inf where the type has one; the largest finite value is none of them."""
    bad = [torch.nan] if dtype is torch.float8_e4m3fn else [torch.nan, torch.inf, -torch.inf]
    fine = torch.tensor([0.0, 1.0, -1.0, torch.finfo(dtype).max, torch.finfo(dtype).min], dtype=torch.float64)
    tensors = {"bad": torch.cat([fine, torch.tensor(bad).double()]).to(dtype), "fine": fine.to(dtype)}
    found = [(t, n) for t, n, _ in extremes(read_weights(saved(tmp_path, tensors))) if n]
    assert [(tensor.name, count) for tensor, count in found] == [("bad", len(bad))]


def test_integers_are_never_taken_for_infinities(tmp_path: Path) -> None:
    """All bits set is minus one."""
    assert not list(extremes(read_weights(saved(tmp_path, {"a": torch.full((4,), -1)}))))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64), st.booleans())
def test_anything_else_is_refused_by_name(tmp_path: Path, content: bytes, sized: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """No bytes at all, lengths that lie, headers that are no headers: one error, never another."""
    (tmp_path / WEIGHTS).write_bytes(len(content).to_bytes(8, "little") + content if sized else content)
    codes = {"bad_weights"}
    try:
        codes = set(read_weights(tmp_path).tensors) or codes  # an empty header is whole, and nothing stands behind it
    except BadFileError as error:
        codes = {error.code}
    assert codes == {"bad_weights"}


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        [],
    ],
)
def test_entries_that_lie_about_their_place_are_refused(entry: object, tmp_path: Path) -> None:
    """Shape, type and offsets are held against each other and against the size."""
    header = json.dumps({"a": entry}).encode()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(BadFileError):
        read_weights(tmp_path)
