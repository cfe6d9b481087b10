"""Versions published on a real Hub as adapterd publishes them: manifest, card, trailers, tag, channel."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapterd.cli.app import app
from adapterd.core import card, verdict
from adapterd.core import publication as pub
from adapterd.core.adapter import parse_config
from adapterd.core.examples import digest
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, FaultPlan, RunningHub, start
from adapterd.ports import AddBytes, CopyFrom, ProbeResult

Type = Callable[..., subprocess.CompletedProcess[str]]
"""Types a command line, and gives what a shell gets of it."""

PATIENCE = 60.0
"""Longest time in seconds for one command."""

TOKEN = "hf_" + "a" * 34
READER = "hf_" + "b" * 34
CONFIG = {
    "base_model_name_or_path": "acme/base",
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["v_proj", "q_proj"],
}


@dataclass
class Repo:
    """One adapter's repo, and what to do to it."""

    hub: HubClient
    adapter: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    commits: dict[int, str] = field(default_factory=dict)
    manifests: dict[int, dict[str, Any]] = field(default_factory=dict)
    payloads: dict[int, dict[str, bytes]] = field(default_factory=dict)

    def publish(
        self,
        files: Mapping[str, bytes] | None = None,
        change: Callable[[dict[str, Any]], object] = lambda _: None,
        *,
        tag: bool = True,
        whole: bool = False,
    ) -> int:
        """Commit and tag the next version on `versions`; `change` spoils its manifest first.

        It has the files of `contents` and those that are given; where these are the `whole`, those alone.
        """
        number = next(self.numbers)
        payload = {**({} if whole else contents(f"{self.adapter} {number}")), **(files or {})}
        facts = facts_of(self.adapter, number, payload)
        document = json.loads(card.manifest(facts, number))
        change(document)
        head = self.hub.refs(self.adapter).branches[pub.BRANCH]
        added = {**payload, pub.MANIFEST: json.dumps(document).encode()}
        operations = [AddBytes(path, data) for path, data in added.items()]
        commit = self.hub.commit(self.adapter, pub.BRANCH, head, operations, card.commit_message(facts, number))
        if tag:
            self.hub.create_tag(self.adapter, f"v{number}", commit)
        self.commits[number], self.manifests[number], self.payloads[number] = commit, document, payload
        return number

    def promote(self, number: int, channel: str = "main") -> str:
        """Re-instate a version on a channel; the commit."""
        refs = self.hub.refs(self.adapter)
        if channel not in refs.branches:
            self.hub.create_branch(self.adapter, channel, refs.branches["main"])
        head = self.hub.refs(self.adapter).branches[channel]
        paths = [*self.payloads[number], pub.MANIFEST]
        copies = [CopyFrom(path, self.commits[number]) for path in paths]
        return self.hub.commit(self.adapter, channel, head, copies, f"Promote v{number}")

    def write(self, branch: str, path: str, data: bytes) -> str:
        """Write one file by hand, as a person would; the commit."""
        refs = self.hub.refs(self.adapter)
        if branch not in refs.branches:
            self.hub.create_branch(self.adapter, branch, refs.branches["main"])
        head = self.hub.refs(self.adapter).branches[branch]
        return self.hub.commit(self.adapter, branch, head, [AddBytes(path, data)], "By hand")

    def standing(self, document: Mapping[str, Any]) -> None:
        """Write the standing document."""
        self.write(pub.STANDING_BRANCH, pub.STANDING_FILE, json.dumps(document).encode())


def contents(seed: str) -> dict[str, bytes]:
    """A payload of some files, one in a folder."""
    return {
        "adapter_config.json": json.dumps(CONFIG).encode(),
        "adapter_model.safetensors": hashlib.shake_128(seed.encode()).digest(60_000),
        "additional_chat_templates/tool.jinja": b"{{ messages }}",
    }


def facts_of(adapter: str, number: int, payload: Mapping[str, bytes], **changes: Any) -> card.Facts:  # noqa: ANN401 - any field of a version
    """What a version's manifest is rendered from, with a report as the judge writes it."""
    version = AdapterVersion(
        id=number,
        adapter=adapter,
        identity=hashlib.sha256(f"{adapter} {number}".encode()).hexdigest(),
        tree="0" * 64,
        intake=number,
        stage=Stage.VALIDATED,
        run="support/run-42",
        step=500,
        final=True,
        repairs=({"file": "adapter_config.json", "key": "base_model_name_or_path", "was": "base", "now": "acme/base"},),
    )
    policy = verdict.Policy("acme/base", "c" * 40, digest(()), 64)
    found = ProbeResult(
        (), {"effect": 0.01, "loss_base": 3.5, "loss_adapter": 2.5}, "cpu", "float32", {"peft": "0.21.2"}
    )
    warned = verdict.Verdict("passed", (), (Reason("logits_unchanged", "nothing moves", "train longer"),))
    return card.Facts(
        version=replace(version, **changes),
        config=parse_config(json.dumps(CONFIG).encode()),
        files={path: (hashlib.sha256(data).hexdigest(), len(data)) for path, data in payload.items()},
        base=card.BaseFacts("acme/base", "c" * 40, "f" * 64, "apache-2.0", 10**9),
        publisher="adapterd-0123456789ab",
        policy=verdict.policy_id(policy),
        report=verdict.report(warned, policy, found),
        parameters=15_000,
        labels={"license": "apache-2.0"},
    )


_plan = FaultPlan()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The embedded Hub, with a writer `acme` and a reader `guest`."""
    accounts = [Account("acme", TOKEN), Account("guest", READER, "read")]
    with start(tmp_path_factory.mktemp("hub"), accounts, faults=_plan) as running:
        yield running


@pytest.fixture
def faults() -> Iterator[FaultPlan]:
    """What strikes requests to the embedded Hub during this test."""
    yield _plan
    _plan.use([])


@pytest.fixture(scope="session")
def away() -> Iterator[HubClient]:
    """A client of a Hub that cannot be reached."""
    client = HubClient("http://127.0.0.1:9", TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    yield client
    client.close()


@pytest.fixture(scope="session")
def hub(server: RunningHub) -> Iterator[HubClient]:
    """The writer's client."""
    client = HubClient(server.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    yield client
    client.close()


@pytest.fixture(scope="session")
def rendered() -> dict[str, Any]:
    """A manifest as it would be published, parsed."""
    found: dict[str, Any] = json.loads(card.manifest(facts_of("acme/support", 3, contents("support")), 3))
    return found


_names = itertools.count(1)


def fresh(hub: HubClient) -> Repo:
    """A repo with the branch `versions` and no version."""
    adapter = f"acme/adapter-{next(_names)}"
    hub.create_repo(adapter, private=True)
    hub.create_branch(adapter, pub.BRANCH, hub.refs(adapter).branches["main"])
    return Repo(hub, adapter)


def name_of(repo: Repo, number: int) -> str:
    """The serving name of a version."""
    name: str = repo.manifests[number]["serving_name"]
    return name


@pytest.fixture
def repo(hub: HubClient) -> Repo:
    """A repo of this test's own, without a version."""
    return fresh(hub)


@pytest.fixture
def other(hub: HubClient) -> Repo:
    """A second repo of this test's own, whose main holds v1."""
    made = fresh(hub)
    made.promote(made.publish())
    return made


@pytest.fixture(scope="session")
def published(hub: HubClient) -> Repo:
    """A repo that tests only read: v1 and v2, of which main holds the first and candidate the second."""
    made = fresh(hub)
    for channel in ("main", "candidate"):
        made.promote(made.publish(), channel)
    return made


@pytest.fixture
def shell(server: RunningHub, tmp_path: Path) -> dict[str, str]:
    """The environment of a deployer's shell: a home without a configuration, a Hub, a token."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "HF_ENDPOINT": server.endpoint, "HF_TOKEN": TOKEN}


@pytest.fixture
def adapterd(shell: dict[str, str], tmp_path: Path) -> Type:
    """Run the command line in the deployer's shell, each time in a process of its own."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "adapterd", *arguments]
        return subprocess.run(
            command, env=shell | environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    return run


@pytest.fixture
def here(published: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run the command line in this process, against the versions that all tests share."""
    for name, value in (("HF_ENDPOINT", published.hub.endpoint), ("HF_TOKEN", TOKEN), ("HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def channel(repo: Repo) -> Repo:
    """A repo whose main holds v1."""
    repo.promote(repo.publish())
    return repo
