"""What channels hold is validated again when the world changed; a failure changes nothing but what moves by itself."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd import reconcile, ruling
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.health import Health
from adapterd.lanes import Steps
from adapterd.operate import UnknownVersionError, to_validate_again
from adapterd.ports import DeviceBusy, ProbeRequest, WorkerDied
from adapterd.reconcile import LINE
from adapterd.revalidating import Revalidation
from adapterd.steps import promote
from adapterd.steps.rebuild import rebuild
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive

BROKEN = reason("no_effect", "not one of the layers is changed by it")


class Station:
    """A publisher whose validate lane has time to spare, and libraries that a test may change."""

    def __init__(self, world: World) -> None:
        """Nothing was asked for yet."""
        self.world = world
        self.libraries: dict[str, str] = {"peft": "0"}
        self.health = Health("1", world.publisher, 0.0, world.clock)
        self.again = Revalidation(self.health, libraries=lambda: self.libraries)
        self.lane = Steps(lambda: world.host, self.health, LINE[0], None, self.again.turn)
        self.measured()

    def measured(self, *, faults: bool = False, **versions: str) -> None:
        """What the worker will say: with a fault or none, measured with these libraries in the base as it is."""
        print_ = self.world.host.digests.of(self.world.tmp / "base")
        self.world.validator.result = replace(
            self.world.validator.result,
            findings=(BROKEN,) if faults else (),
            versions=versions or {"peft": "0"},
            base_fingerprint=print_,
        )

    def upgrade(self, *, faults: bool = False) -> None:
        """Install another version of a library."""
        self.libraries["peft"] = "1"
        self.measured(faults=faults, peft="1")

    def turn(self) -> int:
        """Ask for the weekly look, and turn the lane once; how often the worker was asked."""
        before = len(self.world.validator.asked)
        self.again.ask()
        self.lane.turn()
        return len(self.world.validator.asked) - before

    def verdicts(self, version: AdapterVersion) -> list[str]:
        """Of every report on a version, oldest first."""
        return [row.verdict for row in self.world.registry.validations(version.id)]


@pytest.fixture
def station(world: World) -> Station:
    """One publisher."""
    return Station(world)


def publish(world: World, adapter: str, seed: int = 1) -> AdapterVersion:
    """Publish a final save, which `main` then holds."""
    version = stage(world, adapter, seed)
    drive(world)
    found = world.registry.version(version.id)
    assert found is not None
    return found


def test_nothing_is_measured_while_nothing_changed(station: Station, adapter: str) -> None:
    """Same libraries, base and policy: the report there is still says it all."""
    version = publish(station.world, adapter)
    assert station.turn() == 0
    assert station.verdicts(version) == ["passed"]


@pytest.mark.parametrize("change", ["libraries", "base", "policy"])
def test_what_changed_is_measured_again_once(station: Station, adapter: str, change: str) -> None:
    """A new report is recorded beside the first; version, tag and commit are as they were, and so is the next week."""
    world = station.world
    version = publish(world, adapter)
    refs = world.client.refs(adapter)
    match change:
        case "libraries":
            station.upgrade()
        case "base":
            (world.tmp / "base" / "config.json").write_text('{"architectures": ["MistralForCausalLM"]}')
            station.measured()
        case _:
            world.extra["validation"] = "{probe_tokens: 32}"
            world.host = replace(world.host, config=world.config)
    assert station.turn() == 1
    assert station.verdicts(version) == ["passed", "passed"]
    assert world.registry.version(version.id) == version
    assert world.client.refs(adapter) == refs
    assert station.turn() == 0
    assert station.health.counters["revalidation_passed"] == 1


def test_only_what_channels_hold_is_looked_at(station: Station, adapter: str) -> None:
    """A version that no channel holds any more keeps the report it has."""
    one, two = publish(station.world, adapter, 1), publish(station.world, adapter, 2)
    station.upgrade()
    assert station.turn() == 1
    assert [len(station.verdicts(version)) for version in (one, two)] == [1, 2]


def test_a_failure_is_said_and_changes_neither_version_nor_channel(station: Station, adapter: str) -> None:
    """Whoever runs it is told; the channel goes on holding it until a person rolls it back."""
    world = station.world
    version = publish(world, adapter)
    refs = world.client.refs(adapter)
    station.upgrade(faults=True)
    station.turn()
    drive(world)
    assert world.registry.version(version.id) == version
    assert version.stage is Stage.PUBLISHED
    assert world.client.refs(adapter) == refs
    (failing,) = ruling.failing(world.registry)
    assert (failing.version, failing.channels) == (version, ("main",))
    message, hint = station.health.problems["revalidation_failed"]
    assert f"{version.label}, which main holds" in message
    assert "no_effect" in message
    assert "Roll back" in hint
    assert station.health.counters["revalidation_failed"] == 1


def test_a_version_that_fails_goes_into_no_channel_until_it_passes(
    make_world: Callable[..., World], adapter: str
) -> None:
    """Held by one channel and soaking for another, it fails: the other never takes it, until it passes again."""
    channels = "{canary: {rule: finals}, main: {rule: finals, soak_in: canary, soak_for: 1d}}"
    station = Station(make_world(extra={"channels": channels}))
    world = station.world
    version = publish(world, adapter)
    station.upgrade(faults=True)
    station.turn()
    world.clock.now += 2 * 86400
    drive(world)
    assert {c.channel: c.number for c in world.registry.channels(adapter)} == {"canary": 1}
    (wanting,) = ruling.wanting(world.registry, world.host.config, world.clock())
    assert [back.reason.code for back in wanting.back] == ["revalidation_failed"]
    restarted = Station(world)
    restarted.libraries = station.libraries
    restarted.measured(peft="1")
    assert restarted.turn() == 1  # what failed is tried again each time
    assert "revalidation_failed" not in restarted.health.problems
    drive(world)
    assert {c.channel: c.number for c in world.registry.channels(adapter)} == {"canary": 1, "main": 1}
    assert station.verdicts(version) == ["passed", "rejected", "passed"]


@pytest.mark.parametrize(
    "error",
    [WorkerDied("it was killed", cause="worker_crashed"), DeviceBusy("no room on cpu")],
    ids=["died", "busy"],
)
def test_a_worker_that_comes_to_no_end_says_nothing_about_the_version(
    station: Station, adapter: str, error: Exception
) -> None:
    """No report, no failure, no loop: it is said, and tried again at the next time."""
    world = station.world
    version = publish(world, adapter)
    station.upgrade()
    world.validator.raises = error
    assert station.turn() == 1
    assert station.verdicts(version) == ["passed"]
    assert version.label in station.health.problems["revalidation_undone"][0]
    assert ruling.failing(world.registry) == ()
    world.validator.raises = None
    assert station.turn() == 1
    assert station.verdicts(version) == ["passed", "passed"]
    assert "revalidation_undone" not in station.health.problems


def test_a_base_that_left_the_host_is_no_failure(station: Station, adapter: str) -> None:
    """There is nothing to measure it in."""
    version = publish(station.world, adapter)
    station.upgrade()
    shutil.rmtree(station.world.tmp / "base")
    assert station.turn() == 0
    assert station.verdicts(version) == ["passed"]
    assert "not on this host" in station.health.problems["revalidation_undone"][0]


def test_bytes_that_the_spool_let_go_of_are_pulled_and_verified(station: Station, adapter: str) -> None:
    """The worker gets exactly the version's files, and nothing of them stays behind."""
    world = station.world
    version = publish(world, adapter)
    world.host.spool.discard(adapter, version.tree)
    seen: list[Mapping[str, bytes]] = []
    probe = world.validator.probe

    def looking(request: ProbeRequest) -> object:
        folder = Path(request.snapshot)
        seen.append({path.name: path.read_bytes() for path in folder.iterdir()})
        return probe(request)

    world.validator.probe = looking  # type: ignore[method-assign, assignment]  # looks, and passes on
    station.upgrade()
    station.turn()
    source = world.tmp / "train" / "run-1"
    assert seen[0].keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert seen[0]["adapter_model.safetensors"] == (source / "adapter_model.safetensors").read_bytes()
    assert station.verdicts(version) == ["passed", "passed"]
    assert list(world.host.spool.path.glob(".incoming/*")) == []


def test_bytes_that_are_not_the_versions_are_never_measured(make_world: Callable[..., World], adapter: str) -> None:
    """A download that was altered on its way is said, and counts neither for nor against the version."""

    class Altering:
        """A Hub whose downloads have one byte more."""

        def __init__(self, hub: object) -> None:
            self._hub = hub

        def __getattr__(self, name: str) -> object:
            return getattr(self._hub, name)

        def download(self, repo: str, revision: str, path: str, target: str) -> None:
            """Download, and add a byte."""
            self._hub.download(repo, revision, path, target)  # type: ignore[attr-defined]  # the Hub's
            with Path(target).open("ab") as file:
                file.write(b" ")

    station = Station(make_world())
    world = station.world
    version = publish(world, adapter)
    world.host.spool.discard(adapter, version.tree)
    world.wrap_hub = Altering  # type: ignore[assignment]  # stands in
    station.upgrade()
    assert station.turn() == 0
    assert station.verdicts(version) == ["passed"]
    assert "as it was pulled" in station.health.problems["revalidation_undone"][0]


def test_new_versions_go_first(station: Station, adapter: str) -> None:
    """What comes in while a look is asked for is validated before, and between two of the old ones."""
    world = station.world
    publish(world, adapter, 1)
    other = f"{adapter}-b"
    publish(world, other, 2)
    station.upgrade()
    new = stage(world, adapter, 3)
    order: list[str] = []
    probe = world.validator.probe
    later: Iterator[int] = iter([4])

    def noting(request: ProbeRequest) -> object:
        order.append(
            "new" if any(v.stage is Stage.STAGED and v.tree in request.snapshot for v in _all(world)) else "old"
        )
        if order[-1] == "old" and (seed := next(later, 0)):
            stage(world, adapter, seed)
        return probe(request)

    world.validator.probe = noting  # type: ignore[method-assign, assignment]  # looks, and passes on
    station.turn()
    assert order == ["new", "old", "new", "old"]
    assert world.registry.version(new.id) is not None


def _all(world: World) -> list[AdapterVersion]:
    return list(world.registry.versions())


def test_a_person_may_ask_for_it_by_name(station: Station, adapter: str) -> None:
    """Whatever changed; also of a version that no channel holds."""
    world = station.world
    one, two = publish(world, adapter, 1), publish(world, adapter, 2)
    assert to_validate_again(world.host, f"{adapter}@v1") == [one]
    assert to_validate_again(world.host, f"{adapter}@main") == to_validate_again(world.host, adapter) == [two]
    with pytest.raises(UnknownVersionError):
        to_validate_again(world.host, f"{adapter}@v9")
    station.again.ask_for([one])
    station.lane.turn()
    assert [len(station.verdicts(version)) for version in (one, two)] == [2, 1]


def test_a_lost_registry_is_filled_with_reports_again(station: Station, adapter: str) -> None:
    """After a rebuild there is no report here; the next look makes one, so that channels can compare again."""
    world = station.world
    publish(world, adapter)
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    assert station.turn() == 1
    (version,) = world.registry.versions(adapter)
    assert station.verdicts(version) == ["passed"]
    assert reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5) is None
    assert promote.due(world.host) == []
