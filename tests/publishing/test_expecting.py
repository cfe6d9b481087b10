"""validate with what is known beforehand: labels, the trainer's losses, the version before, the configured variant."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapterd import operate
from adapterd.core.publication import MANIFEST
from adapterd.core.version import AdapterVersion, Stage
from adapterd.steps.rebuild import rebuild
from helpers.adapters import write_adapter
from helpers.hosts import BASE, World
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation

HERE, OTHER = "f" * 64, "e" * 64
COMMIT = "1" * 40


def _labelled(world: World, adapter: str, seed: int, labels: str = "", state: object = None) -> AdapterVersion:
    """Stage a run with more labels, and with a trainer's state."""
    run = world.tmp / "train" / f"run-{seed}"
    write_adapter(run, seed=seed, base=BASE)
    if state is not None:
        (run / "trainer_state.json").write_text(json.dumps(state))
    stage(world, adapter, seed, keep=True, labels=labels)
    drive(world)
    return world.registry.versions(adapter)[0]


def _measuring(world: World, **changes: Any) -> None:  # noqa: ANN401 - any field of a result, or measurement
    """Let the worker report something else from now on."""
    result = world.validator.result
    fields = {name: changes.pop(name) for name in ("base_fingerprint",) if name in changes}
    world.validator.result = replace(result, measurements={**result.measurements, **changes}, **fields)


def _warnings(world: World, version: AdapterVersion) -> list[str]:
    """The codes of the newest report's warnings."""
    return [each["code"] for each in world.registry.validations(version.id)[-1].report["warnings"]]


def _manifest(world: World, version: AdapterVersion) -> dict[str, Any]:
    """What was published with a version."""
    document = json.loads(world.client.read(version.adapter, version.commit or "", MANIFEST))
    assert isinstance(document, dict)
    return document


def _pinned(world: World) -> None:
    """Let the configuration say which commit the base is."""
    world.extra["base_models"] = f"[{{id: {BASE}, path: {world.tmp}/base, revision: '{COMMIT}'}}]"
    world.reopen()


def _own_probes(world: World) -> None:
    """Let the probes be the operator's own."""
    world.extra["validation"] = "{probe_texts: [a text of ours]}"
    world.reopen()


@pytest.mark.parametrize(
    ("label", "stalls"),
    [
        (HERE, False),
        (f"adapterd:{HERE[:16]}", False),
        (f"adapterd:{OTHER}", True),
        (OTHER[:16], True),
        (f"sha256:{OTHER}", False),
    ],
)
def test_a_fingerprint_in_the_labels_is_compared(world: World, adapter: str, label: str, *, stalls: bool) -> None:
    """The base on this host is the one of the training, or nothing is published; another digest is only recorded."""
    version = _labelled(world, adapter, 1, f"base: {{fingerprint: '{label}'}}")
    assert (version.stalled, version.reason) == (stalls, "base_differs" if stalls else "")
    assert version.stage is (Stage.STAGED if stalls else Stage.PUBLISHED)


def test_a_loss_in_the_labels_is_compared(world: World, adapter: str) -> None:
    """The probes give 2.0: who expects that is published, who expects 1.0 is refused."""
    assert _labelled(world, adapter, 1, "expect: {loss: 2.1}").stage is Stage.PUBLISHED
    refused = _labelled(world, adapter, 2, "expect: {loss: 1.0}")
    assert (refused.stage, refused.reason) == (Stage.REJECTED, "loss_unlike_expected")


def test_a_composition_is_configured_or_unverified(world: World, adapter: str) -> None:
    """The label alone warns; with the folder under the root it is merged in, and is part of the policy."""
    alone = _labelled(world, adapter, 1, "base: {adapters: [acme/sft]}")
    assert _warnings(world, alone) == ["composition_unverified"]
    sft = write_adapter(world.tmp / "sft", seed=77)
    world.extra["roots"] = f"[{{path: {world.tmp}/train, checkpoints: all, trained_on: [{sft}]}}]"
    world.reopen()
    merged = _labelled(world, adapter, 2, "base: {adapters: [acme/sft]}")
    assert _warnings(world, merged) == []
    assert world.validator.asked[-1].base.trained_on == (str(sft),)
    reports = [world.registry.validations(v.id)[-1].report for v in (alone, merged)]
    assert [len(report["policy_terms"]["trained_on"]) for report in reports] == [0, 1]


def test_a_composition_that_is_not_there_stalls(world: World, adapter: str) -> None:
    """The folder that the root names must be there to be merged."""
    world.extra["roots"] = f"[{{path: {world.tmp}/train, checkpoints: all, trained_on: [{world.tmp}/none]}}]"
    world.reopen()
    version = _labelled(world, adapter, 1)
    assert (version.stalled, version.reason, world.validator.asked) == (True, "base_not_at_hand", [])


def test_the_trainers_losses_are_kept_and_published(world: World, adapter: str) -> None:
    """From the state file through sidecar and registry into the manifest; a registry made anew has them again."""
    state = {"global_step": 9, "log_history": [{"loss": 1.5}, {"loss": 1.25}, {"eval_loss": 1.375}]}
    version = _labelled(world, adapter, 1, state=state)
    trained = {"loss": 1.25, "eval_loss": 1.375}
    assert version.trained == trained
    assert _manifest(world, version)["provenance"]["trained"] == trained
    ((_, _, sidecar),) = list(world.host.spool.sidecars())
    assert sidecar["trained"] == trained
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    (again,) = world.registry.versions(adapter)
    assert (again.stage, again.trained) == (Stage.PUBLISHED, trained)


def test_the_trainers_loss_is_compared_on_probes_of_ones_own(world: World, adapter: str) -> None:
    """On the built-in texts an adapter owes nothing to what it was trained on."""
    _measuring(world, loss_base=3.0, loss_adapter=2.9)
    state = {"log_history": [{"loss": 0.5}]}
    assert "loss_above_training" not in _warnings(world, _labelled(world, adapter, 1, state=state))
    _own_probes(world)
    assert "loss_above_training" in _warnings(world, _labelled(world, adapter, 2, state=state))
    assert _warnings(world, _labelled(world, adapter, 3)) == []


def test_the_loss_is_compared_with_the_version_before_on_the_same_probes(world: World, adapter: str) -> None:
    """Other probes in between are no measure; the newest version that was measured alike is."""
    _labelled(world, adapter, 1)
    _measuring(world, loss_adapter=2.9)
    second = _labelled(world, adapter, 2)
    assert _warnings(world, second) == ["loss_above_former"]
    assert "v1" in world.registry.validations(second.id)[-1].report["warnings"][0]["message"]
    assert _warnings(world, _labelled(world, adapter, 3)) == [], "v2 was no better"
    _own_probes(world)
    _measuring(world, loss_adapter=1.0)
    assert _warnings(world, _labelled(world, adapter, 4)) == []
    del world.extra["validation"]
    world.reopen()
    _measuring(world, loss_adapter=2.9)
    assert _warnings(world, _labelled(world, adapter, 5)) == [], "v4 was measured on other texts"


def test_the_same_commit_with_other_bytes_stalls(world: World, adapter: str) -> None:
    """A base that was changed or damaged under its name is not what the versions before were measured in."""
    _pinned(world)
    assert _labelled(world, adapter, 1).stage is Stage.PUBLISHED
    _measuring(world, base_fingerprint=OTHER)
    version = _labelled(world, adapter, 2)
    assert (version.stalled, version.reason) == (True, "base_differs")
    assert all(digits in version.message for digits in (HERE[:16], OTHER[:16], "v1"))
    _measuring(world, base_fingerprint=HERE)
    operate.retry(world.host, version.label, "tester", "fetched again")
    drive(world)
    assert world.registry.versions(adapter)[0].stage is Stage.PUBLISHED


def test_a_local_base_may_be_trained_further(world: World, adapter: str) -> None:
    """Without a commit nothing says that its bytes stay the same."""
    _labelled(world, adapter, 1)
    _measuring(world, base_fingerprint=OTHER)
    assert _labelled(world, adapter, 2).stage is Stage.PUBLISHED


def test_the_manifest_says_on_which_variant_it_passed(make_world: Callable[..., World], adapter: str) -> None:
    """Quantised and spread as configured, in the request, the policy, the manifest and the card."""
    world = make_world()
    plain = _labelled(world, adapter, 1)
    assert _manifest(world, plain)["base"]["variant"] == {"dtype": "float32", "quantization": None, "device_map": None}
    world.extra["base_models"] = f"[{{id: {BASE}, path: {world.tmp}/base, quantization: nf4, device_map: auto}}]"
    world.reopen()
    version = _labelled(world, adapter, 2)
    assert world.validator.asked[-1].base.quantization["bnb_4bit_quant_type"] == "nf4"
    assert _manifest(world, version)["base"]["variant"] == {
        "dtype": "float32",
        "quantization": "nf4",
        "device_map": "auto",
    }
    card = world.client.read(adapter, version.commit or "", "README.md").decode()
    assert "base quantised to nf4" in card
    policies = {world.registry.validations(v.id)[-1].policy for v in (plain, version)}
    assert len(policies) == 2


def test_a_variant_is_remembered_when_the_base_has_left(make_world: Callable[..., World], adapter: str) -> None:
    """What passed on a quantised base is published although base and entry are gone."""
    world = make_world()
    world.extra["base_models"] = f"[{{id: {BASE}, path: {world.tmp}/base, quantization: nf4}}]"
    world.reopen()
    stage(world, adapter, 1)
    drive_only_validation(world)
    assert world.registry.versions(adapter)[0].stage is Stage.VALIDATED
    (world.tmp / "base" / "config.json").unlink()
    (world.tmp / "base").rmdir()
    world.extra["base_models"] = "[]"
    world.host = replace(world.host, config=world.config)
    drive(world)
    assert world.registry.versions(adapter)[0].stage is Stage.PUBLISHED


def test_a_quantised_copy_is_published_under_its_original(make_world: Callable[..., World], adapter: str) -> None:
    """The config names the model that servers load, not the copy or its commit; the record says what was written."""
    world = make_world()
    world.extra["base_models"] = f"[{{id: Qwen/Qwen2.5-0.5B, path: {world.tmp}/base}}]"
    world.reopen()
    copy = "unsloth/qwen2.5-0.5b-unsloth-bnb-4bit"
    write_adapter(world.tmp / "train" / "run-1", seed=1, base=copy, revision="c" * 40)
    stage(world, adapter, 1, keep=True)
    drive(world)
    (version,) = world.registry.versions(adapter)
    assert version.stage is Stage.PUBLISHED
    config = json.loads(world.client.read(adapter, version.commit or "", "adapter_config.json"))
    assert (config["base_model_name_or_path"], config["revision"]) == ("Qwen/Qwen2.5-0.5B", None)
    repairs = {each["key"]: (each["was"], each["now"]) for each in _manifest(world, version)["provenance"]["repairs"]}
    assert repairs["base_model_name_or_path"] == (copy, "Qwen/Qwen2.5-0.5B")
    assert repairs["revision"] == ("c" * 40, None)


def test_a_path_is_published_under_the_base_that_lies_there(make_world: Callable[..., World], adapter: str) -> None:
    """The trainer wrote a path that nothing names; a copy of the configured base lies there."""
    world = make_world()
    copy = world.tmp / "scratch"
    for folder in (world.tmp / "base", copy):
        _weights(folder)
    write_adapter(world.tmp / "train" / "run-1", seed=1, base=str(copy))
    stage(world, adapter, 1, keep=True)
    drive(world)
    (version,) = world.registry.versions(adapter)
    assert version.stage is Stage.PUBLISHED
    assert _manifest(world, version)["base"]["id"] == BASE
    config = world.client.read(adapter, version.commit or "", "adapter_config.json")
    assert json.loads(config)["base_model_name_or_path"] == BASE


def _weights(folder: Path) -> None:
    """Write a base model, as far as files tell."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(b"weights")
