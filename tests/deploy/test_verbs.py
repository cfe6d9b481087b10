"""resolve and pull as a deployer types them, on a real Hub, through the console entry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.core.naming import parse_reference
from adapterd.deploy import pull, resolve
from adapterd.ports import Denied, RegistryError
from adapterd.registry import open_reader

if TYPE_CHECKING:
    from deploy.conftest import Repo, Type

TOKEN = "hf_" + "a" * 34


def test_resolve_writes_one_document(repo: "Repo", adapterd: "Type") -> None:
    """With --json standard output is one document with its schema; the warning goes to standard error."""
    repo.publish()
    repo.promote(1)
    repo.standing({"schema": 1, "yanks": [{"number": 1, "reason": "wrong data"}]})
    done = adapterd("resolve", repo.adapter, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["schema"], found["adapter"], found["tag"]) == (1, repo.adapter, "v1")
    assert found["commit"] == repo.commits[1]
    assert found["files"].keys() == repo.payloads[1].keys()
    assert found["yanked"]
    assert "was yanked: wrong data" in done.stderr


def test_pull_puts_a_version_in_place(published: "Repo", adapterd: "Type", tmp_path: Path) -> None:
    """A relative DIR is that of the working directory; plain lines tell the progress; a second pull finds it there."""
    done = adapterd("pull", f"{published.adapter}@v1", "serve/support")
    assert done.returncode == 0, done.stderr
    assert "3/3 adapter_config.json" in done.stderr
    target = tmp_path / "serve" / "support"
    assert (target / "adapter_model.safetensors").read_bytes() == published.payloads[1]["adapter_model.safetensors"]
    again = adapterd("pull", f"{published.adapter}@v1", "serve/support", "--json")
    assert again.returncode == 0
    assert "already there" in again.stderr
    assert json.loads(again.stdout)["path"] == str(target)


@pytest.mark.parametrize(
    ("arguments", "environ", "code"),
    [
        (["resolve", "acme/nothing"], {}, 5),
        (["resolve", "acme/nothing"], {"HF_TOKEN": "hf_" + "x" * 34}, 6),
        (["resolve", "acme/nothing"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, 75),
    ],
)
def test_each_failure_has_its_code_and_two_lines(
    adapterd: "Type", arguments: list[str], environ: Mapping[str, str], code: int
) -> None:
    """A missing repo, a wrong token, a Hub that is down: never a traceback."""
    done = adapterd(*arguments, **environ)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Try: ")


def test_a_place_that_is_taken_is_left(published: "Repo", repo: "Repo", adapterd: "Type", tmp_path: Path) -> None:
    """Another adapter's version there is exit 4, damaged bytes on the Hub are exit 3."""
    repo.publish()
    repo.publish(change=lambda m: m["files"]["adapter_model.safetensors"].update(sha256="0" * 64))
    place = pull(repo.hub, resolve(repo.hub, parse_reference(f"{repo.adapter}@v1")), tmp_path / "it", lambda _: None)
    refused = adapterd("pull", f"{published.adapter}@v2", str(place))
    assert refused.returncode == 4, refused.stderr
    damaged = adapterd("pull", f"{repo.adapter}@v2", str(tmp_path / "new"))
    assert damaged.returncode == 3, damaged.stderr


def test_a_version_that_was_altered_is_a_failed_verification(
    published: "Repo", adapterd: "Type", tmp_path: Path
) -> None:
    """A pull that finds its own version with other bytes is exit 3, and leaves them; --force repairs it."""
    arguments = ("pull", f"{published.adapter}@v1", "it")
    assert adapterd(*arguments).returncode == 0
    weights = tmp_path / "it" / "adapter_model.safetensors"
    weights.write_bytes(b"altered")
    done = adapterd(*arguments)
    assert done.returncode == 3
    assert "was altered since it was pulled: adapter_model.safetensors has 7 bytes" in done.stderr
    assert weights.read_bytes() == b"altered"
    assert adapterd(*arguments, "--force").returncode == 0


@pytest.mark.parametrize("at", ["foreign", "foreign/file", "foreign/file/below"])
def test_what_was_never_pulled_is_not_replaced(published: "Repo", adapterd: "Type", tmp_path: Path, at: str) -> None:
    """A person's directory or file is a wrong argument, exit 2, and the hint says why --force does not help."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").write_text("years of work")
    done = adapterd("pull", f"{published.adapter}@v1", at, "--force")
    assert done.returncode == 2, done.stderr
    message, hint = done.stderr.splitlines()[-2:]
    assert str(tmp_path / at) in message
    assert "--force does not help" in hint
    assert (tmp_path / "foreign" / "file").read_text() == "years of work"


@pytest.mark.parametrize("at", ["/proc/support", "/proc/deep/support"])
def test_a_place_that_cannot_be_written_is_denied(published: "Repo", adapterd: "Type", at: str) -> None:
    """Where nothing can be made it is exit 6, and the message names the target that was asked for."""
    done = adapterd("pull", f"{published.adapter}@v1", at)
    assert done.returncode == 6, done.stderr
    assert done.stderr.splitlines()[-2].startswith(f"{at} cannot be written: ")


def test_a_pull_says_its_success_once(published: "Repo", adapterd: "Type", tmp_path: Path) -> None:
    """Standard output has the one line that a script may read; progress before it stays on standard error."""
    done = adapterd("pull", f"{published.adapter}@v1", "it")
    assert done.stdout == f"{published.adapter}@v1 lies verified in {tmp_path}/it\n"
    assert "verified" not in done.stderr


def test_a_lost_registry_is_rebuilt_from_the_hub(repo: "Repo", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebuild reads tags and manifests; a failed one leaves no half registry behind, a second one is refused."""
    repo.publish()
    repo.publish()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"hub:\n  namespace: acme\n  endpoint: {repo.hub.endpoint}\nroots:\n  - path: {tmp_path}/train\n"
        f"state_dir: {tmp_path}/state\nruntime_dir: {tmp_path}/run\n"
    )
    asked = ["registry", "rebuild", repo.adapter, "--config", str(config)]
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    with pytest.raises(Denied):
        CliRunner().invoke(app, asked, catch_exceptions=False)
    assert not list((tmp_path / "state").glob("registry.db*[!k]"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert "2 published versions restored" in done.stdout
    with open_reader(tmp_path / "state" / "registry.db") as registry:
        assert [(v.tag, v.commit) for v in registry.versions(repo.adapter)] == [
            ("v2", repo.commits[2]),
            ("v1", repo.commits[1]),
        ]
    with pytest.raises(RegistryError, match="only a lost one"):
        CliRunner().invoke(app, asked, catch_exceptions=False)


def test_a_base_model_is_fetched_into_the_cache(repo: "Repo", adapterd: "Type", tmp_path: Path) -> None:
    """Base fetch downloads config and weights and says where they lie and which commit they are."""
    for name, data in (("config.json", b"{}"), ("model.safetensors", b"weights"), ("pytorch_model.bin", b"pickle")):
        commit = repo.write("main", name, data)
    done = adapterd("base", "fetch", repo.adapter, "--json", HF_HOME=str(tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["revision"] == commit
    assert {p.name for p in Path(found["path"]).iterdir()} == {"config.json", "model.safetensors"}
