"""Gates on the line: what their answers do to a version, its report and its manifest."""

import json
import sys
import threading
from collections.abc import Callable

import pytest

from adapterd import operate, reconcile
from adapterd.core import publication as pub
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.reconcile import MOST_IN_A_ROW, Grouping
from adapterd.steps.gates import MOST, numbers
from gates.test_runner import eventually
from helpers.adapters import write_adapter
from helpers.hosts import BASE, World
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation

Worlds = Callable[..., World]


def gated(make_world: Worlds, *codes: str, timeout: str = "20s") -> World:
    """A publisher whose gates run these lines of Python."""
    world = make_world()
    configure(world, *codes, timeout=timeout)
    return world


def configure(world: World, *codes: str, timeout: str = "20s") -> None:
    """Give it other gates."""
    commands = [[sys.executable, "-c", f"import json, os, sys, time; {code}", "{snapshot}"] for code in codes]
    gates = json.dumps([{"command": command, "timeout": timeout} for command in commands])
    world.extra["validation"] = f"{{gates: {gates}}}"
    world.reopen()


def now(world: World, version: AdapterVersion) -> AdapterVersion:
    """The version as it is."""
    found = world.registry.version(version.id)
    assert found is not None
    return found


def test_a_yes_goes_into_report_and_manifest(make_world: Worlds, adapter: str) -> None:
    """Every gate has its entry in the report; numbers become measurements, which the manifest publishes."""
    world = gated(
        make_world,
        "print(json.dumps({'acc': 0.75, 'note': 'kept here', 'by': {'task,none': 2}, '/home/me': 1}))",
        "assert os.listdir(sys.argv[1]) and os.environ['ADAPTERD_BASE']",
    )
    version = stage(world, adapter, 1)
    drive(world)
    found = now(world, version)
    assert found.stage is Stage.PUBLISHED
    (validation,) = world.registry.validations(version.id)
    first, second = validation.report["gates"]
    assert first["command"].startswith("python")
    assert (first["exit"], first["metrics"]["note"], second["metrics"]) == (0, "kept here", {})
    manifest = json.loads(world.client.read(adapter, found.commit or "", pub.MANIFEST))
    measured = {key: value for key, value in manifest["report"]["measurements"].items() if key.startswith("gate.")}
    assert measured == {"gate.acc": 0.75, "gate.by.task,none": 2}
    assert "kept here" not in json.dumps(manifest)


def test_a_no_refuses_with_its_last_lines_and_no_other_gate_is_asked(make_world: Worlds, adapter: str) -> None:
    """The message says which gate, the exit code and what it said; the report is kept."""
    world = gated(make_world, "print(json.dumps({'acc': 0.1})); sys.exit('accuracy below 0.5')", "sys.exit(9)")
    version = stage(world, adapter, 1)
    drive(world)
    found = now(world, version)
    assert (found.stage, found.reason) == (Stage.REJECTED, "gate_refused")
    assert "exit code 1\naccuracy below 0.5" in found.message
    (validation,) = world.registry.validations(version.id)
    assert [g["exit"] for g in validation.report["gates"]] == [1]
    assert validation.report["measurements"]["gate.acc"] == 0.1


def test_what_the_probes_refused_is_not_put_before_a_gate(make_world: Worlds, adapter: str) -> None:
    """The cheap come before the expensive."""
    world = gated(make_world, "sys.exit(1)")
    world.validator.result = type(world.validator.result)(
        (reason("non_finite", "3 tensors hold NaN"),), {}, "cpu", "float32"
    )
    version = stage(world, adapter, 1)
    drive(world)
    assert now(world, version).reason == "non_finite"
    (validation,) = world.registry.validations(version.id)
    assert validation.report["gates"] == []


def test_a_gate_without_an_answer_stalls_and_retry_asks_again(make_world: Worlds, adapter: str) -> None:
    """A deadline is no verdict: no report is written, its last words are in the history, a person goes on."""
    world = gated(make_world, "print('loading', flush=True); time.sleep(600)", timeout="1500ms")
    version = stage(world, adapter, 1)
    drive(world)
    found = now(world, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.STAGED, True, "gate_failed")
    assert not world.registry.validations(version.id)
    assert {"log_tail": "loading"} in [e.detail for e in world.registry.events(version.id) if e.kind == "gate_failed"]
    configure(world, "pass")
    operate.retry(world.host, version.label, "tester", "")
    drive(world)
    assert now(world, version).stage is Stage.PUBLISHED


def test_a_gate_that_writes_to_the_snapshot_is_found_out(make_world: Worlds, adapter: str) -> None:
    """What is published is what passed: publish hashes every file again."""
    code = "path = sys.argv[1] + '/adapter_config.json'; os.chmod(path, 0o600); open(path, 'a').write(' ')"
    world = gated(make_world, code)
    version = stage(world, adapter, 1)
    drive(world)
    found = now(world, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.VALIDATED, True, "snapshot_damaged")


def test_a_stop_gives_the_version_back(make_world: Worlds, adapter: str) -> None:
    """The daemon does not wait for a gate: it ends it, and nothing is held against the version."""
    world = make_world()
    started, stopping = world.tmp / "started", threading.Event()
    configure(world, f"open({str(started)!r}, 'w'); print('loading', flush=True); time.sleep(600)", timeout="600s")
    version = stage(world, adapter, 1)
    before, history = now(world, version), world.registry.events(version.id)
    lane = threading.Thread(
        target=reconcile.turn,
        args=(world.host, reconcile.LINE[0], world.publisher, lambda: 0.5, stopping.is_set),
    )
    lane.start()
    eventually(started.exists)
    stopping.set()
    world.host.gates.close()
    lane.join(20)
    assert not lane.is_alive()
    assert now(world, version) == before
    assert world.registry.events(version.id) == history


def test_other_gates_are_another_policy(make_world: Worlds, adapter: str) -> None:
    """What passed under fewer gates, and is not published yet, is validated again."""
    world = make_world()
    version = stage(world, adapter, 1)
    drive_only_validation(world)
    before = world.registry.validations(version.id)[-1].policy
    configure(world, "sys.exit(1)")
    drive(world)
    assert now(world, version).reason == "gate_refused"
    assert [v.verdict for v in world.registry.validations(version.id)] == ["passed", "rejected"]
    assert world.registry.validations(version.id)[-1].policy != before


def test_the_lease_covers_every_gate(make_world: Worlds) -> None:
    """No other lane takes a version while its gates may run."""
    world = make_world()
    plain = reconcile.lease_of(world.host)
    configure(world, "pass", "pass", timeout="1000s")
    assert reconcile.lease_of(world.host) >= plain + 2000


@pytest.mark.parametrize(
    ("metrics", "taken"),
    [
        ({"acc": 1, "loss": 0.5}, {"gate.acc": 1, "gate.loss": 0.5}),
        ({"a": {"b": {"c": 1}}}, {"gate.a.b.c": 1}),
        ({"yes": True, "words": "x", "list": [1], "none": None}, {}),
        ({"nan": float("nan"), "inf": float("inf"), "vast": 10**400}, {}),
        ({"/home/me": 1, "a b": 1, "": 1, "9": 1, "x" * 65: 1, "ä": 1}, {}),
        (
            {"acc,none": 1, "pass@1": 2, "f1_macro-avg": 3},
            {"gate.acc,none": 1, "gate.pass@1": 2, "gate.f1_macro-avg": 3},
        ),
    ],
)
def test_only_named_finite_numbers_are_measurements(metrics: dict[str, object], taken: dict[str, float]) -> None:
    """They stand in the manifest for ever, so that names are plain words."""
    assert numbers(metrics) == taken


def test_a_gate_cannot_swamp_the_report() -> None:
    """A limited number of measurements is taken from one gate."""
    assert len(numbers({f"m{n}": n for n in range(10 * MOST)})) == MOST


def test_versions_of_one_base_follow_one_another_and_nobody_starves() -> None:
    """After so many in a row the oldest has its turn, whatever its base; then grouping begins anew."""
    grouping = Grouping()
    assert grouping.preferred == ""
    for _ in range(MOST_IN_A_ROW):
        grouping.took("acme/one")
    assert grouping.preferred == ""
    grouping.took("acme/two")
    assert (grouping.preferred, grouping.length) == ("acme/two", 1)


def test_the_queue_is_taken_base_by_base(make_world: Worlds, adapter: str) -> None:
    """Adapters on two bases that come in turns are validated with one change of base."""
    world = make_world()
    bases = (BASE, "acme/other-base")
    world.extra["base_models"] = f"[{', '.join(f'{{id: {base}, path: {world.tmp}/base}}' for base in bases)}]"
    world.reopen()
    names = [f"{adapter}-{n}" for n in range(4)]
    for n, name in enumerate(names):
        write_adapter(world.tmp / "train" / f"run-{n}", seed=n, base=bases[n % 2])
        stage(world, name, n, keep=True)
    grouping, taken = Grouping(), []
    while moved := reconcile.turn(world.host, reconcile.LINE[0], world.publisher, lambda: 0.5, grouping=grouping):
        taken.append(moved.adapter)
    assert taken == [names[0], names[2], names[1], names[3]]
