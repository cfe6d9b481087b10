"""status, list and show read a real registry, with and without a daemon."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.control import ControlServer

if TYPE_CHECKING:
    from cli.conftest import Make


def run(*arguments: str) -> str:
    """Run a verb in this process; what it wrote to standard output."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def parsed(*arguments: str) -> dict[str, Any]:
    """The document that a verb wrote."""
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    assert found["schema"] == 1
    return found


@pytest.fixture(autouse=True)
def _configured(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training host's shell names its configuration."""
    monkeypatch.setenv("ADAPTERD_CONFIG", str(host))


def test_status_names_what_waits_for_a_person() -> None:
    """Without a daemon it says so, counts versions by stage, and shows every stall with its hint."""
    said = run("status")
    assert "daemon: not running" in said
    assert "1 published" in said
    assert "1 rejected" in said
    assert "acme/support@id:333333333333: base_not_at_hand" in said
    assert "Try: run `adapterd base fetch`" in said
    assert "odd: generic_name" in said
    found = parsed("status")
    assert found["daemon"] is None
    assert [v["reason"] for v in found["stalled"]] == ["base_not_at_hand"]
    assert [o["path"] for o in found["stalled_directories"]] == ["odd"]


def test_status_asks_a_running_daemon(host: Path) -> None:
    """With one it adds what the daemon says of itself: roots, lanes, problems."""
    root = {"path": "/train", "known": 3, "problem": "", "message": "gone", "hint": "mount it", "events": "on"}
    health = {"version": "0.1.0", "publisher": "adapterd-1", "ready": True, "alive": True, "roots": [root]}
    with ControlServer(host.parent / "run" / "control.sock", {"status": lambda _: {"health": health}}):
        assert parsed("status")["daemon"] == health
        said = run("status")
    assert "daemon: running, ready, publisher adapterd-1" in said
    assert "root /train: 3 adapter directories, events on" in said
    assert "Try: mount it" in said


def test_list_shows_adapters_then_versions_then_directories() -> None:
    """Each adapter with its newest version; one adapter's versions, newest first; every directory seen."""
    (adapter,) = parsed("list")["adapters"]
    assert (adapter["adapter"], adapter["newest"], adapter["stalled"]) == ("acme/support", "v1", 1)
    versions = parsed("list", "acme/support")["versions"]
    assert [(v["tag"], v["stage"]) for v in versions] == [(None, "staged"), (None, "rejected"), ("v1", "published")]
    assert {d["path"] for d in parsed("list", "--directories")["directories"]} >= {"odd", "run-1"}
    said = run("list", "acme/support")
    assert "staged, stalled" in said
    assert "run-1 (final)" in said
    assert "odd" in run("list", "--directories")
    assert "acme/base" in run("list")


@pytest.mark.parametrize("at", ["@v1", "@" + "c" * 40, "@id:11111111"])
def test_show_finds_a_version_by_each_of_its_names(at: str) -> None:
    """Number, commit and identity show version, sightings, reports and events."""
    found = parsed("show", f"acme/support{at}")
    assert found["version"]["tag"] == "v1"
    assert [s["path"] for s in found["sightings"]] == ["run-1"]
    assert found["reports"][0]["measurements"] == {"effect": 0.25}
    assert found["events"]


def test_show_tells_why_a_version_was_rejected() -> None:
    """The reason with its numbers and its hint stand at the top."""
    said = run("show", "acme/support@id:22222222")
    assert "rejected" in said.splitlines()[0]
    assert "no_effect: not one of the 3 layers is changed by it" in said
    assert "Try: the adapter changes no weight" in said


def test_show_path_adds_what_became_of_a_directory(whole: Path, make: "Make") -> None:
    """A directory below a root comes with its observation and its version's history; a new one is not seen yet."""
    found = parsed("show", str(whole))
    assert (found["code"], found["observation"]["state"]) == ("adapter", "settled")
    assert found["history"]["version"]["tag"] == "v1"
    assert "acme/support@v1: published" in run("show", str(whole))
    new = make("run-9", {"adapter_config.json": True, "adapter_model.safetensors": True})
    assert "not seen by a scan yet" in run("show", str(new))
