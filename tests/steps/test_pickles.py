"""Pickles: refused by default; where they are wanted, converted by a process of its own before anything is recorded."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapterd.core import adapter as ad
from adapterd.core.version import Stage
from adapterd.roots import SettleError
from adapterd.worker.converting import Converter
from helpers.adapters import LORA_A, LORA_B, config
from steps.conftest import Site

MakeSite = Callable[..., Site]
PATIENCE = 130.0
"""More than settle.patience by default."""
WANTED = "validation: {convert_pickle: true}"


def tensors() -> dict[str, torch.Tensor]:
    """A LoRA pair; the two share memory, as tied parameters do."""
    torch.manual_seed(1)
    shared = torch.randn(64)
    return {LORA_A: shared[:32].view(4, 8), LORA_B: shared[32:].view(8, 4)}


def write(folder: Path, content: object = None, *, legacy: bool = False) -> Path:
    """Write an adapter directory as older trainers do."""
    folder.mkdir(parents=True, exist_ok=True)
    held = tensors() if content is None else content
    torch.save(held, folder / ad.PICKLE, _use_new_zipfile_serialization=not legacy)
    (folder / ad.CONFIG).write_text(json.dumps(config()))
    (folder / ad.STATE).write_text('{"global_step": 5}')
    return folder


@pytest.fixture
def wanting(make_site: MakeSite) -> Site:
    """A site where pickles are converted."""
    return make_site(checkpoints="all", extra=WANTED).empty()


@pytest.fixture
def convert() -> Iterator[Converter]:
    """The real converter."""
    converter = Converter()
    yield converter
    converter.close()


def test_without_being_asked_for_a_pickle_is_refused(make_site: MakeSite) -> None:
    """The remedy stands in the hint; nothing is copied."""
    site = make_site(checkpoints="all").empty()
    write(site.root / "support" / "checkpoint-5")
    assert site.rest(PATIENCE) == []
    seen = site.seen("support/checkpoint-5")
    assert (seen.state, seen.reason) == ("refused", "pickle_only")
    assert "safe_serialization" in seen.hint


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_becomes_safetensors_in_the_snapshot(wanting: Site, legacy: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The tensors are the same, the conversion is recorded, and the source is untouched."""
    folder = write(wanting.root / "support" / "checkpoint-5", legacy=legacy)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (version,) = wanting.turn()
    snapshot = wanting.spool.snapshot(version.adapter, version.tree)
    assert version.stage is Stage.STAGED
    assert set(snapshot.files) == {ad.CONFIG, ad.WEIGHTS}
    held = load_file(snapshot.payload / ad.WEIGHTS)
    assert all(torch.equal(held[name], tensor) for name, tensor in tensors().items())
    assert (snapshot.payload / ad.WEIGHTS).stat().st_mode & 0o777 == 0o600
    assert [dict(repair) for repair in version.repairs] == [
        {"file": ad.PICKLE, "key": "format", "was": "pickle", "now": ad.WEIGHTS}
    ]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_same_pickle_twice_is_one_version(wanting: Site) -> None:
    """Conversion gives the same bytes each time, so that the second save is a second sighting."""
    write(wanting.root / "support" / "checkpoint-5")
    (first,) = wanting.turn()
    write(wanting.root / "support" / "checkpoint-6")
    (second,) = wanting.turn()
    assert (second.id, second.identity) == (first.id, first.identity)
    assert len(wanting.sightings(first)) == 2


def test_a_pickle_beside_safetensors_is_neither_read_nor_copied(wanting: Site) -> None:
    """Loaders take the safetensors, and so does the snapshot."""
    folder = write(wanting.root / "support" / "checkpoint-5", {"x": torch.ones(1)})
    source = write(wanting.tmp / "elsewhere")
    Converter()(source, 60.0)
    (source / ad.WEIGHTS).rename(folder / ad.WEIGHTS)
    (version,) = wanting.turn()
    assert set(wanting.spool.snapshot(version.adapter, version.tree).files) == {ad.CONFIG, ad.WEIGHTS}
    assert version.repairs == ()


class Bomb:
    """What an attacker would pickle: reading it makes a folder."""

    def __init__(self, path: Path) -> None:
        """Aim at a path."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Have the reader call os.mkdir."""
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("plain", [True, False])
def test_a_hostile_pickle_is_refused_and_not_run(wanting: Site, plain: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Nothing but tensors is unpickled, by the converter as by nobody else."""
    trap = wanting.tmp / "trap"
    folder = write(wanting.root / "support" / "checkpoint-5", {LORA_A: Bomb(trap)})
    if plain:
        (folder / ad.PICKLE).write_bytes(pickle.dumps({LORA_A: Bomb(trap)}))
    assert wanting.rest() == []
    seen = wanting.seen("support/checkpoint-5")
    assert (seen.state, seen.reason) == ("refused", "conversion_failed")
    assert str(wanting.tmp) not in seen.message
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        [torch.ones(2)],
        {},
        {1: torch.ones(2)},
        {"step": 5},
        {"state": {"inner": torch.ones(2)}},
        {"sparse": torch.ones(2, 2).to_sparse()},
    ],
    ids=["list", "empty", "numbers", "step", "nested", "sparse"],
)
def test_anything_but_dense_tensors_by_name_is_refused(content: object, convert: Converter, tmp_path: Path) -> None:
    """An optimizer's state, a whole checkpoint, a list: none of them is an adapter's weights."""
    with pytest.raises(SettleError) as caught:
        convert(write(tmp_path / "adapter", content), 60.0)
    assert caught.value.code == "conversion_failed"


def test_a_pickle_that_is_cut_off_waits_and_is_given_up(wanting: Site) -> None:
    """The archive's directory stands at its end: without it the file is not whole."""
    folder = write(wanting.root / "support" / "checkpoint-5")
    whole = (folder / ad.PICKLE).read_bytes()
    (folder / ad.PICKLE).write_bytes(whole[:-100])
    assert wanting.turn() == []
    seen = wanting.seen("support/checkpoint-5")
    assert (seen.state, seen.reason) == ("waiting", "half_written")
    assert "no whole archive" in seen.message


def test_a_conversion_that_hangs_is_no_verdict(convert: Converter, tmp_path: Path) -> None:
    """The process is killed at its deadline; a person hears of it, and the adapter is not refused."""
    with pytest.raises(SettleError) as caught:
        convert(write(tmp_path / "adapter"), 0.001)
    assert caught.value.code == "conversion_stalled"
    assert "0.001 s" in caught.value.message
    assert (tmp_path / "adapter" / ad.PICKLE).exists()
