"""Base models: what is needed of a repo, what is usable in the cache, and how it gets there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.hub.basefiles import loadable, needed
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.ports import AddBytes, Denied, NotFound

if TYPE_CHECKING:
    from hub_client.conftest import Connect

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
BINS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["config.json", "model.safetensors"], ["config.json", "model.safetensors"]),
        (
            ["model.safetensors", "tokenizer.json", "config.json"],
            ["config.json", "tokenizer.json", "model.safetensors"],
        ),
        (["config.json", "pytorch_model.bin", "model.safetensors"], ["config.json", "model.safetensors"]),
        (["config.json", "pytorch_model.bin", "training_args.bin"], ["config.json", "pytorch_model.bin"]),
        (
            ["config.json", *SHARDS, *BINS, "model.safetensors.index.json", "pytorch_model.bin.index.json"],
            ["config.json", "model.safetensors.index.json", *SHARDS],
        ),
        (["config.json", "model.safetensors", "consolidated.safetensors"], ["config.json", "model.safetensors"]),
        (["config.json", "model.safetensors", "onnx/model.onnx"], ["config.json", "model.safetensors"]),
        (["config.json", "model.safetensors", "README.md"], ["config.json", "README.md", "model.safetensors"]),
        (["tiny.gguf", "README.md"], ["README.md", "tiny.gguf"]),
        (["a-Q4.gguf", "a-Q8.gguf"], []),
        (["config.json", SHARDS[0]], []),
        (["config.json", "tokenizer.json"], []),
        (["model.safetensors"], []),
        (["adapter_config.json", "adapter_model.safetensors"], []),
        ([], []),
    ],
    ids=str,
)
def test_one_whole_set_of_weights_is_needed(names: Sequence[str], chosen: Sequence[str]) -> None:
    """Config first, tokenizer and card, one set of weights, and no pickle where there are safetensors."""
    assert needed(names) == chosen
    assert loadable(names) == bool(chosen)


@pytest.fixture
def base(client: HubClient, repo: str) -> str:
    """A repo that looks like a small base model."""
    files = (
        "config.json",
        "tokenizer.json",
        "README.md",
        "model.safetensors",
        "pytorch_model.bin",
        "training_args.bin",
    )
    head = client.refs(repo).branches["main"]
    client.commit(repo, "main", head, [AddBytes(name, name.encode()) for name in files if name != "README.md"], "base")
    return repo


def test_a_base_is_fetched_once_and_then_found(
    server: RunningHub, connect: "Connect", client: HubClient, base: str, tmp_path: Path
) -> None:
    """Fetching fills the library's cache under the name and the commit; finding it asks nobody."""
    cached = connect(server.endpoint, cache_dir=tmp_path)
    head = client.refs(base).branches["main"]
    assert cached.cached_model(base, None) is None
    folder, commit = cached.fetch_model(base, None)
    assert commit == head
    assert sorted(path.name for path in Path(folder).iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    server.requests.clear()
    assert cached.cached_model(base, None) == (folder, head)
    assert cached.cached_model(base, "main") == (folder, head)
    assert cached.cached_model(base, head) == (folder, head)
    assert cached.cached_model(base, "v9") is None
    assert len(server.requests) == 0


def test_a_base_at_a_commit_stays_there(
    server: RunningHub, connect: "Connect", client: HubClient, base: str, tmp_path: Path
) -> None:
    """An exact revision is fetched even where the branch has moved on."""
    head = client.refs(base).branches["main"]
    client.commit(base, "main", head, [AddBytes("config.json", b"newer")], "newer")
    folder, commit = connect(server.endpoint, cache_dir=tmp_path).fetch_model(base, head)
    assert commit == head
    assert (Path(folder) / "config.json").read_bytes() == b"config.json"


def test_a_cache_without_weights_is_no_base(server: RunningHub, connect: "Connect", base: str, tmp_path: Path) -> None:
    """A tokenizer or config that another program fetched does not make a model."""
    cached = connect(server.endpoint, cache_dir=tmp_path)
    folder, _ = cached.fetch_model(base, None)
    (Path(folder) / "model.safetensors").unlink()
    assert cached.cached_model(base, None) is None


def test_a_repo_without_weights_cannot_be_fetched(
    server: RunningHub, connect: "Connect", repo: str, tmp_path: Path
) -> None:
    """An adapter, a data set or several quantizations: nothing to load, and a hint at what to do."""
    with pytest.raises(NotFound, match=r"no single whole set of weights.*\nTry: download the base by hand"):
        connect(server.endpoint, cache_dir=tmp_path).fetch_model(repo, None)


def test_a_base_that_is_not_there_is_not_found(server: RunningHub, connect: "Connect", tmp_path: Path) -> None:
    """The Hub knows no such repo."""
    with pytest.raises(NotFound, match="fetching acme/no-such-base@main"):
        connect(server.endpoint, cache_dir=tmp_path).fetch_model("acme/no-such-base", None)


def test_a_name_that_is_no_repo_is_denied(server: RunningHub, connect: "Connect", tmp_path: Path) -> None:
    """A path written by a trainer is no Hub id."""
    with pytest.raises(Denied, match="correct the name"):
        connect(server.endpoint, cache_dir=tmp_path).cached_model("/models/base", None)
