"""settle: snapshots become versions, second sightings become provenance, and names stay what they were."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.core.version import Stage
from adapterd.steps.settle import Later, Settled, settle
from helpers.adapters import weights, write_adapter
from steps.conftest import QUIET, Site

MakeSite = Callable[..., Site]


def test_a_snapshot_becomes_a_version(site: Site) -> None:
    """A version is STAGED with its digests, its base as the trainer wrote it, and a sighting."""
    write_adapter(site.root / "support" / "checkpoint-5", base="/models/base")
    (version,) = site.turn()
    snapshot = site.spool.snapshot(version.adapter, version.tree)
    assert version.stage is Stage.STAGED
    assert version.base == "/models/base"
    assert version.identity == snapshot.identity
    (sighting,) = site.sightings(version)
    assert (sighting.path, sighting.run, sighting.checkpoint) == ("support/checkpoint-5", "support", 5)
    seen = site.seen("support/checkpoint-5")
    assert (seen.version, seen.adapter) == (version.id, "acme/support")


def test_the_base_is_repaired_where_the_configuration_knows_it(make_site: MakeSite) -> None:
    """The snapshot names the Hub id; the version records what the source said differently."""
    extra = "base_models: [{id: acme/base, written_as: [/models/base]}]"
    site = make_site(checkpoints="all", extra=extra).empty()
    write_adapter(site.root / "support" / "checkpoint-5", base="/models/base")
    (version,) = site.turn()
    assert [dict(r)["now"] for r in version.repairs] == ["acme/base"]
    assert site.spool.snapshot(version.adapter, version.tree).config.base == "acme/base"


def test_the_same_content_again_is_a_second_sighting(site: Site) -> None:
    """The final that equals the last checkpoint is one version, seen twice, and final now."""
    run = site.root / "support"
    write_adapter(run / "checkpoint-5", seed=1)
    (first,) = site.turn()
    write_adapter(run, seed=1)
    (second,) = site.rest()
    assert (second.id, second.final, second.step) == (first.id, True, 5)
    assert [s.path for s in site.sightings(second)] == ["support/checkpoint-5", "support"]
    assert len(site.registry.versions()) == 1


def test_sets_in_another_order_are_the_same_version(site: Site) -> None:
    """PEFT writes sets in hash order: another tree, the same identity, and the version keeps its first tree."""
    write_adapter(site.root / "support" / "checkpoint-5", target_modules=["q", "k"])
    (first,) = site.turn()
    write_adapter(site.root / "support" / "checkpoint-6", target_modules=["k", "q"])
    (second,) = site.turn()
    assert (second.id, second.tree) == (first.id, first.tree)


def test_sidecars_say_what_a_rebuild_needs(site: Site) -> None:
    """Every snapshot says to which version it belongs, where that was seen, and whether any sighting was final."""
    write_adapter(site.root / "support" / "checkpoint-5", target_modules=["q", "k"])
    site.turn()
    write_adapter(site.root / "support", target_modules=["k", "q"])
    (version,) = site.rest()
    sidecars = {tree: dict(said) for _, tree, said in site.spool.sidecars()}
    assert len(sidecars) == 2
    for tree, said in sidecars.items():
        assert (said["tree"], said["identity"], said["adapter"]) == (tree, version.identity, "acme/support")
        assert (said["intake"], said["final"]) == (version.intake, True)
    listed = sidecars[version.tree]["sightings"]
    assert [s["path"] for s in listed] == ["support/checkpoint-5", "support"]


def test_settling_again_after_a_crash_gives_the_same_version(site: Site) -> None:
    """Whatever was done of it already: taken again, it is the same snapshot and the same version."""
    write_adapter(site.root / "support" / "checkpoint-5")
    (found,) = site.scan().pending
    outcomes = [site.take(found), site.take(found)]
    assert [o.new for o in outcomes if isinstance(o, Settled)] == [True, False]
    assert len(site.registry.versions()) == 1


def test_a_second_sighting_needs_no_spool_of_the_first(site: Site) -> None:
    """Where the first snapshot was cleared away meanwhile, a further sighting is recorded all the same."""
    write_adapter(site.root / "support" / "checkpoint-5", target_modules=["q", "k"])
    (first,) = site.turn()
    site.spool.discard(first.adapter, first.tree)
    write_adapter(site.root / "support" / "checkpoint-6", target_modules=["k", "q"])
    assert [v.id for v in site.turn()] == [first.id]
    assert site.seen("support/checkpoint-6").state == "settled"


def test_a_directory_keeps_its_name(site: Site) -> None:
    """A label or template that changes later renames nothing that was published under another name."""
    run = site.root / "support"
    write_adapter(run, seed=1)
    site.rest()
    (run / ad.LABELS).write_text("adapter: renamed\n")
    write_adapter(run, seed=2)
    write_adapter(run / "checkpoint-5", seed=3)
    assert {v.adapter for v in site.rest()} == {"acme/support", "acme/renamed"}
    assert site.seen("support").adapter == "acme/support"


@pytest.mark.parametrize("run", ["outputs", "20260131-101112", "lora_model"])
def test_a_generic_name_stalls(site: Site, run: str) -> None:
    """A name that says nothing stalls once it has come to rest, stays so, and goes on when a label names it."""
    write_adapter(site.root / run)
    assert site.rest() == []
    for _ in range(3):
        assert site.seen(run).reason == "generic_name"
        assert f"write `adapter: my-name` into {site.root / run / ad.LABELS}, rename" in site.seen(run).hint
        assert site.turn() == []
        site.restart()
    assert list(site.spool.sidecars()) == []
    (site.root / run / ad.LABELS).write_text("adapter: support\n")
    (version,) = site.turn()
    assert version.adapter == "acme/support"


def test_two_roots_with_one_name_collide(make_site: MakeSite, tmp_path: Path) -> None:
    """An adapter belongs to its first root; another root that renders the same name stalls."""
    other = tmp_path / "other"
    site = make_site(checkpoints="all", extra=f"- {{path: {other}, checkpoints: all}}\n").empty()
    other.mkdir()
    site.turn()
    write_adapter(site.root / "support" / "checkpoint-5", seed=1)
    write_adapter(other / "Support" / "checkpoint-5", seed=2)
    assert len(site.turn()) == 1
    seen = site.registry.observation(str(other), "Support/checkpoint-5")
    assert seen is not None
    assert (seen.state, seen.reason) == ("stalled", "name_collision")
    assert "acme/support" in seen.message


def test_a_secret_stalls_and_is_copied_once(site: Site) -> None:
    """A token in a tokenizer's config stalls until the file changes; nothing of it stays in the spool."""
    folder = write_adapter(site.root / "support")
    (folder / "tokenizer_config.json").write_text('{"token": "hf_' + "s" * 34 + '"}')
    assert site.rest() == []
    assert site.states() == {"support": "stalled:leaks_secret"}
    assert site.scan().pending == ()
    assert [p for p in site.spool.path.rglob("*") if p.is_file()] == []
    (folder / "tokenizer_config.json").write_text("{}")
    assert len(site.rest()) == 1


def test_too_large_until_the_setting_changes(make_site: MakeSite) -> None:
    """What is too large is refused; with a larger `settle.max_size` it is taken without being touched."""
    site = make_site(checkpoints="all", extra="settle: {max_size: 100B}\n").empty()
    write_adapter(site.root / "support")
    site.rest()
    for _ in range(3):
        assert site.states() == {"support": "refused:too_large"}
        assert site.turn() == []
    site.extra = ""
    assert len(site.turn()) == 1


def test_links_are_refused(site: Site) -> None:
    """Weights that are a link are refused, as what they are."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (folder / ad.WEIGHTS).rename(site.root / "elsewhere")
    (folder / ad.WEIGHTS).symlink_to(site.root / "elsewhere")
    site.rest(120)
    assert site.states() == {"support/checkpoint-5": "refused:not_regular"}


def test_a_pipe_does_not_block(site: Site) -> None:
    """A pipe in place of the weights is refused without being opened."""
    folder = write_adapter(site.root / "support" / "checkpoint-5")
    (folder / ad.WEIGHTS).unlink()
    os.mkfifo(folder / ad.WEIGHTS)
    site.rest(120)
    assert site.states() == {"support/checkpoint-5": "refused:not_regular"}


def test_changed_between_scan_and_copy(site: Site) -> None:
    """What changes after it was found finished is looked at again, and the copy is of what was finished."""
    folder = write_adapter(site.root / "support", seed=1)
    site.turn()
    site.clock.now += QUIET
    (found,) = site.scan().pending
    (folder / ad.WEIGHTS).write_bytes(weights(2))
    assert isinstance(site.take(found), Later)
    assert site.registry.versions() == []
    assert len(site.rest()) == 1


def test_a_spool_without_room_waits(site: Site) -> None:
    """A spool that cannot be written holds nothing up for ever: the directory is taken when it can be."""
    write_adapter(site.root / "support" / "checkpoint-5")
    spool = site.spool.path
    spool.rename(site.tmp / "aside")
    spool.touch()
    assert site.turn() == []
    assert site.states() == {"support/checkpoint-5": "waiting:spool_unwritable"}
    spool.unlink()
    (site.tmp / "aside").rename(spool)
    assert len(site.turn()) == 1


def test_the_final_of_a_run_knows_its_step(site: Site) -> None:
    """Where Trainer.save_state wrote into the run's folder, the final save has a step."""
    run = write_adapter(site.root / "support")
    (run / ad.STATE).write_text(json.dumps({"global_step": 40}))
    (version,) = site.rest()
    assert (version.final, version.step) == (True, 40)


def test_templates_see_base_and_user(make_site: MakeSite) -> None:
    """A template may name the base model and the user who trains."""
    site = make_site(checkpoints="all", adapter="{user}-{run}-{base}").empty()
    write_adapter(site.root / "team" / "support-20260131" / "checkpoint-5", base="acme/tiny-base")
    (version,) = site.turn()
    assert version.adapter == "acme/alice-support-tiny-base"


def test_a_network_file_system_has_a_longer_quiet_time(make_site: MakeSite) -> None:
    """Where others write through a network, `quiet_network` applies."""
    site = make_site(extra="settle: {quiet_network: 90s}\n").empty()
    write_adapter(site.root / "support")
    (found,) = site.scan().pending
    first = settle(site.host, found, site.rests, network=True)
    assert isinstance(first, Later)
    site.clock.now += 89
    assert isinstance(settle(site.host, found, site.rests, network=True), Later)
    site.clock.now += 1
    assert isinstance(settle(site.host, found, site.rests, network=True), Settled)


def test_asking_does_not_take_what_is_half_written(site: Site) -> None:
    """A person who asks for a directory gets it whole or not at all."""
    folder = write_adapter(site.root / "support")
    (folder / ad.CONFIG).unlink()
    assert site.turn(folder) == []
    assert site.states() == {"support": "waiting:half_written"}
    write_adapter(folder)
    assert len(site.turn(folder)) == 1


def test_later_is_never_at_once(make_site: MakeSite) -> None:
    """Even without a quiet time, a directory that is being written is looked at again after a pause."""
    site = make_site(checkpoints="all", extra="settle: {quiet: 0s, patience: 0s}\n").empty()
    (write_adapter(site.root / "support") / ad.WEIGHTS).unlink()
    (found,) = site.scan().pending
    outcome = site.take(replace(found, before=None))
    assert isinstance(outcome, Later)
    assert outcome.seconds > 0
