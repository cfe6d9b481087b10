"""Engines serve what channels hold: with the real client on a real Hub, and engines by their recorded contract."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapterd.core.following import Golden
from adapterd.core.index import render
from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, Shelf
from adapterd.deploy.engines import CommandEngine, Engine, ServingEngine
from adapterd.deploy.follow import Follower, Memory, Prove, Report, Settings, Spec
from adapterd.deploy.follow.proving import prove
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.ports import AddBytes
from deploy.conftest import name_of
from helpers.engines import RecordedEngine, serving

if TYPE_CHECKING:
    from deploy.conftest import Repo

BASE = "acme/base"
TOKEN = "hf_" + "a" * 34


@dataclass
class Site:
    """A serving host: a folder, engines, a clock, and what the follower said."""

    folder: Path
    hub: HubClient
    clients: list[Engine]
    settings: Settings = field(default_factory=lambda: Settings(golden=Golden.OFF))
    now: float = 1_000_000.0
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    prove: Prove | None = None
    memory: Memory | None = None
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def remember(self) -> Memory:
        """What lies on disk, as a process reads it at its start."""
        self.memory = Memory(self.folder, Shelf(self.folder, Layout.VLLM).room)
        return self.memory

    def follower(self, *references: str, hub: HubClient | None = None) -> Follower:
        """A follower's process as it starts."""
        shelf = Shelf(self.folder, Layout.VLLM)
        keys = tuple(client.key for client in self.clients)
        names = [(f"name-{place}", each) for place, each in enumerate(references)]
        specs = [Spec(parse_reference(each), name, self.only.get(name, keys)) for name, each in names]
        return Follower(
            hub=hub or self.hub,
            shelf=shelf,
            engines=self.clients,
            specs=specs,
            settings=self.settings,
            memory=self.memory or Memory(self.folder, shelf.room),
            clock=lambda: self.now,
            jitter=lambda: 0.0,
            tell=lambda event, **fields: self.said.append((event, fields)),
            prove=self.prove,
        )

    @property
    def aliases(self) -> dict[str, str]:
        """What routers read."""
        found: dict[str, str] = json.loads((self.folder / "aliases.json").read_bytes())["aliases"]
        return found

    def events(self) -> list[str]:
        """What was said since the last look, by name."""
        names = [event for event, _ in self.said if event != "pulling"]
        self.said.clear()
        return names


@pytest.fixture
def engines() -> Iterator[list[RecordedEngine]]:
    """A vLLM and an SGLang server."""
    with serving("vllm") as vllm, serving("sglang") as sglang:
        yield [vllm, sglang]


@pytest.fixture
def site(tmp_path: Path, hub: HubClient, engines: list[RecordedEngine]) -> Site:
    """A host with both engines."""
    return Site(tmp_path / "adapters", hub, [ServingEngine(engine.url) for engine in engines])


def asked(server: RunningHub, do: Callable[[], object]) -> list[str]:
    """The requests that something makes, each as method and path."""
    before = len(server.requests)
    do()
    return [f"{record.method} {record.path}" for record in list(server.requests)[before:]]


def test_a_new_version_takes_over_everywhere(site: Site, channel: "Repo", engines: list[RecordedEngine]) -> None:
    """It is loaded under its own name, then the stable name means it, then the former one drains and goes."""
    follower = site.follower(channel.adapter)
    first = follower.turn()
    assert first == Report(("name-0",), (), ())
    assert site.events() == ["version_pulled", "version_loaded", "version_loaded", "alias_switched"]
    channel.promote(channel.publish())
    follower.turn()
    one, two = name_of(channel, 1), name_of(channel, 2)
    assert site.aliases == {"name-0": two}
    assert (site.folder / "name-0").readlink() == Path(two)
    assert all(set(engine.loaded) == {one, two} for engine in engines)
    assert engines[0].loaded[two] == str(site.folder / two)
    assert site.events() == ["version_pulled", "version_loaded", "version_loaded", "alias_switched"]
    site.now += 29
    follower.turn()
    assert all(one in engine.loaded for engine in engines)
    site.now += 1
    follower.turn()
    assert all(set(engine.loaded) == {two} for engine in engines)
    assert site.events() == ["version_unloaded", "version_unloaded"]
    assert [what for what, _ in engines[0].calls] == ["load", "load", "unload"]


def test_a_rollback_needs_no_download(site: Site, channel: "Repo", server: RunningHub) -> None:
    """The former serving name comes back from the shelf."""
    follower = site.follower(channel.adapter)
    follower.turn()
    channel.promote(channel.publish())
    follower.turn()
    site.now += 31
    follower.turn()
    channel.promote(1)
    requests = asked(server, follower.turn)
    assert site.aliases == {"name-0": name_of(channel, 1)}
    assert not [request for request in requests if "safetensors" in request]


def test_a_restarted_engine_gets_its_adapters_back(site: Site, channel: "Repo", engines: list[RecordedEngine]) -> None:
    """Every turn compares with what each engine lists."""
    follower = site.follower(channel.adapter)
    follower.turn()
    engines[0].restart()
    assert engines[0].loaded == {}
    report = follower.turn()
    assert set(engines[0].loaded) == {name_of(channel, 1)}
    assert report.waiting == ()


def test_a_silent_engine_keeps_the_old_version_and_holds_nobody_else_up(
    site: Site, channel: "Repo", other: "Repo", engines: list[RecordedEngine]
) -> None:
    """Its adapters wait, those of other engines go on; after some time it is left out, and later catches up."""
    site.only = {"name-1": (engines[0].url,)}
    follower = site.follower(channel.adapter, other.adapter)
    follower.turn()
    engines[1].stop()
    for repo in (channel, other):
        repo.promote(repo.publish())
    report = follower.turn()
    assert site.aliases == {"name-0": name_of(channel, 1), "name-1": name_of(other, 2)}
    assert report.waiting == ("name-0",)
    assert [trouble.engine for trouble in report.troubles] == [engines[1].url]
    site.now += site.settings.patience
    follower.turn()
    assert site.aliases["name-0"] == name_of(channel, 2)
    engines[1].start()
    assert follower.turn().waiting == ()
    assert set(engines[1].loaded) == {name_of(channel, 2)}


def test_an_engine_that_refuses_keeps_the_old_version(
    site: Site, channel: "Repo", engines: list[RecordedEngine]
) -> None:
    """It is said once, and tried again after a pause that grows."""
    follower = site.follower(channel.adapter)
    follower.turn()
    site.events()
    engines[1].max_rank = 4
    channel.promote(channel.publish())
    report = follower.turn()
    assert site.aliases == {"name-0": name_of(channel, 1)}
    assert "max-lora-rank" in report.troubles[0].error.hint
    assert site.events() == ["version_pulled", "version_loaded", "held_back"]
    tries = len(engines[1].calls)
    follower.turn()
    assert len(engines[1].calls) == tries
    assert site.events() == []
    engines[1].max_rank = 64
    site.now += 60
    assert follower.turn().troubles == ()
    assert site.aliases == {"name-0": name_of(channel, 2)}
    assert site.events() == ["version_loaded", "alias_switched", "all_well"]


def test_bad_bytes_never_reach_an_engine(site: Site, channel: "Repo", engines: list[RecordedEngine]) -> None:
    """A version whose files are not its manifest's is not put in place; the old one stays."""
    follower = site.follower(channel.adapter)
    follower.turn()
    channel.promote(channel.publish(change=lambda m: m["files"]["adapter_model.safetensors"].update(sha256="0" * 64)))
    report = follower.turn()
    assert site.aliases == {"name-0": name_of(channel, 1)}
    assert "has the sha256" in report.troubles[0].error.message
    assert not (site.folder / name_of(channel, 2)).exists()
    assert all(set(engine.loaded) == {name_of(channel, 1)} for engine in engines)


def test_what_lies_there_is_served_while_the_hub_is_away(
    site: Site, channel: "Repo", engines: list[RecordedEngine]
) -> None:
    """Also by a follower that starts then, on engines that start then."""
    site.follower(channel.adapter).turn()
    away = HubClient("http://127.0.0.1:9", TOKEN, xet=False, ca_file=None, proxy=None, deadline=5.0)
    for engine in engines:
        engine.restart()
    report = site.follower(channel.adapter, hub=away).turn()
    away.close()
    assert all(set(engine.loaded) == {name_of(channel, 1)} for engine in engines)
    assert (report.settled, len(report.troubles)) == (("name-0",), 1)


def test_what_was_altered_on_disk_is_pulled_again(site: Site, channel: "Repo") -> None:
    """A follower that starts reads every byte that is served."""
    site.follower(channel.adapter).turn()
    weights = site.folder / name_of(channel, 1) / "adapter_model.safetensors"
    weights.write_bytes(b"other bytes")
    site.events()
    assert site.follower(channel.adapter).turn().troubles == ()
    assert weights.read_bytes() == channel.payloads[1]["adapter_model.safetensors"]
    assert site.events() == ["version_altered", "version_pulled"]


def test_an_exact_version_that_is_yanked_stays_with_a_warning(site: Site, channel: "Repo") -> None:
    """It is what somebody asked for."""
    channel.standing({"schema": 1, "yanks": [{"number": 1, "reason": "wrong data"}]})
    report = site.follower(f"{channel.adapter}@v1").turn()
    assert report.settled == ("name-0",)
    assert any(event == "version_withdrawn" and "wrong data" in fields["warning"] for event, fields in site.said)


def test_an_exact_version_that_is_erased_stays_where_it_lies(site: Site, channel: "Repo") -> None:
    """The Hub has it no more; whoever pinned it is told."""
    site.follower(f"{channel.adapter}@v1").turn()
    identity = channel.manifests[1]["identity"]["digest"]
    stone = {"identity": identity, "number": 1, "actor": "ann", "reason": "law", "at": 0}
    channel.standing({"schema": 1, "erasures": [stone]})
    report = site.follower(f"{channel.adapter}@v1").turn()
    assert report.settled == ("name-0",)
    assert "was erased: law" in report.troubles[0].error.message
    assert "version_erased" in site.events()


def test_versions_of_others_are_left_alone(site: Site, channel: "Repo", engines: list[RecordedEngine]) -> None:
    """Adapters that a person loaded, even of the same name, stay."""
    stranger = f"{channel.adapter.replace('/', '-')}@v9-abcdef0"
    for engine in engines:
        engine.loaded |= {"theirs": "/srv/theirs", stranger: "/elsewhere"}
    follower = site.follower(channel.adapter)
    follower.turn()
    site.now += 100
    follower.turn()
    assert all({"theirs", stranger} < set(engine.loaded) for engine in engines)


def test_at_rest_nothing_but_the_repo_is_asked(site: Site, channel: "Repo", server: RunningHub) -> None:
    """Without an index, one request for each adapter; no engine is told anything."""
    follower = site.follower(channel.adapter)
    follower.turn()
    assert asked(server, follower.turn) == [f"GET /api/models/{channel.adapter}/refs"]


def write_index(hub: HubClient, *repos: tuple["Repo", int]) -> str:
    """Write an index repo that says what each repo's main holds; its name."""
    name = f"{repos[0][0].adapter}-index"
    if name not in hub.models("acme"):
        hub.create_repo(name, private=True)
    adapters = {}
    for repo, number in repos:
        listed = {
            "commit": repo.commits[number],
            "identity": repo.manifests[number]["identity"]["digest"],
            "serving_name": name_of(repo, number),
            "yanked": False,
            "erased": False,
        }
        adapters[repo.adapter] = {
            "schema": 1,
            "adapter": repo.adapter,
            "publisher": "p",
            "base": BASE,
            "channels": {"main": f"v{number}"},
            "versions": {f"v{number}": listed},
        }
    document = render({"schema": 1, "adapters": adapters})
    hub.commit(name, "main", hub.refs(name).branches["main"], [AddBytes("index.json", document)], "Index")
    return name


def test_an_index_tells_of_all_in_one_conditional_request(
    site: Site, channel: "Repo", other: "Repo", hub: HubClient, server: RunningHub
) -> None:
    """At rest that is all; what it says has moved is resolved at its own repo, and nothing else is."""
    index = write_index(hub, (channel, 1), (other, 1))
    site.settings = replace(site.settings, index=index)
    follower = site.follower(channel.adapter, other.adapter)
    assert follower.turn().waiting == ()
    assert asked(server, follower.turn) == [f"GET /{index}/resolve/main/index.json"]
    channel.promote(channel.publish())
    follower.turn()
    assert site.aliases["name-0"] == name_of(channel, 1)
    write_index(hub, (channel, 2), (other, 1))
    requests = asked(server, follower.turn)
    assert site.aliases["name-0"] == name_of(channel, 2)
    assert not [request for request in requests if f"{other.adapter}/" in request]
    assert asked(server, follower.turn) == [f"GET /{index}/resolve/main/index.json"]


def test_an_index_that_lags_is_not_waited_for_for_ever(site: Site, channel: "Repo", hub: HubClient) -> None:
    """After `recheck` the repo itself is asked, whatever the index says."""
    site.settings = replace(site.settings, index=write_index(hub, (channel, 1)))
    follower = site.follower(channel.adapter)
    follower.turn()
    channel.promote(channel.publish())
    follower.turn()
    assert site.aliases["name-0"] == name_of(channel, 1)
    site.now += site.settings.recheck
    follower.turn()
    assert site.aliases["name-0"] == name_of(channel, 2)


@pytest.mark.parametrize("optional", [True, False])
def test_without_its_index_each_repo_is_asked(site: Site, channel: "Repo", optional: bool) -> None:  # noqa: FBT001 - a parameter
    """An index that nobody named need not be there; one that was named is missed, and nobody waits for it."""
    site.settings = replace(site.settings, index="acme/no-such-index", optional=optional)
    report = site.follower(channel.adapter).turn()
    assert report.settled == ("name-0",)
    assert len(report.troubles) == (0 if optional else 1)


def test_an_index_is_not_believed(site: Site, channel: "Repo", hub: HubClient) -> None:
    """What it says of a version that the channel does not hold changes nothing."""
    channel.publish()
    site.settings = replace(site.settings, index=write_index(hub, (channel, 2)))
    site.follower(channel.adapter).turn()
    assert site.aliases["name-0"] == name_of(channel, 1)


@pytest.mark.parametrize(
    ("golden", "verdict", "number"),
    [
        (Golden.WARN, "base", 2),
        (Golden.REQUIRE, "base", 1),
        (Golden.REQUIRE, "inconclusive", 1),
        (Golden.REQUIRE, "adapter", 2),
        (Golden.OFF, "base", 2),
    ],
)
def test_a_golden_check_may_keep_the_old_version(
    site: Site, channel: "Repo", golden: Golden, verdict: str, number: int
) -> None:
    """It is made on each engine before the stable name moves, only warns unless it is required, and is made again."""
    site.settings = replace(site.settings, golden=golden)
    answers = ["adapter"]
    site.prove = lambda engine, held: (answers[-1], f"{held.serving_name} on {engine.key}")
    follower = site.follower(channel.adapter)
    follower.turn()
    answers.append(verdict)
    channel.promote(channel.publish())
    report = follower.turn()
    assert site.aliases == {"name-0": name_of(channel, number)}
    assert bool(report.troubles) == (number == 1)
    checks = [event for event, _ in site.said if event in {"golden_passed", "golden_doubtful"}]
    assert len(checks) == (0 if golden is Golden.OFF else 4)
    answers.append("adapter")
    site.now += 60
    assert follower.turn().troubles == ()
    assert site.aliases == {"name-0": name_of(channel, 2)}


def test_a_version_without_golden_outputs_takes_over_in_doubt(site: Site, channel: "Repo") -> None:
    """It cannot be asked about; that is said, and is no failure unless proof is required."""
    for golden, served in ((Golden.REQUIRE, False), (Golden.WARN, True)):
        site.settings, site.prove = replace(site.settings, golden=golden), prove
        site.follower(channel.adapter).turn()
        doubts = [fields["why"] for event, fields in site.said if event == "golden_doubtful"]
        assert doubts == [f"{name_of(channel, 1)} has no golden outputs"] * 2
        assert bool(site.aliases) == served
        site.said.clear()


def test_what_is_not_asked_is_not_said_to_have_passed(site: Site, channel: "Repo") -> None:
    """A program has no prompts to answer: the version takes over, and nothing is claimed of golden outputs."""
    site.prove = lambda _engine, _held: ("unasked", "a command is not asked")
    assert site.follower(channel.adapter).turn().troubles == ()
    assert site.aliases == {"name-0": name_of(channel, 1)}
    assert not [event for event, _ in site.said if event.startswith("golden_")]


def test_a_command_is_an_engine_too(site: Site, channel: "Repo", tmp_path: Path) -> None:
    """It is told of each version once, by all followers of a folder together."""
    told = tmp_path / "told"
    script = tmp_path / "tell"
    script.write_text(f'#!/bin/sh\necho "$1 $ADAPTERD_NEW $ADAPTERD_OLD" >> {told}\n')
    script.chmod(0o700)
    for _ in range(2):
        memory = site.remember()
        site.clients = [CommandEngine([str(script)], partial(memory.told, "c"), partial(memory.keep_told, "c"))]
        follower = site.follower(channel.adapter)
        follower.turn()
    channel.promote(channel.publish())
    follower.turn()
    site.now += 31
    follower.turn()
    one, two = name_of(channel, 1), name_of(channel, 2)
    assert told.read_text().splitlines() == [f"load {one} ", f"load {two} {one}", f"unload {two} {one}"]


def test_the_status_says_how_it_stands(site: Site, channel: "Repo", engines: list[RecordedEngine]) -> None:
    """By adapter and by engine, with what is wrong and what to do about it."""
    engines[1].stop()
    site.follower(channel.adapter).turn()
    status = json.loads((site.folder / "follow.json").read_bytes())
    assert status["schema"] == 1
    assert status["adapters"]["name-0"]["serving"] == name_of(channel, 1)
    assert not status["adapters"]["name-0"]["settled"]
    assert status["engines"][engines[0].url]["loaded"] == [name_of(channel, 1)]
    assert status["engines"][engines[1].url]["troubles"][0]["hint"]


def test_former_versions_are_kept_for_the_way_back(site: Site, channel: "Repo") -> None:
    """So many as were asked for, and none that an engine still has."""
    site.settings = replace(site.settings, keep=1, drain=0.0)
    follower = site.follower(channel.adapter)
    follower.turn()
    for _ in range(3):
        channel.promote(channel.publish())
        follower.turn()
        follower.turn()
    there = {path.name for path in site.folder.iterdir() if "@v" in path.name}
    assert there == {name_of(channel, 3), name_of(channel, 4)}
