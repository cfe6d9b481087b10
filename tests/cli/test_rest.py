"""config, hub serve, and the generated pages."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.documents import documents, main
from adapterd.cli.exits import UsageFaultError
from adapterd.config import ConfigError, example, json_schema
from adapterd.hub.client import HubClient

if TYPE_CHECKING:
    from cli.conftest import Type

REPOSITORY = Path(__file__).parents[2]


def test_config_check_says_what_follows(adapterd: "Type", config: Path, tmp_path: Path) -> None:
    """A right file gives its places; a missing token is a remark, since another shell than the daemon's may lack it."""
    done = adapterd("config", "check", "--config", str(config))
    assert done.returncode == 0
    assert f"registry {tmp_path}/state/registry.db" in done.stdout
    assert f"root {tmp_path}/train (not there yet)" in done.stdout
    assert "no token was found" in done.stderr
    secret = "hf_" + "s" * 34
    told = adapterd("config", "check", "--json", ADAPTERD_CONFIG=str(config), HF_TOKEN=secret)
    found = json.loads(told.stdout)
    assert (found["schema"], found["ok"], found["token"]) == (1, True, "HF_TOKEN")
    assert secret not in told.stdout + told.stderr


def test_config_check_names_every_problem(tmp_path: Path) -> None:
    """Each problem comes with its line, its key and its hint; with --json as a list. Exit 78."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("hub: {namespace: acme, colour: red}\nroots: [{path: relative}]\n")
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(app, ["config", "check", "--config", str(wrong)], catch_exceptions=False)
    assert len(caught.value.problems) == 2
    done = CliRunner().invoke(app, ["config", "check", "--config", str(wrong), "--json"])
    assert done.exit_code == 78
    found = json.loads(done.stdout)
    assert not found["ok"]
    assert {problem["key"] for problem in found["problems"]} == {"hub.colour", "roots[0].path"}


def test_config_example_and_schema_are_those_of_the_types(tmp_path: Path) -> None:
    """Both are printed; the example is also written to a new file, and overwrites none."""
    runner = CliRunner()
    assert runner.invoke(app, ["config", "example"]).stdout == example()
    assert json.loads(runner.invoke(app, ["config", "schema"]).stdout) == json_schema()
    target = tmp_path / "new.yaml"
    assert runner.invoke(app, ["config", "example", str(target)]).exit_code == 0
    assert target.read_text() == example()
    assert runner.invoke(app, ["config", "example", str(target)]).exit_code != 0


def test_the_embedded_hub_serves_until_it_is_told_to_stop(shell: dict[str, str], tmp_path: Path) -> None:
    """One line says endpoint and token; the account may write to further namespaces; SIGTERM is exit 0."""
    command = [sys.executable, "-m", "adapterd", "hub", "serve", "--port", "0", "--data", str(tmp_path / "hub")]
    serving = subprocess.Popen(
        [*command, "--user", "ada", "--org", "acme"],
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with serving:
        assert serving.stdout is not None
        try:
            _, _, endpoint, _, token = serving.stdout.readline().split()
            client = HubClient(endpoint, token, xet=False, ca_file=None, proxy=None, deadline=10.0)
            assert client.whoami() == "ada"
            client.create_repo("acme/support", private=True)
            client.close()
        finally:
            serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0


def test_a_port_that_is_taken_is_told(adapterd: "Type", tmp_path: Path) -> None:
    """Two lines and no traceback; so for a name that is none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = adapterd("hub", "serve", "--port", port, "--data", str(tmp_path / "hub"))
    assert done.returncode == 4
    assert done.stderr.startswith(f"port {port} cannot be used")
    with pytest.raises(UsageFaultError):
        CliRunner().invoke(app, ["hub", "serve", "--data", "hub", "--user", "no/slash"], catch_exceptions=False)


@pytest.mark.parametrize("name", list(documents()))
def test_generated_pages_are_not_stale(name: str) -> None:
    """What is in the repository is what the sources generate; `python -m adapterd.cli.documents` writes it."""
    assert (REPOSITORY / name).read_text(encoding="utf-8") == documents()[name]


def test_a_stale_page_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check writes nothing and names what is stale; without it the page is written."""
    for name in documents():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    page = tmp_path / "docs/reference/cli.md"
    page.write_text("old")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "cli.md is stale\nTry: python -m adapterd.cli.documents" in capsys.readouterr().err
    assert page.read_text() == "old"
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0


def test_a_token_goes_to_its_own_hub_alone(shell: dict[str, str], config: Path, tmp_path: Path) -> None:
    """The configuration's token is not sent to another Hub that the command line names."""
    secret = "hf_" + "s" * 34
    (tmp_path / "token").write_text(secret)
    (tmp_path / "token").chmod(0o600)
    text = config.read_text().replace("namespace: acme", f"namespace: acme, token_file: {tmp_path}/token")
    config.write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(20)
        address = f"http://127.0.0.1:{other.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "adapterd",
            "resolve",
            "acme/x",
            "--config",
            str(config),
            "--endpoint",
            address,
        ]
        asking = subprocess.Popen(command, env=shell, stderr=subprocess.PIPE, text=True)
        with asking:
            client, _ = other.accept()
            with client:
                request = client.recv(65536)
            _, said = asking.communicate(timeout=20)
    assert b"GET /api/models/acme/x/refs" in request
    assert b"authorization" not in request.lower()
    assert asking.returncode == 75
    assert secret not in said


def test_sync_of_an_empty_root_is_done(adapterd: "Type", config: Path, tmp_path: Path) -> None:
    """Without a daemon the line is worked here; with nothing on it, the verb ends at once with 0."""
    (tmp_path / "train").mkdir()
    done = adapterd("sync", "--config", str(config))
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
