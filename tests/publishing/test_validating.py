"""validate: verdicts, workers that die, bases that are missing, and appeals."""

from collections.abc import Callable
from dataclasses import replace

from adapterd import operate
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import WorkerDied
from adapterd.steps import discover
from helpers.adapters import write_adapter
from helpers.hosts import BASE, World
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def test_a_rejected_version_never_reaches_the_hub_and_retry_appeals(world: World, adapter: str) -> None:
    """A finding rejects with its report; `retry` appends a second report under today's policy."""
    good = world.validator.result
    world.validator.result = replace(good, findings=(reason("non_finite", "3 tensors hold NaN"),))
    version = stage(world, adapter, 1)
    drive(world)
    found = _now(world, version)
    assert (found.stage, found.reason) == (Stage.REJECTED, "non_finite")
    world.validator.result = good
    assert operate.retry(world.host, version.label, "tester", "it was the disk") == [version.label]
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED
    assert [v.verdict for v in world.registry.validations(version.id)] == ["rejected", "passed"]


def test_a_worker_that_dies_is_tried_again_and_then_stalls_by_name(world: World, adapter: str) -> None:
    """Two deaths stall the version with the cause; it is never rejected."""
    world.validator.raises = WorkerDied("the worker ended by SIGSEGV", cause="worker_crashed", log_tail="boom")
    version = stage(world, adapter, 1)
    drive(world)
    found = _now(world, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.STAGED, True, "worker_crashed")
    assert len(world.validator.asked) == 2
    assert any(e.kind == "worker_died" for e in world.registry.events(version.id))


def test_a_base_that_is_not_at_hand_stalls_with_the_remedy(make_world: Callable[..., World], adapter: str) -> None:
    """Nothing is downloaded unasked; once the base is listed, `retry` goes on."""
    world = make_world()
    world.extra["base_models"] = "[]"
    world.reopen()
    version = stage(world, adapter, 1)
    drive(world)
    assert (_now(world, version).reason, _now(world, version).stalled) == ("base_not_at_hand", True)
    assert "base fetch" in _now(world, version).hint
    del world.extra["base_models"]
    world.reopen()
    operate.retry(world.host, adapter, "tester", "")
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED


def test_a_series_that_changes_its_task_stalls(world: World, adapter: str) -> None:
    """The second version of an adapter has another task: it waits for a person, the first stays."""
    from helpers.adapters import write_adapter  # noqa: PLC0415

    stage(world, adapter, 1)
    drive(world)
    run = world.tmp / "train" / "run-2"
    write_adapter(run, seed=2, task_type="SEQ_CLS")
    version = stage(world, adapter, 2, keep=True)
    drive(world)
    assert (_now(world, version).reason, _now(world, version).stalled) == ("series_changed", True)


def test_an_older_checkpoint_gives_way_to_its_final_unless_a_person_asked_for_it(
    make_world: Callable[..., World], adapter: str
) -> None:
    """Under `checkpoints: latest` what was not published yet is coalesced; asked for by hand, it comes back."""
    world = make_world()
    world.extra["roots"] = f"[{{path: {world.tmp}/train, checkpoints: latest}}]"
    world.reopen()
    discover.scan(world.host, world.host.config.roots[0])
    early = stage(world, adapter, 1, step=10, content=0, asked=False)
    final = stage(world, adapter, 1, content=1, asked=False)
    drive_only_validation(world)
    drive(world)
    assert _now(world, final).stage is Stage.PUBLISHED
    assert _now(world, early).stage is Stage.SUPERSEDED
    stage(world, adapter, 1, step=10, keep=True)
    drive(world)
    assert _now(world, early).stage is Stage.PUBLISHED


def test_a_base_that_left_the_host_since_does_not_hold_a_validated_version_back(
    make_world: Callable[..., World], adapter: str
) -> None:
    """The report says in which base at which commit it passed; publishing needs no more."""
    world = make_world()
    version = stage(world, adapter, 1)
    drive_only_validation(world)
    (world.tmp / "base" / "config.json").unlink()
    (world.tmp / "base").rmdir()
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED


def test_what_was_rejected_binds_its_series_to_nothing(world: World, adapter: str) -> None:
    """The first run named the wrong PEFT type and was refused: the next one is what the series becomes."""
    good = world.validator.result
    run = world.tmp / "train" / "run-1"
    write_adapter(run, seed=1, base=BASE, peft_type="LOHA")
    world.validator.result = replace(good, findings=(reason("non_finite", "3 tensors hold NaN"),))
    wrong = stage(world, adapter, 1, keep=True)
    drive(world)
    assert _now(world, wrong).stage is Stage.REJECTED
    world.validator.result = good
    right = stage(world, adapter, 2)
    drive(world)
    assert _now(world, right).stage is Stage.PUBLISHED
    write_adapter(world.tmp / "train" / "run-3", seed=3, base=BASE, peft_type="LOHA")
    other = stage(world, adapter, 3, keep=True)
    drive(world)
    assert _now(world, other).reason == "series_changed"


def test_a_damaged_snapshot_is_mended_by_asking_for_the_directory_again(world: World, adapter: str) -> None:
    """As its hint says: the copy is taken anew, and the version goes on."""
    version = stage(world, adapter, 1)
    weights = world.host.spool.payload(adapter, version.tree) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    drive(world)
    assert (_now(world, version).stalled, _now(world, version).reason) == (True, "snapshot_damaged")
    again = stage(world, adapter, 1, keep=True)
    assert again.id == version.id
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED


def test_a_version_says_what_serving_engines_make_of_it(world: World, adapter: str) -> None:
    """The report on a published version names each engine; what is silent there is a warning, and stops nothing."""
    write_adapter(world.tmp / "train" / "run-1", seed=1, base=BASE, alpha_pattern={"q_proj": 3})
    version = stage(world, adapter, 1, keep=True)
    drive(world)
    (validation,) = world.registry.validations(version.id)
    served = validation.report["engines"]
    assert set(served) == {"peft", "transformers", "vllm", "sglang", "lorax"}
    assert served["vllm"]["takes"] == "yes"
    assert "engine_warning" in [warning["code"] for warning in validation.report["warnings"]]
    assert _now(world, version).stage is Stage.PUBLISHED


def test_a_required_engine_that_would_not_serve_it_rejects(make_world: Callable[..., World], adapter: str) -> None:
    """What the deployers' engine refuses is no use to them."""
    world = make_world(extra={"validation": "{require_engines: [vllm]}"})
    write_adapter(world.tmp / "train" / "run-1", seed=1, base=BASE, use_dora=True)
    version = stage(world, adapter, 1, keep=True)
    drive(world)
    found = _now(world, version)
    assert (found.stage, found.reason) == (Stage.REJECTED, "engine_refuses")
    assert "it refuses DoRA" in found.message
