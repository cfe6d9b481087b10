"""The port's promises, kept by the real client against the embedded Hub."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.errors import AdapterdError
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.ports import (
    AddBytes,
    AddFile,
    AddRegular,
    AddStored,
    Conflict,
    CopyFrom,
    Delete,
    Denied,
    Hub,
    NotFound,
    Operation,
)

if TYPE_CHECKING:
    from hub_client.conftest import Connect

CARD = "---\nlicense: apache-2.0\n---\n# An adapter\n"
READER = "hf_" + "b" * 34


def payload(tmp_path: Path, weights: bytes = b"\0" * 100_000) -> Sequence[Operation]:
    """The files of one version, as publish sends them."""
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(weights)
    return [
        AddBytes("README.md", CARD.encode()),
        AddBytes("adapterd.json", b'{"schema": 1}'),
        AddBytes("adapter_config.json", b'{"r": 8}'),
        AddFile("adapter_model.safetensors", str(file)),
    ]


def asked(server: RunningHub) -> list[str]:
    """What the Hub was asked since the last clearing, without names and digests."""
    return [f"{record.method} {record.path.split('?')[0]}" for record in server.requests]


def test_client_is_a_hub(client: HubClient) -> None:
    """The client has every method of the port."""
    hub: Hub = client
    assert hub.endpoint.startswith("http://127.0.0.1")


def test_whoami_names_the_account(client: HubClient) -> None:
    """The account behind the token is named."""
    assert client.whoami() == "acme"


def test_a_new_repo_is_private_and_has_a_first_commit(client: HubClient, repo: str) -> None:
    """A repo is created with the visibility asked for, and `main` exists."""
    assert client.is_private(repo)
    refs = client.refs(repo)
    assert set(refs.branches) == {"main"}
    assert refs.tags == {}
    assert set(client.tree(repo, "main")) == {".gitattributes"}


def test_a_public_repo_is_public(client: HubClient) -> None:
    """Private is a choice."""
    client.create_repo("acme/open", private=False)
    assert not client.is_private("acme/open")


def test_creating_a_repo_again_is_a_conflict(client: HubClient, repo: str) -> None:
    """A repo that exists is not taken for a new one."""
    with pytest.raises(Conflict, match=f"creating the repo {repo}"):
        client.create_repo(repo, private=True)


def test_a_commit_costs_six_requests(client: HubClient, server: RunningHub, repo: str, tmp_path: Path) -> None:
    """Card check, preupload, LFS batch, upload, verification, commit: nothing besides."""
    head = client.refs(repo).branches["main"]
    server.requests.clear()
    client.commit(repo, "main", head, payload(tmp_path), "v1\n\nAdapter-Version: v1")
    lfs = f"/{repo}.git/info/lfs/objects"
    upload = asked(server)[3]
    assert asked(server) == [
        "POST /api/validate-yaml",
        f"POST /api/models/{repo}/preupload/main",
        f"POST {lfs}/batch",
        upload,
        f"POST {lfs}/verify",
        f"POST /api/models/{repo}/commit/main",
    ]
    assert upload.startswith("PUT ")


def test_a_commit_can_be_read_back(client: HubClient, repo: str, tmp_path: Path) -> None:
    """The tree of the returned commit has every file with its size, and the sha256 of the large ones."""
    head = client.refs(repo).branches["main"]
    made = client.commit(repo, "main", head, payload(tmp_path), "v1")
    tree = client.tree(repo, made)
    assert client.refs(repo).branches["main"] == made
    assert set(tree) == {
        ".gitattributes",
        "README.md",
        "adapterd.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert tree["adapter_model.safetensors"].size == 100_000
    assert tree["adapter_model.safetensors"].sha256 is not None
    assert tree["README.md"].sha256 is None
    assert len(tree["README.md"].blob) == 40
    assert client.read(repo, made, "README.md") == CARD.encode()
    client.download(repo, made, "adapter_model.safetensors", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"\0" * 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_model.safetensors", "back"]


def test_reading_one_file_costs_one_request(client: HubClient, server: RunningHub, repo: str) -> None:
    """No HEAD comes before the GET."""
    server.requests.clear()
    client.read(repo, "main", ".gitattributes")
    assert asked(server) == [f"GET /{repo}/resolve/main/.gitattributes"]


def test_a_commit_on_a_moved_head_is_a_conflict(client: HubClient, repo: str) -> None:
    """The parent is compared by the Hub, and nothing is written where it is stale."""
    head = client.refs(repo).branches["main"]
    moved = client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "first")
    with pytest.raises(Conflict, match="412"):
        client.commit(repo, "main", head, [AddBytes("a.json", b"2")], "second")
    assert client.refs(repo).branches["main"] == moved


def test_a_gitignore_in_the_repo_leaves_nothing_out(client: HubClient, repo: str, tmp_path: Path) -> None:
    """What was chosen by name is committed, large files and small ones; the library would leave them out unsaid."""
    (tmp_path / "w.safetensors").write_bytes(f"{repo} ignored".encode() * 100)
    head = client.refs(repo).branches["main"]
    head = client.commit(repo, "main", head, [AddBytes(".gitignore", b"*.safetensors\n*.json\n")], "by hand")
    large = AddFile("w.safetensors", str(tmp_path / "w.safetensors"))
    made = client.commit(repo, "main", head, [large, AddBytes("adapter_config.json", b"{}")], "v1")
    assert {"w.safetensors", "adapter_config.json"} <= set(client.tree(repo, made))


def test_an_unchanged_commit_returns_the_head(client: HubClient, repo: str) -> None:
    """Without a change nothing is posted, and the returned id is the head's, whatever the parent."""
    head = client.refs(repo).branches["main"]
    moved = client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "first")
    assert client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "again") == moved


def test_a_card_the_hub_refuses_stops_the_commit(client: HubClient, repo: str) -> None:
    """Bad metadata is Denied, and nothing is written."""
    head = client.refs(repo).branches["main"]
    with pytest.raises(Denied, match=r"refuses the metadata of README\.md"):
        client.commit(repo, "main", head, [AddBytes("README.md", b"---\nlicense: [\n---\n")], "bad")
    assert client.refs(repo).branches["main"] == head


def test_copying_moves_no_large_bytes(client: HubClient, server: RunningHub, repo: str, tmp_path: Path) -> None:
    """A channel takes over a version's files, and a large one is not sent again."""
    head = client.refs(repo).branches["main"]
    client.create_branch(repo, "versions", head)
    made = client.commit(repo, "versions", head, payload(tmp_path), "v1")
    server.requests.clear()
    paths = ("README.md", "adapterd.json", "adapter_config.json", "adapter_model.safetensors")
    moved = client.commit(repo, "main", head, [CopyFrom(path, made) for path in paths], "main is v1 now")
    assert server.requests.lfs_bytes() == 0
    assert client.tree(repo, moved) == client.tree(repo, made)


def test_copying_a_missing_file_is_not_found(client: HubClient, repo: str) -> None:
    """A source that is not there is the Hub's state, not a bug."""
    head = client.refs(repo).branches["main"]
    with pytest.raises(NotFound, match=r"gone\.json"):
        client.commit(repo, "main", head, [CopyFrom("gone.json", head)], "copy")


def test_deleting_removes_a_file(client: HubClient, repo: str) -> None:
    """A deleted path is not in the next tree."""
    head = client.refs(repo).branches["main"]
    first = client.commit(repo, "main", head, [AddBytes("a.json", b"1"), AddBytes("b.json", b"2")], "two")
    second = client.commit(repo, "main", first, [Delete("a.json")], "one")
    assert set(client.tree(repo, second)) == {".gitattributes", "b.json"}


def test_adding_a_file_that_vanished_is_the_disks_error(client: HubClient, repo: str, tmp_path: Path) -> None:
    """A local fault stays an OSError."""
    head = client.refs(repo).branches["main"]
    with pytest.raises(FileNotFoundError):
        client.commit(repo, "main", head, [AddFile("a.json", str(tmp_path / "gone"))], "lost")


def test_the_log_keeps_titles_and_bodies(client: HubClient, repo: str) -> None:
    """A message comes back as it was sent: title, blank line, body with its trailers."""
    head = client.refs(repo).branches["main"]
    message = "Publish v1\n\nFrom run-42.\n\nAdapter-Version: v1\nAdapter-Publisher: p1"
    first = client.commit(repo, "main", head, [AddBytes("a.json", b"1")], message)
    second = client.commit(repo, "main", first, [AddBytes("a.json", b"2")], "title only")
    log = client.log(repo, "main")
    assert [commit.id for commit in log[:2]] == [second, first]
    assert [commit.message for commit in log[:2]] == ["title only", message]


def test_the_log_stops_before_the_commit_named(client: HubClient, repo: str) -> None:
    """`until` itself and what is older is left out."""
    head = client.refs(repo).branches["main"]
    first = client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "one")
    second = client.commit(repo, "main", first, [AddBytes("a.json", b"2")], "two")
    assert [commit.id for commit in client.log(repo, "main", until=first)] == [second]
    assert client.log(repo, "main", until=second) == []


def test_branches_and_tags_are_created_once(client: HubClient, repo: str) -> None:
    """A name that is taken is a Conflict, wherever it points."""
    head = client.refs(repo).branches["main"]
    client.create_branch(repo, "feat/x", head)
    client.create_tag(repo, "v1", head)
    refs = client.refs(repo)
    assert refs.branches == {"main": head, "feat/x": head}
    assert refs.tags == {"v1": head}
    with pytest.raises(Conflict, match="branch feat/x"):
        client.create_branch(repo, "feat/x", head)
    moved = client.commit(repo, "feat/x", head, [AddBytes("a.json", b"1")], "one")
    with pytest.raises(Conflict, match="tag v1"):
        client.create_tag(repo, "v1", moved)


@pytest.mark.parametrize("what", ["repo", "revision", "file", "commits"])
def test_what_is_missing_is_not_found(client: HubClient, what: str) -> None:
    """Repo, revision and file are told from each other by the Hub, and all are NotFound."""
    name = f"acme/missing-{what}"
    if what != "repo":
        client.create_repo(name, private=True)
    calls: dict[str, Callable[[], object]] = {
        "repo": lambda: client.refs(name),
        "revision": lambda: client.tree(name, "v9"),
        "file": lambda: client.read(name, "main", "gone.json"),
        "commits": lambda: client.log(name, "v9"),
    }
    with pytest.raises(NotFound, match="404"):
        calls[what]()


def test_a_private_repo_is_hidden_from_others(server: RunningHub, repo: str, connect: "Connect") -> None:
    """Without access, a private repo does not exist."""
    for token in (READER, None):
        with pytest.raises(NotFound):
            connect(server.endpoint, token).is_private(repo)


def test_a_reader_may_not_write(server: RunningHub, connect: "Connect") -> None:
    """A read-only token is Denied, with a hint at the token."""
    with pytest.raises(Denied, match=r"403.*\nTry: give a token"):
        connect(server.endpoint, READER).create_repo("guest/x", private=True)


def test_a_wrong_token_is_denied(server: RunningHub, connect: "Connect") -> None:
    """The Hub knows no such token."""
    with pytest.raises(Denied, match="401"):
        connect(server.endpoint, "hf_" + "x" * 34).whoami()


def test_whoami_without_a_token_asks_nobody(server: RunningHub, connect: "Connect") -> None:
    """There is nothing to ask."""
    server.requests.clear()
    with pytest.raises(Denied, match="there is no token"):
        connect(server.endpoint, None).whoami()
    assert len(server.requests) == 0


def test_a_good_card_passes_and_a_bad_one_is_denied(client: HubClient) -> None:
    """The check is the endpoint's own."""
    client.check_card(CARD)
    with pytest.raises(Denied, match="checking a model card"):
        client.check_card("---\nlicense: [\n---\n")


def test_lanes_share_one_client(client: HubClient, repo: str) -> None:
    """Calls of several threads at once do not disturb each other."""
    head = client.refs(repo).branches["main"]

    def lane(number: int) -> str:
        branch = f"lane-{number}"
        client.create_branch(repo, branch, head)
        client.commit(repo, branch, head, [AddBytes("a.json", str(number).encode())], f"lane {number}")
        return client.read(repo, branch, "a.json").decode()

    with ThreadPoolExecutor(4) as lanes:
        assert list(lanes.map(lane, range(8))) == [str(number) for number in range(8)]


def test_what_is_stored_already_is_committed_in_one_request(
    client: HubClient, server: RunningHub, repo: str, tmp_path: Path
) -> None:
    """Small files travel in the commit, large ones are only named; the trees are alike, and the parent is compared."""
    head = client.refs(repo).branches["main"]
    client.create_branch(repo, "versions", head)
    made = client.commit(repo, "versions", head, payload(tmp_path), "v1")
    there = client.tree(repo, made)
    small = {path: client.read(repo, made, path) for path, file in there.items() if file.sha256 is None}
    moves: list[Operation] = [AddRegular(path, data) for path, data in small.items()]
    moves += [AddStored(path, file.sha256, file.size) for path, file in there.items() if file.sha256]
    server.requests.clear()
    moved = client.commit(repo, "main", head, moves, "main is v1 now\n\nfor a reason")
    assert asked(server) == [f"POST /api/models/{repo}/commit/main"]
    assert server.requests.lfs_bytes() == 0
    assert client.tree(repo, moved) == there
    with pytest.raises(Conflict, match="412"):
        client.commit(repo, "main", head, [AddRegular("a.json", b"2")], "late")
    without = client.commit(repo, "main", moved, [AddRegular("a.json", b"1"), Delete("adapterd.json")], "less")
    assert set(client.tree(repo, without)) == {*there, "a.json"} - {"adapterd.json"}
    first, second, *_ = client.log(repo, "main")
    assert (second.id, second.message) == (moved, "main is v1 now\n\nfor a reason")
    assert first.at >= second.at > 1_600_000_000


def test_a_large_file_that_is_not_stored_is_refused(client: HubClient, repo: str) -> None:
    """A name for bytes that the repo lacks makes no commit; nor does one among files that have to be asked about."""
    head = client.refs(repo).branches["main"]
    with pytest.raises(AdapterdError):
        client.commit(repo, "main", head, [AddStored("w.safetensors", "0" * 64, 10)], "nothing behind it")
    with pytest.raises(TypeError, match="goes with AddRegular"):
        client.commit(repo, "main", head, [AddStored("w.safetensors", "0" * 64, 10), AddBytes("a", b"")], "mixed")
    assert client.refs(repo).branches["main"] == head
