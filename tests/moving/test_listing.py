"""Whoever moves a channel without a registry tells the namespace's index, where it has one."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.core import index
from adapterd.core.version import AdapterVersion, Stage
from adapterd.deploy import read_catalogue
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.moving import listing
from deploy.conftest import TOKEN, facts_of
from moving.series import Series

INDEX = "acme/adapterd-index"


def run(*arguments: str) -> str:
    """Run a verb that ends well; what it wrote to standard error."""
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stderr


def test_a_move_by_hand_is_in_the_index_at_once(
    hub: HubClient, server: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """promote, hold and yank say it in the adapter's part; what its publisher said of the versions stays."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    series = Series(hub, 2, large=False)
    name = series.adapter
    versions = [
        AdapterVersion(
            n, name, facts_of(name, n, {}).version.identity, "0" * 64, n, Stage.PUBLISHED, number=n, commit=commit
        )
        for n, commit in series.commits.items()
    ]
    part = index.adapter_entry(name, "publisher-a", "acme/base", versions, {}, {}, {1: index.Told(published=7.0)})
    if INDEX not in hub.models("acme"):
        assert not run("hold", name)  # without an index nothing is missed
        run("release", name)
        hub.create_repo(INDEX, private=True)
    listing.change(hub, INDEX, lambda _: {index.path_of(name): part})
    run("promote", f"{name}@v2", "--to", "main")
    run("hold", name, "--reason", "until Monday")
    run("yank", f"{name}@v1", "--reason", "wrong data")
    catalogue, _ = read_catalogue(hub, INDEX)
    assert catalogue is not None
    entry = catalogue.entry(name)
    assert entry.channels == {"main": 2}
    assert entry.versions[1].yank_reason == "wrong data"
    assert entry.holds == {"main": "until Monday"}
    assert entry.versions[1].published == 7
