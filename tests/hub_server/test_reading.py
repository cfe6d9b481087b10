"""What can be read of a repo: its description, its tree, its commits."""

import json
from collections.abc import Callable

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoFolder

from adapterd.hub.server import RunningHub

Add = Callable[..., str]


def test_info_describes_files_with_blobs(api: HfApi, repo: str, add: Add, weights: bytes) -> None:
    """With blobs, each file comes with its size, git id and LFS facts; at any revision."""
    oid = add(repo, {"c.json": b"{}", "w.safetensors": weights})
    add(repo, {"later": b"1"})
    info = api.model_info(repo, revision=oid, files_metadata=True, securityStatus=True)
    assert info.sha == oid
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    assert sorted(siblings) == [".gitattributes", "c.json", "w.safetensors"]
    assert siblings["c.json"].size == 2
    lfs = siblings["w.safetensors"].lfs
    assert lfs is not None
    assert (lfs.size, siblings["w.safetensors"].size) == (len(weights), len(weights))
    assert info.security_repo_status == {"scansDone": True, "filesWithIssues": []}
    assert info.last_modified is not None


def test_info_expands_only_what_is_asked_for(api: HfApi, repo: str, add: Add, weights: bytes) -> None:
    """With expand, the answer holds the named facts and nothing else."""
    add(repo, {"w.safetensors": weights})
    info = api.model_info(repo, expand=["sha", "usedStorage"])
    assert info.used_storage == len(weights)
    assert info.sha
    assert info.siblings is None
    assert info.private is None


def test_an_unknown_revision_is_404(api: HfApi, repo: str) -> None:
    """Info, tree, commits and refs of a revision that is not there say so by code."""
    for ask in (
        lambda: api.model_info(repo, revision="nowhere"),
        lambda: list(api.list_repo_tree(repo, revision="0" * 40)),
        lambda: api.list_repo_commits(repo, revision="feat/none"),
    ):
        with pytest.raises(RevisionNotFoundError):
            ask()
    assert not api.revision_exists(repo, "abcdef0")


def test_the_tree_is_listed_by_folder_and_as_a_whole(api: HfApi, repo: str, add: Add) -> None:
    """A folder lists its own entries; recursive lists all below it."""
    add(repo, {"a": b"1", "d/b": b"1", "d/e/c f": b"1"})
    kinds = {entry.path: type(entry) for entry in api.list_repo_tree(repo, recursive=True)}
    assert kinds == {
        ".gitattributes": RepoFile,
        "a": RepoFile,
        "d": RepoFolder,
        "d/b": RepoFile,
        "d/e": RepoFolder,
        "d/e/c f": RepoFile,
    }
    assert [entry.path for entry in api.list_repo_tree(repo, "d")] == ["d/b", "d/e"]
    assert [entry.path for entry in api.list_repo_tree(repo, "d/e")] == ["d/e/c f"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(repo, "none"))


def test_an_expanded_tree_comes_in_pages_with_each_files_last_commit(
    api: HfApi,
    repo: str,
    add: Add,
    hub: RunningHub,
) -> None:
    """Fifty entries a page; each names the newest commit that changed it, folders included."""
    first = add(repo, {f"f{number:02d}": b"1" for number in range(60)} | {"d/x": b"1"})
    second = add(repo, {"f07": b"2", "d/y": b"1"})
    hub.requests.clear()
    entries = {entry.path: entry for entry in api.list_repo_tree(repo, expand=True)}
    assert len(hub.requests) == 2
    assert len(entries) == 62
    changed = {path: entry.last_commit["oid"] for path, entry in entries.items() if entry.last_commit}
    assert (changed["f07"], changed["d"], changed["f08"]) == (second, second, first)


def test_pages_stay_with_the_commit_of_the_first(http: httpx2.Client, repo: str, add: Add) -> None:
    """A commit between two pages does not mix two trees."""
    add(repo, {"a": b"1", "b": b"1", "c": b"1"})
    page = http.get(f"/api/models/{repo}/tree/main", params={"limit": 2})
    add(repo, {"0": b"1"})
    rest = http.get(page.links["next"]["url"])
    assert [entry["path"] for entry in page.json() + rest.json()] == [".gitattributes", "a", "b", "c"]
    assert "next" not in rest.links


def test_paths_info_leaves_out_what_is_not_there(api: HfApi, repo: str, add: Add) -> None:
    """Files and folders are described; missing paths are no error."""
    add(repo, {"a": b"1", "d/b": b"22"})
    found = api.get_paths_info(repo, ["d", "none", "d/b", "a/x"], expand=True)
    assert [entry.path for entry in found] == ["d", "d/b"]
    assert isinstance(found[1], RepoFile)
    assert found[1].last_commit is not None


def test_commits_are_listed_newest_first_over_pages(
    api: HfApi, http: httpx2.Client, repo: str, hub: RunningHub
) -> None:
    """More than one page of commits comes back whole and in order, from any revision."""
    for number in range(55):
        items = [
            {"key": "header", "value": {"summary": f"c{number}"}},
            {"key": "file", "value": {"path": "n", "content": str(number)}},
        ]
        http.post(f"/api/models/{repo}/commit/main", content="\n".join(map(json.dumps, items))).raise_for_status()
    hub.requests.clear()
    commits = api.list_repo_commits(repo)
    assert len(hub.requests) == 2
    assert [commit.title for commit in commits] == [f"c{number}" for number in reversed(range(55))] + ["initial commit"]
    assert [commit.title for commit in api.list_repo_commits(repo, revision=commits[53].commit_id)] == [
        "c1",
        "c0",
        "initial commit",
    ]


def test_a_repos_id_means_the_same_in_any_case(api: HfApi, repo: str) -> None:
    """Ids are found in any case and come back as they were created."""
    assert api.model_info(repo.upper()).id == repo
