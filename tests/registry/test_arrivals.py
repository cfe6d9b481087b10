"""What comes in: roots, observations, bindings, and new versions."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import Stage
from adapterd.ports import AdapterRecord, Registry

if TYPE_CHECKING:
    from registry.conftest import Trainer


def test_unknown_root(registry: Registry) -> None:
    """A root that was never seen has no baseline and no inode."""
    assert registry.root_inode("/train") == (False, None)


def test_baseline(registry: Registry, trainer: "Trainer") -> None:
    """A baseline is the root, its inode and all its observations."""
    seen = [trainer.observation(f"run-{n}", state="baseline") for n in range(1000)]
    registry.baseline("/train", (2**64 - 1, 2**63), seen)
    assert registry.root_inode("/train") == (True, (2**64 - 1, 2**63))
    assert len(registry.observations("/train")) == 1000
    assert registry.counts()["observed_baseline"] == 1000


def test_baseline_of_an_absent_root(registry: Registry) -> None:
    """A root that is absent has a baseline all the same; which directory it becomes is told later."""
    registry.baseline("/train", None, [])
    assert registry.root_inode("/train") == (True, None)
    registry.set_root_inode("/train", (7, 8))
    assert registry.root_inode("/train") == (True, (7, 8))


def test_inode_without_baseline(registry: Registry) -> None:
    """To remember which directory a root is takes no baseline."""
    registry.set_root_inode("/train", (7, 8))
    assert registry.root_inode("/train") == (False, (7, 8))
    registry.baseline("/train", (7, 9), [])
    assert registry.root_inode("/train") == (True, (7, 9))


def test_every_directory_that_a_root_was_is_known(registry: Registry) -> None:
    """Each that was its baseline's or was seen since; one that is only counted does not become the present one."""
    assert not registry.knows_directory("/train", (7, 8))
    registry.baseline("/train", (7, 8), [])
    registry.set_root_inode("/train", (7, 9))
    registry.know_directory("/train", (7, 10))
    registry.know_directory("/train", (7, 10))
    assert registry.root_inode("/train") == (True, (7, 9))
    assert [registry.knows_directory("/train", (7, n)) for n in (8, 9, 10, 11)] == [True, True, True, False]
    assert not registry.knows_directory("/other", (7, 8))


def test_observation_overwrites_itself(registry: Registry, trainer: "Trainer") -> None:
    """An observation takes the place of the earlier one of its directory, field by field."""
    registry.observe([trainer.observation(), trainer.observation("other")])
    later = trainer.observation(
        state="stalled",
        fingerprint="print-2",
        run="run-1",
        checkpoint=5,
        reason="bad_name",
        message="bad",
        hint="do",
        changed_at=trainer.now + 1,
        signal="state-1",
    )
    registry.observe([later])
    assert registry.observation("/train", "run-1") == later
    assert registry.observation("/train", "other") == trainer.observation("other")


def test_observation_keeps_what_was_first(registry: Registry, trainer: "Trainer") -> None:
    """An observation keeps the adapter name that it first got, and when it was first seen."""
    registry.observe([trainer.observation()])
    registry.observe([trainer.observation(adapter="acme/support", first_seen=trainer.now + 5)])
    registry.observe([trainer.observation(adapter="acme/other", state="unwanted")])
    assert registry.observation("/train", "run-1") == trainer.observation(adapter="acme/support", state="unwanted")


def test_observations_of_one_root(registry: Registry, trainer: "Trainer") -> None:
    """Observations can be asked for one root or for all."""
    registry.observe([trainer.observation("b"), trainer.observation("a"), trainer.observation("c", root="/elsewhere")])
    assert [o.path for o in registry.observations("/train")] == ["a", "b"]
    assert [o.path for o in registry.observations()] == ["c", "a", "b"]
    assert registry.observation("/train", "c") is None


def test_observations_that_did_not_change_since(registry: Registry, trainer: "Trainer") -> None:
    """What changed at the very moment, or after it, is left out."""
    now = trainer.now
    registry.observe(
        [trainer.observation(name, changed_at=now + late) for name, late in (("a", -1), ("b", 0), ("c", 1))]
    )
    assert [o.path for o in registry.observations("/train", before=now)] == ["a"]


@pytest.mark.parametrize("name", ["läuft", "back\\slash", "bytes-\udcff\udc80", "\\udcff", "quote'\"%_", "new\nline"])
def test_any_file_name(registry: Registry, trainer: "Trainer", name: str) -> None:
    """A directory of any name is kept as it is, also one whose bytes are no UTF-8."""
    seen = trainer.observation(name, run=name, message=f"cannot read {name}", reason="source_unreadable")
    registry.observe([seen])
    assert registry.observation("/train", name) == seen
    version = trainer.staged(registry, path=name, run=name)
    assert registry.sightings(version.id)[0].path == name
    assert registry.events(version.id)[0].detail["path"] == name


def test_bind_once(registry: Registry) -> None:
    """A series is bound once; whoever binds it otherwise gets the binding there is."""
    first = registry.bind("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM")
    assert first == AdapterRecord("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM")
    assert registry.bind("acme/support", "/elsewhere", "acme/other", "IA3", "SEQ_CLS") == first
    assert list(registry.adapters()) == [first]


def test_bind_folds_case(registry: Registry) -> None:
    """Names that differ only in case are one series, under the name that came first."""
    first = registry.bind("Acme/Support", "/train", "acme/base", "LORA", "CAUSAL_LM")
    assert registry.bind("acme/support", "/elsewhere", "acme/base", "LORA", "CAUSAL_LM") == first


def test_bind_fills_what_is_empty(registry: Registry) -> None:
    """What a binding did not know is filled by the next one, and stays then."""
    registry.bind("acme/support", "/train", "", "LORA", "")
    filled = registry.bind("acme/support", "/train", "acme/base", "IA3", "CAUSAL_LM")
    assert filled == AdapterRecord("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM")


def test_intake(registry: Registry, trainer: "Trainer") -> None:
    """A draft becomes a STAGED version that is due, with a sighting and a line of history."""
    draft = trainer.draft(labels={"b": [1], "a": None}, repairs=({"file": "adapter_config.json"},))
    version, new = registry.intake(draft, trainer.now)
    assert new
    assert (version.stage, version.due_at, version.intake) == (Stage.STAGED, trainer.now, 1)
    assert (version.identity, version.tree, version.base) == (draft.identity, draft.tree, draft.base)
    assert (version.run, version.step, version.final) == ("run-1", 1, False)
    assert (version.labels, version.repairs) == (draft.labels, draft.repairs)
    assert (version.number, version.commit, version.created_at) == (None, None, trainer.now)
    assert [s.path for s in registry.sightings(version.id)] == [draft.path]
    assert [e.kind for e in registry.events(version.id)] == ["staged"]
    assert registry.version(version.id) == version


def test_intake_settles_its_observation(registry: Registry, trainer: "Trainer") -> None:
    """The draft's observation is settled into the version, and keeps its name and first time."""
    draft = trainer.draft()
    seen = trainer.observation(draft.path, adapter="acme/first", fingerprint="older", reason="quiet_time")
    registry.observe([seen])
    version, _ = registry.intake(draft, trainer.now + 9)
    settled = registry.observation("/train", draft.path)
    assert settled == replace(
        seen,
        state="settled",
        fingerprint=draft.fingerprint,
        reason="",
        run=draft.run,
        checkpoint=draft.checkpoint,
        version=version.id,
        changed_at=trainer.now + 9,
    )


def test_intake_without_observation(registry: Registry, trainer: "Trainer") -> None:
    """A draft whose directory was never observed gets its observation."""
    draft = trainer.draft()
    version, _ = registry.intake(draft, trainer.now)
    seen = registry.observation("/train", draft.path)
    assert seen is not None
    assert (seen.state, seen.version, seen.adapter) == ("settled", version.id, draft.adapter)


def test_intake_numbers_grow(registry: Registry, trainer: "Trainer") -> None:
    """Intake numbers are one sequence over all adapters."""
    made = [trainer.staged(registry, adapter=f"acme/a{n % 2}") for n in range(4)]
    assert [version.intake for version in made] == [1, 2, 3, 4]
    assert [version.intake for version in registry.versions()] == [4, 3, 2, 1]


def test_same_content_is_one_version(registry: Registry, trainer: "Trainer") -> None:
    """The same content seen elsewhere is a sighting of the version there is, which keeps its tree and its run."""
    draft = trainer.draft(step=None)
    first, _ = registry.intake(draft, trainer.now)
    again = replace(draft, path="run-2", run="run-2", checkpoint=None, step=9, final=True, tree="e" * 64)
    version, new = registry.intake(again, trainer.now + 1)
    assert not new
    assert version == replace(first, final=True, step=9, updated_at=trainer.now + 1)
    assert [(s.path, s.final) for s in registry.sightings(first.id)] == [(draft.path, False), ("run-2", True)]
    assert [e.kind for e in registry.events(first.id)] == ["staged", "sighted"]


def test_same_sighting_is_told_once(registry: Registry, trainer: "Trainer") -> None:
    """The very same directory again adds nothing."""
    draft = trainer.draft()
    first, _ = registry.intake(draft, trainer.now)
    assert registry.intake(draft, trainer.now + 1) == (first, False)
    assert len(registry.sightings(first.id)) == len(registry.events(first.id)) == 1


def test_same_content_of_another_adapter(registry: Registry, trainer: "Trainer") -> None:
    """The same content under another adapter's name is a version of its own."""
    draft = trainer.draft()
    registry.intake(draft, trainer.now)
    assert registry.intake(replace(draft, adapter="acme/other"), trainer.now)[1]


def test_same_content_in_another_case(registry: Registry, trainer: "Trainer") -> None:
    """The same content under a name that differs only in case is the same version."""
    draft = trainer.draft()
    first, _ = registry.intake(draft, trainer.now)
    again, new = registry.intake(replace(draft, adapter="Acme/SUPPORT", path="elsewhere"), trainer.now)
    assert (again.id, again.adapter, new) == (first.id, "acme/support", False)


def test_final_sighting_wakes_what_was_coalesced(registry: Registry, trainer: "Trainer") -> None:
    """A superseded version whose content is seen as a final save goes back to STAGED, due now."""
    draft = trainer.draft()
    registry.intake(draft, trainer.now)
    registry.advance(trainer.claim(registry, Stage.STAGED), Stage.SUPERSEDED, trainer.now)
    plain, _ = registry.intake(replace(draft, path="copy"), trainer.now)
    assert plain.stage is Stage.SUPERSEDED
    woken, new = registry.intake(replace(draft, path="run-1", final=True), trainer.now + 5)
    assert (woken.stage, woken.final, woken.due_at, woken.reason, new) == (
        Stage.STAGED,
        True,
        trainer.now + 5,
        "",
        False,
    )
    assert [e.kind for e in registry.events(woken.id)] == ["staged", "superseded", "sighted", "sighted", "staged"]


def test_final_sighting_of_a_rejected_version(registry: Registry, trainer: "Trainer") -> None:
    """A rejected version stays rejected, wherever its content is seen."""
    draft = trainer.draft()
    registry.intake(draft, trainer.now)
    claim = trainer.claim(registry, Stage.STAGED)
    registry.advance(claim, Stage.REJECTED, trainer.now, reason=reason("no_effect", "all zero"))
    again, _ = registry.intake(replace(draft, path="run-1", final=True), trainer.now)
    assert (again.stage, again.reason) == (Stage.REJECTED, "no_effect")
