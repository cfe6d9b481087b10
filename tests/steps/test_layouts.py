"""Where trainers write, and what becomes of it: the layouts of PEFT, transformers, Trainer and TRL."""

import json
import os
import shutil
from collections.abc import Callable

import pytest

from adapterd.core import adapter as ad
from helpers.adapters import config, weights, write_adapter
from steps.conftest import PATIENCE, QUIET, Site


def test_a_checkpoint_with_its_state_file_is_taken_at_once(site: Site) -> None:
    """Trainer's checkpoint-N is taken in the very turn in which it is seen."""
    write_adapter(site.root / "support" / "checkpoint-500")
    (version,) = site.turn()
    assert (version.adapter, version.run, version.step, version.final) == ("acme/support", "support", 500, False)
    assert site.states() == {"support/checkpoint-500": "settled"}
    assert site.turn() == []


def test_a_final_save_is_taken_after_the_quiet_time(site: Site) -> None:
    """PEFT's save_pretrained leaves no sign that it ended."""
    write_adapter(site.root / "support")
    assert site.turn() == []
    assert site.states() == {"support": "waiting:quiet_time"}
    site.clock.now += QUIET
    (version,) = site.turn()
    assert (version.final, version.step) == (True, None)


def test_the_root_itself_may_be_the_run(make_site: Callable[..., Site]) -> None:
    """Where the watched folder is the run's own, its name is the run's, and no path of the host is recorded."""
    site = make_site(name="support-bot", checkpoints="all").empty()
    write_adapter(site.root / "checkpoint-5")
    write_adapter(site.root, seed=2)
    versions = site.rest()
    assert [(v.adapter, v.run, v.final) for v in versions] == [
        ("acme/support-bot", "support-bot", False),
        ("acme/support-bot", "support-bot", True),
    ]
    assert sorted(site.states()) == [".", "checkpoint-5"]


def test_named_adapters(site: Site) -> None:
    """Adapters in named sub-folders are series of their own, in checkpoints as in the final save."""
    run = site.root / "support"
    checkpoint = write_adapter(run / "checkpoint-5", seed=1)
    write_adapter(checkpoint / "policy", seed=2)
    write_adapter(run, seed=3)
    write_adapter(run / "policy", seed=4)
    found = {(v.adapter, v.step, v.final) for v in site.rest()}
    assert found == {
        ("acme/support", 5, False),
        ("acme/support-policy", 5, False),
        ("acme/support", None, True),
        ("acme/support-policy", None, True),
    }


def test_transformers_native_save(site: Site) -> None:
    """`model.add_adapter` saves the config before the weights and without a task."""
    folder = site.root / "support"
    folder.mkdir()
    (folder / ad.CONFIG).write_text(json.dumps(config(task_type=None)))
    site.turn()
    assert site.states() == {"support": "waiting:half_written"}
    (folder / ad.WEIGHTS).write_bytes(weights())
    (version,) = site.rest()
    assert version.adapter == "acme/support"


def test_a_run_of_trl(site: Site) -> None:
    """TRL: checkpoints with tokenizer and training arguments, then the final save, which is the last checkpoint."""
    run = site.root / "sft-support"
    for step in (10, 20):
        folder = write_adapter(run / f"checkpoint-{step}", seed=step)
        (folder / "tokenizer.json").write_text("{}")
        (folder / "training_args.bin").write_bytes(b"pickled")
        (folder / "optimizer.pt").write_bytes(b"pickled")
    write_adapter(run, seed=20)
    (run / "tokenizer.json").write_text("{}")
    (run / "training_args.bin").write_bytes(b"pickled")
    versions = site.rest()
    assert [(v.step, v.final) for v in versions] == [(10, False), (20, False), (20, True)]
    assert versions[1].id == versions[2].id
    payload = site.spool.payload(versions[1].adapter, versions[1].tree)
    assert sorted(p.name for p in payload.iterdir()) == [ad.CONFIG, ad.WEIGHTS, "tokenizer.json"]


def test_one_scan_takes_them_in_by_step_and_the_final_last(site: Site) -> None:
    """Order is the intake: what one scan finds together is sorted by step, not by name or time."""
    run = site.root / "support"
    write_adapter(run, seed=99)
    for step in (1000, 20, 300):
        write_adapter(run / f"checkpoint-{step}", seed=step)
    found = [f.folder.path for f in site.scan().pending]
    assert found == [*(f"support/checkpoint-{step}" for step in (20, 300, 1000)), "support"]


def test_a_checkpoint_without_state_file_waits_for_patience(site: Site) -> None:
    """An axolotl or hand-written checkpoint-N without trainer_state.json is taken after `patience`."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (folder / ad.STATE).unlink()
    assert site.rest(PATIENCE - 1) == []
    assert site.states() == {"support/checkpoint-5": "waiting:state_file_missing"}
    site.clock.now += 1
    assert len(site.turn()) == 1


def test_a_marker_ends_the_wait(site: Site) -> None:
    """A finished-marker beside the directory, with the fingerprint that it vouches for, is taken at once."""
    folder = write_adapter(site.root / "support")
    files = {n: (folder / n).stat() for n in (ad.CONFIG, ad.WEIGHTS)}
    said = {"files": {name: {"size": s.st_size, "mtime_ns": s.st_mtime_ns} for name, s in files.items()}}
    (site.root / f"support{ad.MARKER_SUFFIX}").write_text(json.dumps(said))
    assert len(site.turn()) == 1


def test_a_marker_for_other_files_vouches_for_nothing(site: Site) -> None:
    """A marker from before the directory was written again says that its writer uses one: it is waited for."""
    write_adapter(site.root / "support")
    said = {"files": {ad.CONFIG: {"size": 1, "mtime_ns": 1}}}
    (site.root / f"support{ad.MARKER_SUFFIX}").write_text(json.dumps(said))
    assert site.rest(PATIENCE - 1) == []
    assert site.states() == {"support": "waiting:marker_outdated"}
    site.clock.now += 1
    assert len(site.turn()) == 1


def test_a_state_file_that_was_not_written_last_vouches_for_nothing(site: Site) -> None:
    """A trainer that writes it first, or an old one beside a save that nobody saw before: the quiet time applies."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    os.utime(folder / ad.STATE, ns=(0, (folder / ad.CONFIG).stat().st_mtime_ns - 1))
    assert site.turn() == []
    assert site.states() == {"support/checkpoint-5": "waiting:quiet_time"}
    site.clock.now += QUIET
    assert len(site.turn()) == 1


def overwrite(site: Site, seed: int) -> None:
    """Train on into the same checkpoint folder, up to the moment before the state file."""
    (site.root / "support" / "checkpoint-5" / ad.WEIGHTS).write_bytes(weights(seed))


@pytest.mark.parametrize("restarted", [False, True])
def test_overwritten_in_place_with_the_old_state_file(site: Site, *, restarted: bool) -> None:
    """New weights with the old state file wait for the quiet time; a new state file ends that at once."""
    folder = write_adapter(site.root / "support" / "checkpoint-5", seed=1)
    assert len(site.turn()) == 1
    overwrite(site, 2)
    if restarted:
        site.restart()
    assert site.turn() == []
    assert site.states() == {"support/checkpoint-5": "waiting:quiet_time"}
    if restarted:
        site.restart()
        assert site.turn() == []
    (folder / ad.STATE).unlink()
    (folder / ad.STATE).write_text('{"global_step": 5}')
    (version,) = site.turn()
    assert version.intake == 2


def test_a_baseline_that_is_overwritten_has_an_old_state_file_too(make_site: Callable[..., Site]) -> None:
    """The state file of a baseline vouches for what was there, not for what is written over it."""
    site = make_site(checkpoints="all")
    write_adapter(site.root / "support" / "checkpoint-5", seed=1)
    site.turn()
    overwrite(site, 2)
    assert site.turn() == []
    assert site.states() == {"support/checkpoint-5": "waiting:quiet_time"}
    assert len(site.rest()) == 1


def test_half_written_directories_wait(site: Site) -> None:
    """Weights that are not all there, or a config that is none yet, wait; when they are whole they are taken."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    whole = (folder / ad.WEIGHTS).read_bytes()
    (folder / ad.WEIGHTS).write_bytes(whole[:100])
    assert site.rest(PATIENCE - 1) == []
    assert site.states() == {"support/checkpoint-5": "waiting:half_written"}
    (folder / ad.WEIGHTS).write_bytes(whole)
    assert len(site.rest()) == 1


@pytest.mark.parametrize(
    ("name", "words"), [(ad.WEIGHTS, "config without weights"), (ad.CONFIG, "weights without config")]
)
def test_what_was_left_half_way_is_refused_until_it_changes(site: Site, name: str, words: str) -> None:
    """It rests over restarts and scans, even where a person asks, and is taken up again when the rest is written."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    rest = (folder / name).read_bytes()
    (folder / name).unlink()
    assert site.rest(PATIENCE) == []
    for asked in ((), (folder,), ()):
        assert site.turn(*asked) == []
        seen = site.seen("support/checkpoint-5")
        assert (seen.state, seen.reason) == ("refused", "abandoned")
        assert words in seen.message
        site.restart()
    (folder / name).write_bytes(rest)
    assert len(site.rest()) == 1


def test_what_was_left_half_way_is_refused_however_often_the_process_ends(site: Site) -> None:
    """Where `sync` runs now and then, each run goes on with the patience of the last."""
    (write_adapter(site.root / "support" / "checkpoint-5") / ad.WEIGHTS).unlink()
    for _ in range(3):
        assert site.rest(PATIENCE / 2 - 1) == []
        site.restart()
    assert site.states() == {"support/checkpoint-5": "refused:abandoned"}


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [(ad.WEIGHTS, b"short", "bad_weights"), (ad.CONFIG, b"{}", "bad_config")],
)
def test_what_stays_broken_is_refused(site: Site, name: str, data: bytes, code: str) -> None:
    """What is still no adapter when `patience` ends is refused with its reason, until it changes."""
    folder = write_adapter(site.root / "support")
    (folder / name).write_bytes(data)
    assert site.rest(PATIENCE) == []
    assert site.states() == {"support": f"refused:{code}"}
    assert site.scan().pending == ()
    write_adapter(folder)
    assert len(site.rest()) == 1


def test_pickles_are_refused(site: Site) -> None:
    """An adapter of pickles alone is refused, and taken when it is saved again as safetensors."""
    folder = write_adapter(site.root / "support")
    (folder / ad.WEIGHTS).rename(folder / ad.PICKLE)
    site.rest(PATIENCE)
    assert site.states() == {"support": "refused:pickle_only"}
    write_adapter(folder)
    assert len(site.rest()) == 1


def test_shards_without_weights_are_refused_as_what_they_are(site: Site) -> None:
    """A DeepSpeed checkpoint with a config and no weights is told as sharded, not as gone."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (folder / ad.WEIGHTS).unlink()
    (folder / "global_step5").mkdir()
    site.rest(PATIENCE)
    assert site.states() == {"support/checkpoint-5": "refused:sharded_state"}


def test_a_process_that_still_writes(site: Site) -> None:
    """While somebody has the weights open for writing nothing is taken, whatever the state file says."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    with (folder / ad.WEIGHTS).open("r+b"):
        assert site.rest(1000) == []
        assert site.states() == {"support/checkpoint-5": "waiting:open_for_writing"}
    assert len(site.turn()) == 1


def test_rotation_takes_a_checkpoint_that_had_not_settled(site: Site) -> None:
    """A source that goes before its snapshot is shown as missed; when it comes back it is taken."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (folder / ad.STATE).unlink()
    site.turn()
    shutil.rmtree(folder)
    site.turn()
    assert site.states() == {"support/checkpoint-5": "source_gone"}
    write_adapter(folder)
    assert len(site.turn()) == 1


def test_rotation_after_the_scan(site: Site) -> None:
    """A directory that goes between scan and look is missed, too."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (found,) = site.scan().pending
    shutil.rmtree(folder)
    site.take(found)
    assert site.states() == {"support/checkpoint-5": "source_gone"}


def test_rotation_after_the_snapshot_changes_nothing(site: Site) -> None:
    """Once a snapshot is taken, the trainer may rotate the checkpoint away."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (version,) = site.turn()
    shutil.rmtree(folder)
    site.turn()
    assert site.states() == {"support/checkpoint-5": "settled"}
    assert site.spool.snapshot(version.adapter, version.tree).tree == version.tree
