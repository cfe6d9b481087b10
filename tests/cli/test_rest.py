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
from adapterd.config.labelpage import labels_example
from adapterd.core.expected import own_fingerprint
from adapterd.fingerprints import fingerprint
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, start
from adapterd.ports import Denied, NotFound, Transient

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


@pytest.mark.parametrize(
    ("added", "key", "line"),
    [
        ("roots: [{path: HERE/file}]", "roots[0].path", 4),
        ("roots: [{path: HERE/train}]\nbase_models:\n  - {id: a/b, path: HERE/none}", "base_models[0].path", 6),
        ("roots: [{path: HERE/train}]\nbase_models:\n  - {id: a/b, path: HERE/file}", "base_models[0].path", 6),
        ("roots: [{path: HERE/train, probes: HERE/none}]", "roots[0].probes", 4),
        ("roots: [{path: HERE/train, probes: HERE/file}]", "roots[0].probes", 4),
        ("roots: [{path: HERE/train, trained_on: [HERE, HERE/none]}]", "roots[0].trained_on[1]", 4),
        ("roots: [{path: HERE/train}]\nbase_models:\n  - {id: a/b, probes: HERE}", "base_models[0].probes", 6),
        ("roots: [{path: HERE/train}]\nhub: {namespace: acme, ca_file: HERE/none}", "hub.ca_file", 5),
        ("roots: [{path: HERE/train}]\nhub: {namespace: acme, ca_file: HERE}", "hub.ca_file", 5),
        ("roots: [{path: HERE/train}]\nhub: {namespace: acme, ca_file: HERE/file}", "hub.ca_file", 5),
    ],
)
def test_config_check_looks_at_this_host(tmp_path: Path, added: str, key: str, line: int) -> None:
    """What is named must be there and be what it should: else the key with its line, and exit 78."""
    (tmp_path / "file").write_text("no certificate\n")
    wrong = tmp_path / "wrong.yaml"
    text = added if "hub:" in added else f"{added}\nhub: {{namespace: acme}}"
    wrong.write_text(f"state_dir: HERE/state\nruntime_dir: HERE/run\n#\n{text}\n".replace("HERE", str(tmp_path)))
    done = CliRunner().invoke(app, ["config", "check", "--config", str(wrong), "--json"])
    assert done.exit_code == 78
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["key"], problem["line"]) == (key, line)
    assert problem["hint"]


@pytest.mark.parametrize("held", [None, "", "two words"])
def test_config_check_wants_the_token_file_that_is_named(
    adapterd: "Type", config: Path, tmp_path: Path, held: str | None
) -> None:
    """A `hub.token_file` that is absent or holds no token is exit 78, whatever HF_TOKEN holds."""
    if held is not None:
        (tmp_path / "token").write_text(held)
    config.write_text(config.read_text().replace("acme,", f"acme, token_file: {tmp_path}/token,"))
    done = adapterd("config", "check", "--config", str(config), HF_TOKEN="hf_" + "s" * 34)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"{tmp_path}/token: " in done.stderr


def test_config_check_online_names_the_tokens_owner(config: Path, tmp_path: Path) -> None:
    """With --online the Hub says whose token it is; a token that it refuses is exit 6, with --json too."""
    secret = "hf_" + "s" * 34
    (tmp_path / "token").write_text(secret)
    (tmp_path / "token").chmod(0o600)
    named = config.read_text().replace("acme,", f"acme, token_file: {tmp_path}/token,")
    asked = ["config", "check", "--online", "--config", str(config)]
    with start(tmp_path / "hub", [Account("ada", secret, "write", ())]) as hub:
        config.write_text(named.replace("http://127.0.0.1:9", hub.endpoint))
        done = CliRunner().invoke(app, asked, catch_exceptions=False)
        assert done.exit_code == 0
        assert f"token belongs to ada, says {hub.endpoint}" in done.stdout
        assert json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["owner"] == "ada"
        (tmp_path / "token").write_text("hf_" + "t" * 34)
        with pytest.raises(Denied):
            CliRunner().invoke(app, asked, catch_exceptions=False)
        refused = CliRunner().invoke(app, [*asked, "--json"])
    assert refused.exit_code == 6
    assert not json.loads(refused.stdout)["ok"]


def test_config_check_online_without_a_hub_is_to_be_tried_later(adapterd: "Type", config: Path) -> None:
    """A Hub that cannot be reached is exit 75, and the rest has been told; no token is exit 6."""
    done = adapterd("config", "check", "--online", "--config", str(config), HF_TOKEN="hf_" + "s" * 34)
    assert done.returncode == 75, done.stderr
    assert f"{config} is right" in done.stdout
    assert adapterd("config", "check", "--online", "--config", str(config)).returncode == 6


def test_the_example_of_labels_is_printed_and_written(tmp_path: Path) -> None:
    """`config example --labels` gives an adapterd.yaml with every key."""
    assert CliRunner().invoke(app, ["config", "example", "--labels"]).stdout == labels_example()
    target = tmp_path / "adapterd.yaml"
    done = CliRunner().invoke(app, ["config", "example", "--labels", str(target)])
    assert "in a run folder" in done.stdout
    assert target.read_text() == labels_example()


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


def test_the_embedded_hub_misbehaves_by_a_file_that_may_change(shell: dict[str, str], tmp_path: Path) -> None:
    """The plan counts from the first request, a change of it from the next, and what becomes of it is said."""
    plan = tmp_path / "faults.yaml"
    plan.write_text("rules:\n  - {fault: error, status: 502, on: whoami}\n")
    command = [sys.executable, "-m", "adapterd", "hub", "serve", "--port", "0", "--data", str(tmp_path / "hub")]
    serving = subprocess.Popen(
        [*command, "--faults", str(plan)], env=shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with serving:
        assert serving.stdout is not None
        try:
            _, _, endpoint, _, token = serving.stdout.readline().split()
            client = HubClient(endpoint, token, xet=False, ca_file=None, proxy=None, deadline=10.0)
            with pytest.raises(Transient, match="502"):
                client.whoami()
            plan.write_text("rules: []\n")
            assert client.whoami() == "adapterd"
            client.close()
        finally:
            serving.send_signal(signal.SIGTERM)
        _, said = serving.communicate(timeout=20)
    assert (serving.returncode, said) == (0, "faults.yaml: 0 rules in force\n")


def test_a_plan_of_faults_that_is_wrong_ends_the_start(tmp_path: Path) -> None:
    """It is misuse of the command line, with what is wrong and where."""
    plan = tmp_path / "faults.yaml"
    plan.write_text("rules:\n  - {fault: hnag}\n")
    words = ["hub", "serve", "--data", str(tmp_path / "hub"), "--faults", str(plan)]
    with pytest.raises(UsageFaultError, match=r"--faults: faults\.yaml, rule 1: fault is 'hnag'.*\nTry: hang\?"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert not (tmp_path / "hub").exists()


def test_a_port_that_is_taken_is_told(adapterd: "Type", tmp_path: Path) -> None:
    """Two lines and no traceback; so for a name that is none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = adapterd("hub", "serve", "--port", port, "--data", str(tmp_path / "hub"))
    assert done.returncode == 78
    assert done.stderr.startswith(f"port {port} cannot be used")
    with pytest.raises(UsageFaultError):
        CliRunner().invoke(app, ["hub", "serve", "--data", "hub", "--user", "no/slash"], catch_exceptions=False)


def test_a_data_directory_that_is_taken_is_told_once(adapterd: "Type", tmp_path: Path) -> None:
    """The directory of a Hub that runs is left alone: one message that names it, one line to try, exit 78."""
    with start(tmp_path / "hub", []):
        done = adapterd("hub", "serve", "--port", "0", "--data", "hub")
    assert done.returncode == 78
    message, hint = done.stderr.splitlines()
    assert message == "Another server uses the data directory hub"
    assert hint.startswith("Try: stop that server")


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
    assert (done.returncode, done.stdout) == (0, "nothing moved\n"), done.stderr


def test_the_fingerprint_of_a_base_is_printed_for_labels(tmp_path: Path) -> None:
    """The one line is what a run's adapterd.yaml may say; a folder without weights is told."""
    runner, ask = CliRunner(), ["base", "fingerprint", str(tmp_path)]
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NotFound, match="no weights of a base model"):
        runner.invoke(app, ask, catch_exceptions=False)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert own_fingerprint(runner.invoke(app, ask).stdout) == fingerprint(tmp_path, {})
    told = json.loads(runner.invoke(app, [*ask, "--json"]).stdout)
    assert (told["schema"], told["fingerprint"]) == (1, fingerprint(tmp_path, {}))
