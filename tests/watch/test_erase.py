"""prune and erase as a person types them, through a running daemon and without one."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.exits import UsageFaultError
from adapterd.deploy import ErasedError
from helpers.hosts import NAMESPACE, World
from helpers.sites import Daemon, Site
from publishing.conftest import stage
from publishing.lines import drive


@pytest.fixture
def adapter(request: pytest.FixtureRequest) -> str:
    """An adapter of each test's own, since the Hub is shared."""
    return f"{NAMESPACE}/{request.node.name.replace('_', '-')[:40].strip('-')}"


@pytest.fixture
def two(site: Site, adapter: str) -> Site:
    """A host that published two final versions before its daemon was started."""
    world = World(site.tmp, site.hub.endpoint)
    for seed in (1, 2):
        stage(world, adapter, seed)
        drive(world)
    world.close()
    return site


def _said(site: Site, *words: str) -> str:
    """What a verb wrote, in this process: a new one costs a second or more."""
    done = CliRunner(env=dict(site.environ())).invoke(
        app, [*words, "--config", str(site.config)], catch_exceptions=False
    )
    assert done.exit_code == 0
    return done.stdout


def test_a_version_is_erased_through_the_daemon(two: Site, adapter: str, watch: Callable[..., Daemon]) -> None:
    """It asks first, says what went and what cannot be called back, and it shows everywhere; both acts are audited."""
    two.configure(retention="{hub: {keep: 1, keep_for: 0s, keep_finals: false}}")
    daemon = watch().ready()
    for words in ((f"{adapter}@v2",), (f"{adapter}@main", "--yes")):
        with pytest.raises(UsageFaultError, match=r"nobody can be asked|names no single version"):
            _said(two, "erase", *words, "--reason", "asked for")
    told = _said(two, "erase", f"{adapter}@v2", "--reason", "asked for", "--yes")
    assert f"{adapter}: v2 erased\n  main holds v1 now\n" in told
    assert "cannot be called back" in told
    assert "published, erased" in _said(two, "list", adapter)
    assert "asked for" in _said(two, "show", f"{adapter}@v2")
    assert json.loads(_said(two, "status", "--json"))["erased"] == 1
    with pytest.raises(ErasedError, match="was erased: asked for"):
        _said(two, "resolve", f"{adapter}@v2")
    assert f"{adapter}@v1" in _said(two, "resolve", adapter)
    assert json.loads(_said(two, "prune", "--json"))["tidied"]["snapshots"] == 0
    assert "0 of 1 versions would go" in _said(two, "prune", "--hub", "--plan")
    assert "nothing to erase" in _said(two, "prune", "--hub", "--apply", "--yes")
    assert daemon.stop() == 0
    audit = [json.loads(line) for line in (two.tmp / "state" / "audit.jsonl").read_text().splitlines()]
    assert [(e["do"], e["reason"], e["outcome"]) for e in audit] == [
        ("erase", "asked for", "done"),
        ("prune", "", "done"),
        ("prune", "", "done"),
    ]
    index = json.loads((two.tmp / "state" / "index.json").read_text())["adapters"][adapter]
    assert (index["channels"], index["versions"]["v2"]["erased"]) == ({"main": "v1"}, True)


def test_without_a_daemon_it_is_done_here(two: Site, adapter: str) -> None:
    """The plan changes nothing; the act does what it said."""
    two.configure(retention="{snapshots: 0, snapshots_for: 0s, hub: {keep: 1, keep_for: 0s, keep_finals: false}}")
    planned = _said(two, "prune", "--dry-run")
    assert "2 of 2 snapshots would go" in planned
    assert planned == _said(two, "prune", "--dry-run")
    assert "2 snapshots" in _said(two, "prune")
    assert "0 of 2 versions would go" in _said(two, "prune", "--hub", "--plan")
    with pytest.raises(UsageFaultError, match="either --plan or --apply"):
        _said(two, "prune", "--hub")
    assert "v1 erased" in _said(two, "erase", f"{adapter}@v1", "--reason", "quota", "--yes")
