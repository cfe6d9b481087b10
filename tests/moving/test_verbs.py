"""promote, rollback, hold, release, yank, unyank and channels as a person types them, on a real Hub."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.exits import code_of
from adapterd.control import ControlServer, Request
from adapterd.core.errors import AdapterdError
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from deploy.conftest import TOKEN
from moving.series import Series


@pytest.fixture(autouse=True)
def _shell(server: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployer's shell: a home without a configuration, a Hub, a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def two(hub: HubClient) -> Series:
    """A repo with v1 and v2."""
    return Series(hub, 2, large=False)


def run(*arguments: str) -> str:
    """Run a verb that ends well; what it wrote to standard output."""
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def refused(*arguments: str) -> tuple[int, str]:
    """Run a verb that is refused; its exit code and its two lines."""
    with pytest.raises(AdapterdError) as error:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return code_of(error.value), str(error.value)


def test_a_channel_there_and_back_again(two: Series) -> None:
    """What each verb says, in the order in which they are needed; the account at the Hub is who did it."""
    name = two.adapter
    assert f"main of {name} holds v1 now" in run("promote", f"{name}@v1", "--to", "main", "--reason", "first")
    run("promote", f"{name}@v2", "--to", "main")
    assert f"stable of {name} holds v2 now" in run("promote", f"{name}@main", "--to", "stable")
    back = run("rollback", name, "--reason", "worse on the holdout")
    assert f"main of {name} holds v1 now, was v2" in back
    assert f"adapterd release {name} --channel main" in back
    assert "main is held; it stays held" in run("promote", f"{name}@v1", "--to", "main")
    code, said = refused("yank", f"{name}@v2", "--reason", "wrong data")
    assert (code, f"adapterd rollback {name} --channel stable" in said) == (4, True)
    run("rollback", name, "--channel", "stable", "--to", "v1")
    assert "is yanked" in run("yank", f"{name}@v2", "--reason", "wrong data")
    assert refused("promote", f"{name}@v2", "--to", "main")[0] == 4
    assert "no longer yanked" in run("unyank", f"{name}@v2")
    assert "is released" in run("release", name)
    assert "is not held" in run("release", name)
    assert f"main of {name} is held" in run("hold", name, "--reason", "freeze")
    table = run("channels", name)
    assert "by acme: freeze" in table
    assert "worse on the holdout" in table
    history = run("channels", name, "--history", "main").splitlines()
    assert [line.split()[1] for line in history[1:]] == ["v1", "v2", "v1"]
    assert [line.split()[3:5] for line in history[1:]] == [["acme", "rollback"], ["acme", "hand"], ["acme", "hand"]]
    found = json.loads(run("channels", name, "--json"))
    assert {each["channel"]: each["number"] for each in found["channels"]} == {"main": 1, "stable": 1}
    assert found["channels"][0]["history"][0]["reason"] == "worse on the holdout"
    assert len(run("channels", name, "--all").splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["promote", "{name}", "--to", "main"], 2),
        (["promote", "{name}@v9", "--to", "main"], 5),
        (["promote", "{name}@v1", "--to", "versions"], 2),
        (["hold", "{name}", "--channel", "v3"], 2),
        (["promote", "{name}@v1", "--to", "main", "--endpoint", "nonsense"], 78),
        (["promote", "acme/nothing@v1", "--to", "main"], 5),
        (["rollback", "{name}@v1"], 2),
        (["rollback", "{name}", "--to", "stable"], 2),
        (["hold", "{name}", "--channel", "stable"], 5),
        (["yank", "{name}@main", "--reason", "x"], 2),
        (["yank", "{name}@v1", "--reason", " "], 2),
        (["channels", "{name}", "--history", "stable"], 5),
    ],
)
def test_what_cannot_be_done_has_its_code_and_a_hint(two: Series, arguments: list[str], code: int) -> None:
    """A wrong command line is 2, what is not there 5, what a person must settle first 4."""
    found, said = refused(*(argument.format(name=two.adapter) for argument in arguments))
    assert found == code
    assert "\nTry: " in said


def test_on_the_daemons_host_the_act_is_written_down_and_the_daemon_looks(
    two: Series, server: RunningHub, tmp_path: Path
) -> None:
    """With its configuration the audit log has the act, a refused one too, and the daemon is told which adapter."""
    for folder in ("state", "run", "train"):
        (tmp_path / folder).mkdir()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"hub: {{endpoint: '{server.endpoint}', namespace: acme, token_file: {tmp_path}/token}}\n"
        f"roots: [{{path: {tmp_path}/train}}]\nstate_dir: {tmp_path}/state\nruntime_dir: {tmp_path}/run\n"
    )
    asked: list[Request] = []

    def look(request: Request) -> dict[str, object]:
        asked.append(request)
        return {"looks": True}

    with ControlServer(tmp_path / "run" / "control.sock", {"look": look}):
        run("promote", f"{two.adapter}@v1", "--to", "main", "--reason", "first", "--config", str(config))
        refused("promote", f"{two.adapter}@v9", "--to", "main", "--config", str(config))
    lines = [json.loads(line) for line in (tmp_path / "state" / "audit.jsonl").read_text().splitlines()]
    assert [(line["do"], line["outcome"], line["reason"]) for line in lines] == [
        ("promote", "done", "first"),
        ("promote", "failed", ""),
    ]
    assert lines[0]["arguments"] == {"reference": f"{two.adapter}@v1", "channel": "main"}
    assert [request.arguments["adapter"] for request in asked] == [two.adapter, two.adapter]
    # Without a daemon nobody is told, and the act is done all the same.
    run("promote", f"{two.adapter}@v2", "--to", "main")
    assert "holds v2 already" in run("promote", f"{two.adapter}@v2", "--to", "main", "--config", str(config))
