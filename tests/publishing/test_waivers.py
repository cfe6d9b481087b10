"""Appeal: a person sets one reason aside for one version, and everybody can see that."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from adapterd import operate
from adapterd.core import publication as pub
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.steps import export
from adapterd.steps.rebuild import rebuild
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation

WHY = "only the | head was trained"


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def _rejected(world: World, adapter: str, *findings: Reason) -> AdapterVersion:
    """A version that was refused."""
    world.validator.result = replace(world.validator.result, findings=findings)
    version = stage(world, adapter, 1)
    drive(world)
    assert _now(world, version).stage is Stage.REJECTED
    return version


def _published(world: World, version: AdapterVersion, path: str) -> bytes:
    return world.client.read(version.adapter, _now(world, version).commit or "", path)


def _manifest(world: World, version: AdapterVersion) -> dict[str, Any]:
    document = json.loads(_published(world, version, pub.MANIFEST))
    assert isinstance(document, dict)
    return document


def test_a_waived_version_is_published_and_says_so(world: World, adapter: str) -> None:
    """Manifest, card and index name the code; who waived it stays in registry and report."""
    version = _rejected(world, adapter, reason("no_effect", "not one of the 3 layers is changed by it"))
    assert operate.waive(world.host, "no_effect", version.label, "alice-of-host", WHY) == version.label
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED
    manifest = _manifest(world, version)
    (waiver,) = manifest["report"]["waivers"]
    assert (manifest["report"]["verdict"], waiver["code"], waiver["reason"]) == ("passed", "no_effect", WHY)
    assert [w["code"] for w in manifest["report"]["warnings"]] == ["no_effect"]
    readme = _published(world, version, pub.CARD).decode()
    assert "| waived | no_effect, only the \\| head was trained |" in readme
    for published in (json.dumps(manifest), readme):
        assert "alice-of-host" not in published
    (entry,) = [e.value() for e in export.entries(world.registry, world.publisher) if e.adapter == adapter]
    assert entry["versions"]["v1"]["waived"] == ["no_effect"]
    report = world.registry.validations(version.id)[-1].report
    assert [(w["code"], w["actor"]) for w in report["waivers"]] == [("no_effect", "alice-of-host")]


def test_a_waiver_sets_aside_one_code_alone(world: World, adapter: str) -> None:
    """Another reason still refuses; waived as well, both stand in the manifest."""
    found = (reason("absurd_values", "1 value of 3e38"), reason("loss_too_high", "the loss is 9"))
    version = _rejected(world, adapter, *found)
    operate.waive(world.host, "absurd_values", version.label, "tester", "seen")
    drive(world)
    assert (_now(world, version).stage, _now(world, version).reason) == (Stage.REJECTED, "loss_too_high")
    assert [w["code"] for w in world.registry.validations(version.id)[-1].report["waivers"]] == ["absurd_values"]
    operate.waive(world.host, "loss_too_high", version.label, "tester", "probes of another kind")
    drive(world)
    waived = {w["code"] for w in _manifest(world, version)["report"]["waivers"]}
    assert waived == {"absurd_values", "loss_too_high"}


def test_a_waiver_that_is_not_needed_is_not_shown(world: World, adapter: str) -> None:
    """Under today's policy nothing speaks against it any more: there is nothing to set aside."""
    version = _rejected(world, adapter, reason("no_effect", "nothing changes"))
    world.validator.result = replace(world.validator.result, findings=())
    operate.waive(world.host, "no_effect", version.label, "tester", "meant so")
    drive(world)
    assert _manifest(world, version)["report"]["waivers"] == []
    assert "waived" not in _published(world, version, pub.CARD).decode()
    (entry,) = [e.value() for e in export.entries(world.registry, world.publisher) if e.adapter == adapter]
    assert "waived" not in entry["versions"]["v1"]


def test_a_waiver_is_for_one_version(world: World, adapter: str) -> None:
    """The next version of the series is refused for the same reason."""
    version = _rejected(world, adapter, reason("no_effect", "nothing changes"))
    operate.waive(world.host, "no_effect", version.label, "tester", "meant so")
    drive(world)
    other = stage(world, adapter, 2)
    drive(world)
    assert (_now(world, version).stage, _now(world, other).stage) == (Stage.PUBLISHED, Stage.REJECTED)


def test_a_waiver_outlives_a_change_of_policy(make_world: Callable[..., World], adapter: str) -> None:
    """It passed, then the limits changed before it was published: it is validated again, and the word still counts."""
    world = make_world()
    version = _rejected(world, adapter, reason("no_effect", "nothing changes"))
    operate.waive(world.host, "no_effect", version.label, "tester", "meant so")
    drive_only_validation(world)
    assert _now(world, version).stage is Stage.VALIDATED
    world.extra["validation"] = "{limits: {max_loss: 4.0}}"
    world.reopen()
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED
    assert [v.verdict for v in world.registry.validations(version.id)] == ["rejected", "passed", "passed"]


def test_a_waived_gate_publishes_its_exit_code_and_none_of_its_words(
    make_world: Callable[..., World], adapter: str
) -> None:
    """What a command of this host wrote may hold paths and names of it."""
    world = make_world()
    command = ["/bin/sh", "-c", "echo /home/secret-user/data is missing >&2; exit 4"]
    world.extra["validation"] = f"{{gates: [{{command: {json.dumps(command)}}}]}}"
    world.reopen()
    version = stage(world, adapter, 1)
    drive(world)
    assert "secret-user" in _now(world, version).message
    operate.waive(world.host, "gate_refused", version.label, "tester", "known")
    drive(world)
    text = _published(world, version, pub.MANIFEST).decode() + _published(world, version, pub.CARD).decode()
    assert "gate sh said no with exit code 4" in text
    assert "secret-user" not in text


def test_a_secret_in_a_waivers_reason_is_never_recorded(world: World, adapter: str) -> None:
    """It would be published."""
    secret = "hf_" + "s" * 34
    version = _rejected(world, adapter, reason("no_effect", "nothing changes"))
    operate.waive(world.host, "no_effect", version.label, "tester", f"see {secret}")
    assert secret not in str(world.registry.events(version.id))


def test_a_rebuilt_registry_still_knows_what_was_waived(make_world: Callable[..., World], adapter: str) -> None:
    """The manifest says it, and so does the index that is made from the registry."""
    world = make_world()
    version = _rejected(world, adapter, reason("no_effect", "nothing changes"))
    operate.waive(world.host, "no_effect", version.label, "tester", "meant so")
    drive(world)
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    (entry,) = [e.value() for e in export.entries(world.registry, world.publisher) if e.adapter == adapter]
    assert entry["versions"]["v1"]["waived"] == ["no_effect"]
