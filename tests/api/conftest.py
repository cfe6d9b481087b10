"""A Hub with a base model and two adapters that real PEFT made for it, and a deployer's shell."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from adapterd.core import publication as pub
from adapterd.fingerprints import fingerprint
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start
from adapterd.ports import AddFile
from deploy.conftest import Repo
from helpers.tiny import SIZES, VOCABULARY, byte_tokenizer, silence

TOKEN = "hf_" + "a" * 34
QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
TARGETS = {"acme/sentiment-es": ["q_proj", "v_proj"], "acme/ner-en": ["down_proj"]}


@dataclass(frozen=True)
class Place:
    """What is published, and where it came from.

    Attributes:
        base: the folder of `acme/base`, as it lies in a cache of the Hub.
        commit: of that base.
        other: the folder of a model of the same shapes that is not the base.
        trained: (adapter, number) to the folder that was published.
    """

    endpoint: str
    base: Path
    commit: str
    other: Path
    trained: dict[tuple[str, int], Path]
    repos: dict[str, Repo]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The embedded Hub."""
    with start(tmp_path_factory.mktemp("hub"), [Account("acme", TOKEN)]) as running:
        yield running


@pytest.fixture(scope="session")
def place(server: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Publish a base, then three versions of each adapter; `main` has the first, `stable` the second."""
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    home = tmp_path_factory.mktemp("host")
    hub = HubClient(server.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    made = llama(home / "made", seed=1)
    commit = put(hub, "acme/base", made)
    base = home / "cache" / "models--acme--base" / "snapshots" / commit
    base.parent.mkdir(parents=True)
    made.rename(base)
    trained, repos = {}, {}
    for adapter, targets in TARGETS.items():
        hub.create_repo(adapter, private=True)
        hub.create_branch(adapter, pub.BRANCH, hub.refs(adapter).branches["main"])
        repos[adapter] = repo = Repo(hub, adapter)
        for number in (1, 2, 3):
            folder = home / adapter / str(number)
            save_adapter(folder, base, targets, seed=number)
            publish(repo, folder, base, commit)
            trained[adapter, number] = folder
        repo.promote(1, "main")
        repo.promote(2, "stable")
    other = llama(home / "other", seed=2)
    put(hub, "acme/other", other)
    yield Place(server.endpoint, base, commit, other, trained, repos)
    hub.close()


def llama(folder: Path, *, seed: int) -> Path:
    """A tiny Llama with random weights, and its tokenizer."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, pad_token_id=0, **SIZES)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def put(hub: HubClient, repo: str, folder: Path) -> str:
    """Upload a folder's files; the commit."""
    hub.create_repo(repo, private=True)
    files = [AddFile(path.name, str(path)) for path in sorted(folder.iterdir())]
    return hub.commit(repo, "main", hub.refs(repo).branches["main"], files, "A base model")


MODELS = {"CAUSAL_LM": transformers.AutoModelForCausalLM, "FEATURE_EXTRACTION": transformers.AutoModel}
"""What an adapter of each task is trained in."""


def save_adapter(
    folder: Path, base: Path, targets: list[str], *, seed: int, task: str = "CAUSAL_LM", of: str = "acme/base"
) -> None:
    """A LoRA adapter whose every weight was moved, as training does; `of` is the base's name in it."""
    torch.manual_seed(seed)
    with silence(), torch.no_grad():
        model = peft.get_peft_model(
            MODELS[task].from_pretrained(base),
            peft.LoraConfig(task_type=task, r=4, lora_alpha=8, target_modules=targets),
        )
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = of
    (folder / "adapter_config.json").write_text(json.dumps(config))


def publish(repo: Repo, folder: Path, base: Path, commit: str, **changes: Any) -> int:  # noqa: ANN401 - of the base in the manifest
    """Publish a folder as the next version, validated in this base."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != pub.CARD}
    facts = {"id": "acme/base", "revision": commit, "fingerprint": fingerprint(base, {}), **changes}
    return repo.publish(files, lambda document: document["base"].update(facts), whole=True)


@pytest.fixture(scope="session")
def shell(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a deployer: a home of its own, the Hub, a token."""
    home = tmp_path_factory.mktemp("deployer")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    hub = {"HF_ENDPOINT": place.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf")}
    return {**kept, **hub, "HOME": str(home), "OMP_NUM_THREADS": "1", **QUIET}


@pytest.fixture
def here(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Let this process be the deployer's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", place.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return place
