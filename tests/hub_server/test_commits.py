"""Commits: what goes in comes out, and what may not go in stays out."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from adapterd.hub.server import RunningHub

Add = Callable[..., str]


def read(api: HfApi, repo: str, path: str, cache: Path, revision: str = "main") -> bytes:
    """Download one file with the real client."""
    return Path(api.hf_hub_download(repo, path, revision=revision, cache_dir=cache)).read_bytes()


def test_regular_and_lfs_files_come_back_as_they_went_in(
    api: HfApi,
    repo: str,
    add: Add,
    weights: bytes,
    tmp_path: Path,
) -> None:
    """A commit holds text in git and weights in LFS, in folders, with names that need quoting."""
    files = {"config.json": b"{}", "a b/ü#1.txt": b"odd", "empty.bin": b"", "sub/adapter.safetensors": weights}
    oid = add(repo, files)
    assert {path: read(api, repo, path, tmp_path, oid) for path in files} == files
    (info,) = api.get_paths_info(repo, "sub/adapter.safetensors")
    assert isinstance(info, RepoFile)
    assert info.lfs is not None
    assert info.lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert info.size == len(weights)


def test_a_large_file_goes_in_parts(
    api: HfApi,
    repo: str,
    hub: RunningHub,
    tmp_path: Path,
) -> None:
    """Above the part size the client sends pieces to signed links and the Hub joins them."""
    content = hashlib.shake_128(b"large").digest(3 * 256 * 1024 + 17)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    hub.requests.clear()
    api.upload_file(path_or_fileobj=file, path_in_repo="w.safetensors", repo_id=repo)
    sent = [record.bytes_in for record in hub.requests if record.path.endswith("/part")]
    assert sent == [256 * 1024] * 3 + [17]
    assert hub.requests.lfs_bytes() == len(content)
    assert read(api, repo, "w.safetensors", tmp_path) == content


def test_a_folder_is_uploaded_and_cleaned(api: HfApi, repo: str, add: Add, weights: bytes, tmp_path: Path) -> None:
    """The client's own upload_folder works too, with deletions in the same call."""
    add(repo, {"old.txt": b"1", "kept.txt": b"1"})
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.safetensors").write_bytes(weights)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    api.upload_folder(repo_id=repo, folder_path=tmp_path, delete_patterns="old*")
    assert api.list_repo_files(repo) == [".gitattributes", "README.md", "kept.txt", "sub/w.safetensors"]


def test_lfs_bytes_travel_once(api: HfApi, repo: str, add: Add, weights: bytes, hub: RunningHub) -> None:
    """The same bytes under another name, or on another branch, are named and not sent."""
    add(repo, {"a.safetensors": weights})
    api.create_branch(repo, branch="other")
    hub.requests.clear()
    add(repo, {"b.safetensors": weights}, revision="other")
    assert hub.requests.lfs_bytes() == 0
    assert api.file_exists(repo, "b.safetensors", revision="other")


def test_one_version_by_hand_costs_what_the_benchmarks_count(
    api: HfApi, new_id: str, hub: RunningHub, weights: bytes
) -> None:
    """Repo, card check, preupload, LFS batch, PUT, verify, commit, tag: eight requests with one card check."""
    hub.requests.clear()
    api.create_repo(new_id)
    card = b"---\nlicense: mit\n---\n"
    operations = [CommitOperationAdd("README.md", card), CommitOperationAdd("a.safetensors", weights)]
    api.create_commit(new_id, operations, commit_message="v1")
    api.create_tag(new_id, tag="v1")
    assert [record.status for record in hub.requests] == [200] * 8


def test_title_and_description_are_kept_exactly(api: HfApi, repo: str, add: Add) -> None:
    """The description, with its trailers, is part of the git commit and comes back unchanged."""
    description = "Why.\n\nAdapterd-Identity: ab12\nAdapterd-Number: 3"
    add(repo, {"a": b"1"}, commit_message="Version 3", commit_description=description)
    newest = api.list_repo_commits(repo, formatted=True)[0]
    assert (newest.title, newest.message, newest.authors) == ("Version 3", description, ["ada"])
    assert newest.formatted_title == "Version 3"


def test_a_stale_parent_is_412(api: HfApi, repo: str, add: Add) -> None:
    """A commit on a head that has moved changes nothing; the head itself, or its beginning, is accepted."""
    first = add(repo, {"a": b"1"})
    second = add(repo, {"a": b"2"}, parent_commit=first)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        add(repo, {"a": b"3"}, parent_commit=first)
    assert error.value.response.status_code == 412
    assert api.model_info(repo).sha == second
    add(repo, {"a": b"3"}, parent_commit=second[:7])


def test_of_commits_on_the_same_head_one_wins(repo: str, http: httpx2.Client, api: HfApi) -> None:
    """Eight clients that have seen the same head make one commit and seven times 412."""
    head = api.model_info(repo).sha

    def attempt(number: int) -> int:
        """Commit on the head that all have seen."""
        header = {"key": "header", "value": {"summary": f"{number}", "parentCommit": head}}
        lines = "\n".join(map(json.dumps, (header, file(f"f{number}"))))
        return http.post(f"/api/models/{repo}/commit/main", content=lines).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == [200] + [412] * 7
    assert len(api.list_repo_commits(repo)) == 2


def test_commits_without_a_parent_all_land(repo: str, http: httpx2.Client, api: HfApi) -> None:
    """Clients that believe in no head wait for each other; none takes back what another did."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: post(http, repo, file(f"f{number}")).status_code, range(8)))
    assert answers == [200] * 8
    assert len(api.list_repo_files(repo)) == 9


def test_an_unchanged_commit_posts_nothing(api: HfApi, repo: str, add: Add, weights: bytes, hub: RunningHub) -> None:
    """Preupload tells what is there, so the client leaves files out that have not changed."""
    files = {"a.txt": b"1", "w.safetensors": weights}
    first = add(repo, files)
    hub.requests.clear()
    assert add(repo, files) == first
    assert not [record for record in hub.requests if "/commit/" in record.path]
    assert len(api.list_repo_commits(repo)) == 2


def test_files_are_copied_from_another_revision(
    api: HfApi,
    repo: str,
    add: Add,
    weights: bytes,
    hub: RunningHub,
    tmp_path: Path,
) -> None:
    """A channel moves forward by copies: LFS files by their sha256, small files by their bytes."""
    old = add(repo, {"w.safetensors": weights, "c.json": b"old"})
    add(repo, {"w.safetensors": weights[::-1], "c.json": b"new"})
    hub.requests.clear()
    copies = [CommitOperationCopy(path, path, src_revision=old) for path in ("w.safetensors", "c.json")]
    api.create_commit(repo, copies, commit_message="back")
    assert hub.requests.lfs_bytes() == 0
    assert read(api, repo, "w.safetensors", tmp_path) == weights
    assert read(api, repo, "c.json", tmp_path) == b"old"


def test_files_and_folders_are_deleted(api: HfApi, repo: str, add: Add) -> None:
    """Deletions and additions make one commit; the folder goes with its last file."""
    add(repo, {"keep": b"1", "drop": b"1", "dir/a": b"1", "dir/sub/b": b"1"})
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationDelete("drop"),
        CommitOperationDelete("dir/"),
        CommitOperationAdd("dir2/c", b"1"),
    ]
    api.create_commit(repo, operations, commit_message="clean")
    assert api.list_repo_files(repo) == [".gitattributes", "dir2/c", "keep"]


def test_deleting_what_is_not_there_is_404(api: HfApi, repo: str) -> None:
    """A wrong path is an error and leaves the branch as it was."""
    head = api.model_info(repo).sha
    for path in ("none", "none/"):
        with pytest.raises(EntryNotFoundError):
            api.create_commit(repo, [CommitOperationDelete(path)], commit_message="no")
    assert api.model_info(repo).sha == head


def test_a_commit_goes_to_a_branch_only(api: HfApi, repo: str, add: Add) -> None:
    """An unknown branch is 404; a tag or a commit is a bad request."""
    api.create_tag(repo, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        add(repo, {"a": b"1"}, revision="nowhere")
    for revision in ("v1", api.model_info(repo).sha):
        with pytest.raises(BadRequestError):
            add(repo, {"a": b"1"}, revision=revision)


def test_pull_requests_are_refused_not_faked(api: HfApi, repo: str) -> None:
    """A commit that asks for a pull request is an error, never a commit on main."""
    with pytest.raises(BadRequestError):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo, create_pr=True)


def test_weights_outside_the_patterns_are_tracked(api: HfApi, repo: str, tmp_path: Path, http: httpx2.Client) -> None:
    """An LFS file that no pattern names gets its line in .gitattributes, once, so that a git clone finds it."""
    content = b"x" * (10 * 1024 * 1024)
    for _ in range(2):
        api.upload_file(path_or_fileobj=content, path_in_repo="big file.txt", repo_id=repo)
        content += b"y"
    lines = read(api, repo, ".gitattributes", tmp_path).decode().splitlines()
    assert [line for line in lines if "big" in line] == ["big[[:space:]]file.txt filter=lfs diff=lfs merge=lfs -text"]
    entry = {"files": [{"path": "big file.txt", "size": 5, "sample": ""}]}
    answer = http.post(f"/api/models/{repo}/preupload/main", json=entry).json()
    assert answer["files"][0]["uploadMode"] == "lfs"


def test_gitignore_is_obeyed(api: HfApi, repo: str, add: Add) -> None:
    """Files that the repo's .gitignore names are left out by the client, on the Hub's word."""
    add(repo, {".gitignore": b"*.log\n"})
    add(repo, {"train.log": b"noise", "a": b"1"})
    assert "train.log" not in api.list_repo_files(repo)


def post(http: httpx2.Client, repo: str, *operations: Mapping[str, object]) -> httpx2.Response:
    """Send a commit that the client would not make."""
    items = [{"key": "header", "value": {"summary": "raw"}}, *operations]
    return http.post(f"/api/models/{repo}/commit/main", content="\n".join(json.dumps(item) for item in items))


def file(path: str, content: bytes = b"x") -> dict[str, object]:
    """Describe a regular file."""
    encoded = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}}


@pytest.mark.parametrize(
    "path",
    ["../a", "a/../b", "/a", "a//b", "a\\b", "", ".git/config", "a/.GIT/x", "a\nb", "a\x7f", "\ud800", "x" * 256],
)
def test_a_path_that_no_clone_could_hold_is_422(http: httpx2.Client, repo: str, path: str) -> None:
    """Paths that leave the repo, or that a deployer's disk can not hold, are refused."""
    assert post(http, repo, file(path)).status_code == 422


def test_a_file_below_a_file_is_refused(http: httpx2.Client, repo: str) -> None:
    """No path is a file and a folder."""
    assert post(http, repo, file("a"), file("a/b")).status_code == 400


def test_an_lfs_file_needs_its_bytes(http: httpx2.Client, repo: str, api: HfApi, weights: bytes, add: Add) -> None:
    """A commit that names bytes which were never uploaded, or their wrong size, is refused."""
    oid = hashlib.sha256(weights).hexdigest()
    missing = {"key": "lfsFile", "value": {"path": "w", "algo": "sha256", "oid": oid, "size": len(weights)}}
    assert "never uploaded" in post(http, repo, missing).json()["error"]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n".encode()
    assert post(http, repo, file("w", pointer)).status_code == 400
    assert api.list_repo_files(repo) == [".gitattributes"]
    add(repo, {"a.safetensors": weights})
    wrong_size = {"key": "lfsFile", "value": {"path": "w", "algo": "sha256", "oid": oid, "size": 5}}
    assert post(http, repo, wrong_size).status_code == 400


@pytest.mark.parametrize(
    "operation",
    [
        {"key": "lfsFile", "value": {"path": "w", "oid": "../../etc/passwd"}},
        {"key": "file", "value": {"path": "w"}},
        {"key": "file", "value": {"path": "w", "content": "%%%", "encoding": "base64"}},
        {"key": "file", "value": {"path": "w", "content": "aGk=\ud800", "encoding": "base64"}},
        {"key": "unheard", "value": {"path": "w"}},
        {"key": "file"},
    ],
)
def test_a_malformed_operation_is_refused(http: httpx2.Client, repo: str, operation: dict[str, object]) -> None:
    """A commit is taken whole or not at all."""
    assert post(http, repo, file("good"), operation).status_code in {400, 422}
    assert http.get(f"/{repo}/resolve/main/good").status_code == 404


@pytest.mark.parametrize("body", ["", "{}", '{"key": "header", "value": {"summary": " "}}', "no json"])
def test_a_commit_begins_with_a_header_that_has_a_summary(http: httpx2.Client, repo: str, body: str) -> None:
    """Nothing is guessed about a commit that does not say what it is."""
    assert http.post(f"/api/models/{repo}/commit/main", content=body).status_code == 400


def test_a_regular_file_over_the_limit_is_refused(http: httpx2.Client, repo: str) -> None:
    """Large bytes go through LFS, also for a client that ignores preupload."""
    assert post(http, repo, file("big", b"x" * (10 * 1024 * 1024 + 1))).status_code == 400
    assert post(http, repo, file("big", b"x" * (20 * 1024 * 1024))).status_code == 413
