"""The verbs that keep the record, as an operator meets them: audit, and a rebuild that finds its adapters by itself."""

import json
import shutil
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.config import places
from adapterd.hub.server import RunningHub
from adapterd.instance import keep_instance
from adapterd.registry import open_reader
from adapterd.steps import export
from helpers.hosts import TOKEN, World, config_text
from publishing.conftest import stage
from publishing.lines import drive

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def world(make_world: Callable[..., World], adapter: str) -> World:
    """A publisher of its own: the Hub is shared, and a rebuild reads all that is this publisher's."""
    return make_world(adapter.rpartition("/")[2])


@pytest.fixture
def operator(world: World, adapter: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A host that published one version; gives exit code and output of a verb."""
    stage(world, adapter, 1)
    drive(world)
    export.export(world.host, export.Parts())
    config = world.tmp / "adapterd.yaml"
    config.write_text(config_text(world.tmp, world.endpoint))
    keep_instance(places(world.config, {}, world.tmp), world.publisher)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words, "--config", str(config)], catch_exceptions=False)
        return done.exit_code, done.stdout

    return run


def test_audit_ends_with_4_where_anything_differs(operator: Run, world: World, adapter: str) -> None:
    """Each finding with its code and what to do, or as JSON; 0 and one line where there is none."""
    code, said = operator("audit")
    assert (code, said) == (0, "1 adapters with 1 versions compared (refs, visibility and standing): no drift\n")
    assert operator("audit", "--deep")[0] == 0
    world.client.delete_tag(adapter, "v1")
    code, said = operator("audit", adapter)
    assert code == 4
    assert f"{adapter}@v1: tag_missing: tag v1 is gone" in said
    assert "  Try: " in said
    code, said = operator("audit", "--json")
    found = json.loads(said)
    assert (code, found["schema"], found["adapters"], found["versions"]) == (4, 1, 1, 1)
    assert [(f["code"], f["subject"]) for f in found["findings"]] == [("tag_missing", f"{adapter}@v1")]
    assert found["findings"][0]["hint"]


@pytest.mark.parametrize("known_by", ["spool", "index", "listing"])
def test_a_rebuild_finds_its_adapters(operator: Run, world: World, adapter: str, known_by: str) -> None:
    """By the spool's sidecars, by the index beside the registry, or by the Hub's listing of the namespace."""
    world.registry.close()
    for path in world.path.parent.glob("registry.db*"):
        path.unlink()
    if known_by != "spool":
        shutil.rmtree(world.host.spool.path)
    if known_by != "index":
        world.host.index.unlink()
    code, said = operator("registry", "rebuild")
    assert code == 0
    assert said.startswith("1 published versions restored, 0 staged again\n")
    with open_reader(world.path) as reader:
        assert [(v.adapter, v.number) for v in reader.versions()] == [(adapter, 1)]
    world.reopen()


@pytest.mark.usefixtures("operator")
def test_models_are_listed_by_namespace(world: World, adapter: str, hub: RunningHub) -> None:
    """One request for a namespace of few; one of nobody has none."""
    before = len(hub.requests)
    assert adapter in world.client.models("acme")
    assert len(hub.requests) == before + 1
    assert world.client.models("nobody") == []
