"""What the bits of a weights file say by themselves, and what they rightly may say."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from adapterd.core.adapter import WEIGHTS
from adapterd.worker.files import Weights, read_weights
from adapterd.worker.values import ABSURD, PAGE, extremes, partial_rows, zeroed_pages

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
A, B = "base_model.model.layers.{}.q_proj.lora_A.weight", "base_model.model.layers.{}.q_proj.lora_B.weight"
Tensors = dict[str, torch.Tensor]


def read(folder: Path, tensors: Tensors) -> Weights:
    """Write tensors, and read the file."""
    save_file(tensors, folder / WEIGHTS)
    return read_weights(folder)


def pairs(layers: int, rows: int = 256, rank: int = 8, width: int = 64) -> Tensors:
    """Make LoRA factors without any zero."""
    torch.manual_seed(1)
    made: Tensors = {}
    for layer in range(layers):
        made[A.format(layer)] = torch.rand(rank, width) + 0.1
        made[B.format(layer)] = torch.rand(rows, rank) + 0.1
    return made


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_values_that_training_never_gives_are_told_with_the_largest(dtype: torch.dtype, tmp_path: Path) -> None:
    """The limit itself is fine; above it the tensor is named, whatever its sign."""
    limit = torch.tensor([ABSURD]).to(dtype)
    above = -(limit * 2)
    found = list(extremes(read(tmp_path, {"fine": limit, "odd": above})))
    assert [(tensor.name, count) for tensor, count, _ in found] == [("odd", 0)]
    assert found[0][2] == pytest.approx(float(-above), rel=0.01)


def test_infinite_values_are_counted_and_not_measured(tmp_path: Path) -> None:
    """NaN and Inf have no size."""
    found = list(extremes(read(tmp_path, {"bad": torch.tensor([1.0, torch.inf, torch.nan])})))
    assert [(count, largest) for _, count, largest in found] == [(2, math.inf)]


def zero_pages(folder: Path, tensors: Tensors, first: int, last: int) -> Weights:
    """Write tensors, and lose some pages of the file."""
    save_file(tensors, folder / WEIGHTS)
    content = bytearray((folder / WEIGHTS).read_bytes())
    end = min(last * PAGE, len(content))
    content[first * PAGE : end] = bytes(end - first * PAGE)
    (folder / WEIGHTS).write_bytes(content)
    return read_weights(folder)


@pytest.mark.parametrize(("first", "last"), [(1, 2), (2, 5), (7, 9)])
def test_lost_pages_are_told(first: int, last: int, tmp_path: Path) -> None:
    """From one page boundary to another there is nothing."""
    runs = zeroed_pages(zero_pages(tmp_path, pairs(4), first, last))
    assert [pages for pages, _ in runs] == [last - first]
    assert all(name in pairs(4) for _, names in runs for name in names)


def test_a_lost_end_is_told_though_the_file_ends_within_a_page(tmp_path: Path) -> None:
    """A file that was made long enough, and never filled."""
    tensors = pairs(4)
    size = sum(t.numel() * 4 for t in tensors.values())
    assert zeroed_pages(zero_pages(tmp_path, tensors, 5, size // PAGE + 2))


def test_zeros_that_end_where_rows_and_tensors_end_are_no_damage(tmp_path: Path) -> None:
    """A second factor before training, dead outputs, padding rows of an embedding."""
    tensors = pairs(3, rows=1024)
    tensors[B.format(0)].zero_()
    tensors[B.format(1)][100:900] = 0
    tensors["base_model.model.embed_tokens.weight"] = torch.cat([torch.rand(64, 64) + 0.1, torch.zeros(64, 64)])
    assert zeroed_pages(read(tmp_path, tensors)) == []


@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
@pytest.mark.parametrize("rank", [0, 1])
def test_one_ranks_rows_are_told(ranks: int, rank: int, tmp_path: Path) -> None:
    """The same chunk in every module, also where the modules have different heights."""
    tensors = pairs(4)
    tensors[B.format(3)] = torch.rand(96, 8) + 0.1
    for layer in range(4):
        factor = tensors[B.format(layer)]
        parts = factor.chunk(ranks)
        tensors[B.format(layer)] = torch.cat([p if n == rank else torch.zeros_like(p) for n, p in enumerate(parts)])
    found = partial_rows(read(tmp_path, tensors))
    assert found is not None
    modules, zero, rows = found
    assert (modules, rows) == (4, 3 * 256 + 96)
    assert zero == pytest.approx(rows * (ranks - 1) / ranks, abs=8)


def test_rows_that_are_zero_for_their_own_reasons_are_no_sign(tmp_path: Path) -> None:
    """Half of one module, some rows of each, a whole module: no common share."""
    tensors = pairs(5)
    tensors[B.format(0)][128:] = 0
    tensors[B.format(1)][::7] = 0
    tensors[B.format(2)][10:20] = 0
    tensors[B.format(3)].zero_()
    assert partial_rows(read(tmp_path, tensors)) is None


def test_two_modules_are_too_few_for_a_pattern(tmp_path: Path) -> None:
    """Chance is not excluded."""
    tensors = pairs(2)
    for layer in range(2):
        tensors[B.format(layer)][128:] = 0
    assert partial_rows(read(tmp_path, tensors)) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_random_factors_are_never_taken_for_damage(rows: int, rank: int, seed: int) -> None:
    """Whatever the sizes, values that training gives raise no alarm."""
    import tempfile  # noqa: PLC0415 - hypothesis and tmp_path do not go together

    torch.manual_seed(seed)
    tensors = {B.format(n): torch.randn(rows * 7, rank) * 0.01 for n in range(4)}
    with tempfile.TemporaryDirectory() as folder:
        weights = read(Path(folder), tensors)
    assert not list(extremes(weights))
    assert zeroed_pages(weights) == []
    assert partial_rows(weights) is None
