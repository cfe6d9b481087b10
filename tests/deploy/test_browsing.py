"""list, show and flags on a machine that has only the Hub: no configuration, no registry."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapterd.core import index
from adapterd.core.version import AdapterVersion, Stage
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start
from adapterd.moving import listing

if TYPE_CHECKING:
    from deploy.conftest import Repo, Type

TOKEN = "hf_" + "a" * 34
TARGETS = "--lora-target-modules q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"
ENGINES = {
    "vllm": {"takes": "yes", "effect": "full", "versions": ">=0.33", "flags": ["--enable-lora"]},
    "sglang": {"takes": "yes", "effect": "full", "versions": ">=0.5.23", "flags": ["--enable-lora", TARGETS]},
}


def part_of(repo: "Repo", **changes: object) -> dict[str, Any]:
    """What the publisher of a repo says of it in the index."""
    versions = [
        AdapterVersion(
            n,
            repo.adapter,
            repo.manifests[n]["identity"]["digest"],
            "0" * 64,
            n,
            Stage.PUBLISHED,
            base="acme/base",
            run="run-7",
            number=n,
            commit=commit,
        )
        for n, commit in repo.commits.items()
    ]
    told = {n: index.Told(("no_effect",) if n == 1 else (), ENGINES, 1_700_000_000.0) for n in repo.commits}
    return index.adapter_entry(repo.adapter, "publisher-a", "acme/base", versions, {"main": 1}, {}, told) | changes


def test_a_namespace_is_listed_from_its_index_in_one_request(
    adapterd: "Type", hub: HubClient, server: RunningHub, repo: "Repo"
) -> None:
    """Adapters, newest versions, channels, holds and base models; a damaged entry is a warning."""
    repo.publish()
    part = part_of(repo, holds={"main": {"reason": "until Monday", "at": 5}})
    broken = part_of(repo, adapter="acme/broken", base=7)
    other = repo.adapter + "-index"
    hub.create_repo(other, private=True)
    listing.change(hub, other, lambda _: {index.path_of(p["adapter"]): p for p in (part, broken)})
    server.requests.clear()
    done = adapterd("list", "--hub", other)
    assert done.returncode == 0, done.stderr
    header, line = done.stdout.splitlines()
    assert header.split()[:3] == ["adapter", "newest", "channels"]
    assert line.split() == [repo.adapter, "v1", "main=v1", "(held)", "acme/base", "1"]
    assert "acme/broken" in done.stderr
    assert [request.method for request in server.requests] == ["GET"]
    found = json.loads(adapterd("list", "--hub", other, "--json").stdout)
    assert found["adapters"][0]["channels"] == {"main": "v1"}
    assert found["adapters"][0]["holds"] == {"main": "until Monday"}


def test_a_namespace_without_an_index_is_asked_repo_by_repo(adapterd: "Type", tmp_path: Path) -> None:
    """Repos that hold our versions are listed, others are passed over; it is said where none can be seen."""
    from deploy.conftest import fresh  # noqa: PLC0415 - the plugin is loaded by then

    with start(tmp_path / "hub", [Account("lonely", TOKEN), Account("acme", "hf_" + "c" * 34)]) as server:
        client = HubClient(server.endpoint, "hf_" + "c" * 34, xet=False, ca_file=None, proxy=None, deadline=20.0)
        repo = fresh(client)
        repo.promote(repo.publish())
        client.create_repo("acme/a-base", private=True)
        environ = {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": "hf_" + "c" * 34}
        done = adapterd("list", "--hub", "acme", **environ)
        unseen = adapterd("list", "--hub", "acme", HF_ENDPOINT=server.endpoint, HF_TOKEN="")
        client.close()
    assert "no adapter of acme can be seen" in unseen.stderr
    assert done.returncode == 0, done.stderr
    assert "acme has no index acme/adapterd-index" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [repo.adapter]


def test_an_adapter_is_shown_as_the_hub_has_it(adapterd: "Type", repo: "Repo") -> None:
    """Channels and yanks are those of the repo, even where the index is behind; the index adds the rest."""
    repo.publish()
    repo.promote(repo.publish())
    repo.standing({"schema": 1, "yanks": [{"number": 1, "reason": "wrong data"}], "holds": [{"channel": "main"}]})
    done = adapterd("show", repo.adapter, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["base"], found["channels"], found["holds"]) == ("acme/base", {"main": "v2"}, {"main": ""})
    assert found["versions"]["v1"]["yank_reason"] == "wrong data"
    assert found["versions"]["v2"]["commit"] == repo.commits[2]
    assert found["versions"]["v2"]["identity"] == repo.manifests[2]["identity"]["digest"]
    told = adapterd("show", repo.adapter)
    assert "main holds v2 (held)" in told.stdout
    assert "v1 was yanked: wrong data" in told.stdout


def test_the_index_says_what_engines_make_of_each_version(adapterd: "Type", hub: HubClient, repo: "Repo") -> None:
    """Where the namespace has an index, show tells verdicts, waivers and times too; verdicts once, flags wrapped."""
    repo.publish()
    repo.publish()
    if "acme/adapterd-index" not in hub.models("acme"):
        hub.create_repo("acme/adapterd-index", private=True)
    part = part_of(repo)
    listing.change(hub, "acme/adapterd-index", lambda _: {index.path_of(repo.adapter): part})
    told = adapterd("show", repo.adapter)
    assert told.returncode == 0, told.stderr
    assert "what serving engines make of v2, v1:\n" in told.stdout
    assert [line.split()[2:] for line in told.stdout.splitlines() if "vllm" in line] == [
        ["yes,", "with", "--enable-lora"]
    ]
    assert " ".join(told.stdout.split()).count(TARGETS) == 1
    assert max(map(len, told.stdout.splitlines())) <= 100
    assert "waived: no_effect" in told.stdout
    assert "2023-11-1" in told.stdout


def test_a_version_is_shown_from_its_manifest(adapterd: "Type", published: "Repo") -> None:
    """Where it comes from, what was measured, and each file; as a document, the whole manifest."""
    told = adapterd("show", f"{published.adapter}@v1")
    assert told.returncode == 0, told.stderr
    assert published.commits[1] in told.stdout
    assert "q_proj, v_proj" in told.stdout
    assert "{'" not in told.stdout
    assert "loss without" in told.stdout
    found = json.loads(adapterd("show", f"{published.adapter}@v1", "--json").stdout)
    assert found["manifest"] == published.manifests[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "acme/nothing"], 5),
        (["show", ".", "--hub"], 2),
        (["list", "--hub", "no/such/place"], 2),
        (["list", "--hub", "acme/no-such-index"], 5),
        (["list", "acme/x", "--hub", "acme"], 2),
        (["flags", "--engine", "mystery", "acme/x"], 2),
        (["pull", "acme/x", "x", "--layout", "mystery"], 2),
        (["flags", "--engine", "lorax", "--dir", "x", "acme/x"], 2),
        (["flags", "--engine", "vllm", "acme/nothing"], 5),
    ],
)
def test_each_failure_has_its_code(adapterd: "Type", arguments: list[str], code: int) -> None:
    """What does not exist is exit 5, what makes no sense exit 2; never a traceback."""
    done = adapterd(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Try: ")
    assert "Value error" not in done.stderr


def test_flags_are_one_line_for_a_shell(adapterd: "Type", published: "Repo", tmp_path: Path) -> None:
    """The line is what an engine's command line takes; with --dir it loads them from there."""
    done = adapterd("flags", "--engine", "vllm", f"{published.adapter}@v1", f"{published.adapter}@v2", "--dir", "srv")
    assert done.returncode == 0, done.stderr
    line = shlex.split(done.stdout)
    assert line[:7] == ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "2", "--max-cpu-loras", "4"]
    name = published.manifests[1]["serving_name"]
    assert line[8] == f"{name}={tmp_path / 'srv' / name}"
    assert "says nothing of vllm" in done.stderr


def test_what_an_engine_cannot_serve_is_exit_3(adapterd: "Type", repo: "Repo") -> None:
    """The reasons are told, each with its adapter; as a document too."""
    refused = {"sglang": {"takes": "no", "effect": "none", "flags": [], "reasons": [{"text": "it refuses DoRA"}]}}
    repo.publish(change=lambda manifest: manifest.update(engines=refused))
    repo.publish(change=lambda manifest: manifest["base"].update(id="acme/other"))
    arguments = ("flags", "--engine", "sglang", f"{repo.adapter}@v1", f"{repo.adapter}@v2")
    done = adapterd(*arguments)
    assert done.returncode == 3
    assert not done.stdout
    assert f"{repo.adapter}@v1: sglang refuses it: it refuses DoRA" in done.stderr
    assert "needs another base model" in done.stderr
    found = json.loads(adapterd(*arguments, "--json").stdout)
    assert found["arguments"] == []
    assert len(found["problems"]) == 2
