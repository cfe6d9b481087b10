"""Pickles: refused by default; where they are wanted, converted by a process of its own before anything is recorded."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapterd import asked
from adapterd.core import adapter as ad
from adapterd.core.version import Stage
from adapterd.steps.settle import Later
from adapterd.worker.converting import Converter
from helpers.adapters import LORA_A, write_adapter
from helpers.pickles import DIES, Bomb, tensors, write_pickled
from steps.conftest import PATIENCE, Site

MakeSite = Callable[..., Site]
WANTED = "validation: {convert_pickle: true}"
PLACE = "support/checkpoint-5"


@pytest.fixture
def wanting(make_site: MakeSite) -> Site:
    """A site where pickles are converted."""
    return make_site(checkpoints="all", extra=WANTED).empty()


def reason_of(site: Site, path: str = PLACE) -> tuple[str, str]:
    """State and reason of a directory."""
    seen = site.seen(path)
    return seen.state, seen.reason


def test_without_being_asked_for_a_pickle_is_refused(site: Site) -> None:
    """The remedy stands in the hint; nothing is copied."""
    folder = write_pickled(site.root / PLACE)
    assert site.rest(PATIENCE) == []
    seen = site.seen(PLACE)
    assert (seen.state, seen.reason) == ("refused", "pickle_only")
    assert "safe_serialization" in seen.hint
    told = asked.hopeless(site.host.config, site.registry, str(folder))
    assert told is not None
    assert told.code == asked.REJECTED


def test_what_was_refused_is_taken_when_pickles_are_wanted(site: Site) -> None:
    """The setting lifts the refusal, and only that: nobody has to save again."""
    folder = write_pickled(site.root / PLACE)
    site.rest(PATIENCE)
    assert site.scan().pending == ()
    site.extra = WANTED
    assert asked.hopeless(site.host.config, site.registry, str(folder)) is None
    assert len(site.rest()) == 1
    assert reason_of(site) == ("settled", "")


def test_what_was_there_before_stays_so_when_pickles_are_wanted(make_site: MakeSite) -> None:
    """The setting says how pickles are taken, not that the whole backlog is; a change of the pickle is noticed."""
    site = make_site(checkpoints="all")
    folder = write_pickled(site.root / PLACE)
    site.turn()
    site.extra = WANTED
    assert site.turn() == []
    assert reason_of(site) == ("baseline", "")
    torch.save(tensors(2), folder / ad.PICKLE)
    assert len(site.rest()) == 1


def test_a_pickle_becomes_safetensors_in_the_snapshot(wanting: Site) -> None:
    """The tensors are the same, the conversion is recorded, and the source is untouched."""
    folder = write_pickled(wanting.root / PLACE)
    (folder / "training_args.bin").write_bytes(b"pickled")
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}
    (version,) = wanting.turn()
    snapshot = wanting.spool.snapshot(version.adapter, version.tree)
    assert (version.stage, version.identity) == (Stage.STAGED, snapshot.identity)
    assert set(snapshot.files) == {ad.CONFIG, ad.WEIGHTS}
    held = load_file(snapshot.payload / ad.WEIGHTS)
    assert all(torch.equal(held[name], tensor) for name, tensor in tensors().items())
    assert (snapshot.payload / ad.WEIGHTS).stat().st_mode & 0o777 == 0o600
    said = {"file": ad.PICKLE, "key": "format", "was": "pickle", "now": ad.WEIGHTS}
    assert [dict(repair) for repair in version.repairs] == [said]
    ((_, _, sidecar),) = wanting.spool.sidecars()
    assert sidecar["repairs"] == [said]
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()} == before


def test_the_same_pickle_twice_is_one_version(wanting: Site) -> None:
    """Conversion gives the same bytes each time, so that the second save is a second sighting."""
    write_pickled(wanting.root / PLACE)
    (first,) = wanting.turn()
    write_pickled(wanting.root / "support" / "checkpoint-6")
    (second,) = wanting.turn()
    assert (second.id, second.identity) == (first.id, first.identity)
    assert len(wanting.sightings(first)) == 2


def test_a_pickle_beside_safetensors_is_neither_read_nor_copied(wanting: Site) -> None:
    """Loaders take the safetensors, and so does the snapshot; the pickle may change without being noticed."""
    wanting.convert = Converter(command=DIES)
    folder = write_adapter(wanting.root / PLACE)
    (folder / ad.PICKLE).write_bytes(b"no pickle at all")
    (version,) = wanting.turn()
    assert set(wanting.spool.snapshot(version.adapter, version.tree).files) == {ad.CONFIG, ad.WEIGHTS}
    assert version.repairs == ()
    (folder / ad.PICKLE).write_bytes(b"another")
    assert wanting.scan().pending == ()


@pytest.mark.parametrize("archive", [True, False])
def test_a_hostile_pickle_is_refused_and_not_run(wanting: Site, *, archive: bool) -> None:
    """It rests until it changes, nothing of it is kept, and the next one is converted as if nothing had been."""
    trap = wanting.tmp / "trap"
    folder = write_pickled(wanting.root / PLACE, {LORA_A: Bomb(trap)})
    if not archive:
        (folder / ad.PICKLE).write_bytes(pickle.dumps({LORA_A: Bomb(trap)}, protocol=2))
    assert wanting.rest() == []
    assert reason_of(wanting) == ("refused", "conversion_failed")
    assert str(wanting.tmp) not in wanting.seen(PLACE).message
    assert not trap.exists()
    assert [path for path in wanting.spool.path.rglob("*") if path.is_file()] == []
    assert wanting.scan().pending == ()
    write_pickled(folder)
    assert len(wanting.rest()) == 1


def test_a_pickle_that_is_cut_off_waits_and_is_given_up(wanting: Site) -> None:
    """The archive's directory stands at its end: without it the file is not whole, and no process is asked."""
    wanting.convert = Converter(command=DIES)
    folder = write_pickled(wanting.root / PLACE)
    whole = (folder / ad.PICKLE).read_bytes()
    (folder / ad.PICKLE).write_bytes(whole[:-100])
    assert wanting.turn() == []
    assert reason_of(wanting) == ("waiting", "half_written")
    assert "cut off" in wanting.seen(PLACE).message
    assert wanting.rest(PATIENCE) == []
    assert reason_of(wanting) == ("refused", "bad_weights")
    wanting.convert = Converter()
    (folder / ad.PICKLE).write_bytes(whole)
    assert len(wanting.rest()) == 1


def test_a_pickle_without_its_config_waits_for_it(wanting: Site) -> None:
    """Where pickles are wanted they are weights like any others."""
    folder = write_pickled(wanting.root / PLACE)
    (folder / ad.CONFIG).unlink()
    wanting.turn()
    assert reason_of(wanting) == ("waiting", "half_written")
    assert "weights without config" in wanting.seen(PLACE).message


def test_a_pickle_that_is_still_open_for_writing_waits(wanting: Site) -> None:
    """As any weights do."""
    folder = write_pickled(wanting.root / PLACE)
    with (folder / ad.PICKLE).open("r+b"):
        assert wanting.rest(PATIENCE) == []
        assert reason_of(wanting) == ("waiting", "open_for_writing")
    assert len(wanting.rest()) == 1


def test_a_pickle_that_changes_while_it_is_taken(wanting: Site) -> None:
    """What was written after the look is looked at again: the copy is of what was found finished."""
    folder = write_pickled(wanting.root / "support", tensors(1))
    wanting.rest(1)
    (found,) = wanting.scan().pending
    torch.save(tensors(2), folder / ad.PICKLE)
    assert isinstance(wanting.take(found), Later)
    (version,) = wanting.rest()
    held = load_file(wanting.spool.payload(version.adapter, version.tree) / ad.WEIGHTS)
    assert torch.equal(held[LORA_A], tensors(2)[LORA_A])


def test_a_conversion_that_dies_is_tried_again_and_then_waits_for_a_person(wanting: Site) -> None:
    """A death is no verdict: once more by itself, over restarts too, and not at every scan from then on."""
    folder = write_pickled(wanting.root / PLACE)
    wanting.convert = Converter(command=DIES)
    assert wanting.turn() == []
    assert reason_of(wanting) == ("waiting", "worker_restarted")
    wanting.restart()
    assert wanting.turn() == []
    assert reason_of(wanting) == ("stalled", "conversion_stalled")
    assert "SIGSEGV" in wanting.seen(PLACE).message
    assert wanting.scan().pending == ()
    wanting.convert = Converter()
    (version,) = wanting.turn(folder)
    assert version.adapter == "acme/support"


def test_a_conversion_that_stopped_with_adapterd_goes_on(wanting: Site) -> None:
    """Who stops adapterd twice in the middle of a conversion does not make the directory wait for a person."""
    write_pickled(wanting.root / PLACE)
    for _ in range(2):
        wanting.convert = Converter()
        wanting.convert.close()
        assert wanting.turn() == []
        assert reason_of(wanting) == ("waiting", "worker_restarted")
    wanting.convert = Converter()
    assert len(wanting.turn()) == 1


def test_the_latest_of_a_backlog_may_be_a_pickle(make_site: MakeSite) -> None:
    """What a pickle's time says counts like that of any weights."""
    site = make_site(checkpoints="all", extra=WANTED, backlog="latest")
    write_adapter(site.root / "support" / "checkpoint-4")
    write_pickled(site.root / PLACE)
    (version,) = site.turn()
    assert [repair["file"] for repair in version.repairs] == [ad.PICKLE]


def test_a_second_copy_needs_room(wanting: Site, tmp_path: Path) -> None:
    """A spool that cannot be written holds a pickle up as it does anything else."""
    write_pickled(wanting.root / PLACE)
    wanting.spool.path.rename(tmp_path / "aside")
    wanting.spool.path.touch()
    wanting.turn()
    assert reason_of(wanting) == ("waiting", "spool_unwritable")
