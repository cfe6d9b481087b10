"""Downloads: exact bytes, exact lengths, and names for them that caches can trust."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import http_get

from adapterd.hub.server import RunningHub

Add = Callable[..., str]


def test_a_snapshot_is_the_tree_of_its_tag(
    api: HfApi, repo: str, add: Add, weights: bytes, tmp_path: Path, hub: RunningHub
) -> None:
    """snapshot_download by tag brings all files of that tag, and its checksums verify."""
    files = {"a.json": b"{}", "d/w.safetensors": weights, "e": b""}
    oid = add(repo, files)
    api.create_tag(repo, tag="v1")
    add(repo, {"a.json": b"[]"})
    folder = Path(snapshot_download(repo, revision="v1", endpoint=hub.endpoint, token=False, cache_dir=tmp_path))
    assert folder.name == oid
    assert {path: (folder / path).read_bytes() for path in files} == files
    assert api.verify_repo_checksums(repo, revision=oid, cache_dir=tmp_path).mismatches == []


def test_a_second_download_asks_once_and_reads_the_cache(
    api: HfApi, repo: str, add: Add, tmp_path: Path, hub: RunningHub
) -> None:
    """The etag names the bytes: an unchanged file is not sent again."""
    add(repo, {"a": b"1"})
    first = api.hf_hub_download(repo, "a", cache_dir=tmp_path)
    hub.requests.clear()
    assert api.hf_hub_download(repo, "a", cache_dir=tmp_path) == first
    assert [record.method for record in hub.requests] == ["HEAD"]


def test_metadata_names_commit_bytes_and_size(api: HfApi, repo: str, add: Add, weights: bytes, hub: RunningHub) -> None:
    """HEAD gives the commit, the sha256 of an LFS file or the git id of another, and the exact size."""
    oid = add(repo, {"a": b"12345", "w.safetensors": weights})
    facts = get_hf_file_metadata(hf_hub_url(repo, "w.safetensors", endpoint=hub.endpoint), token=api.token)
    assert (facts.commit_hash, facts.size) == (oid, len(weights))
    assert facts.etag == hashlib.sha256(weights).hexdigest()
    facts = get_hf_file_metadata(hf_hub_url(repo, "a", revision="main", endpoint=hub.endpoint), token=api.token)
    assert (facts.etag, facts.size) == (hashlib.sha1(b"blob 5\x0012345", usedforsecurity=False).hexdigest(), 5)


def test_a_broken_download_goes_on_where_it_stopped(
    repo: str, add: Add, weights: bytes, tmp_path: Path, hub: RunningHub
) -> None:
    """The client resumes with a range and has the whole file."""
    add(repo, {"w.safetensors": weights})
    target = tmp_path / "part"
    target.write_bytes(weights[:20_000])
    with target.open("r+b") as file:
        file.seek(0, 2)
        url = hf_hub_url(repo, "w.safetensors", endpoint=hub.endpoint)
        http_get(url, file, resume_size=20_000, expected_size=len(weights))
    assert target.read_bytes() == weights


@pytest.mark.parametrize(
    ("asked", "status", "expected", "content_range"),
    [
        ("bytes=2-", 206, b"23456789", "bytes 2-9/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
@pytest.mark.parametrize("name", ["digits.txt", "digits.bin"])
def test_ranges(
    http: httpx2.Client,
    repo: str,
    add: Add,
    name: str,
    asked: str,
    status: int,
    expected: bytes | None,
    content_range: str | None,
) -> None:
    """A range gives exactly its bytes; one that lies outside is 416; what is not understood gives the whole file."""
    add(repo, {name: b"0123456789"})
    answer = http.get(f"/{repo}/resolve/main/{name}", headers={"range": asked})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, content_range)
    if expected is not None:
        assert answer.content == expected
        assert answer.headers["content-length"] == str(len(expected))


def test_a_resumed_download_of_a_changed_file_starts_again(http: httpx2.Client, repo: str, add: Add) -> None:
    """If-Range with another etag gives the whole new file, never half of each."""
    add(repo, {"a": b"0123456789"})
    answer = http.get(f"/{repo}/resolve/main/a", headers={"range": "bytes=5-", "if-range": '"other"'})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


def test_a_known_etag_is_304(http: httpx2.Client, repo: str, add: Add) -> None:
    """A channel is polled without bytes: If-None-Match answers 304 with the commit, until the file changes."""
    add(repo, {"a": b"1"})
    first = http.get(f"/{repo}/resolve/main/a")
    known = {"if-none-match": first.headers["etag"]}
    again = http.get(f"/{repo}/resolve/main/a", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-repo-commit"] == first.headers["x-repo-commit"]
    add(repo, {"a": b"2"})
    assert http.get(f"/{repo}/resolve/main/a", headers=known).status_code == 200


def test_what_is_not_there_says_what_is_missing(api: HfApi, repo: str, tmp_path: Path, hub: RunningHub) -> None:
    """A missing file, revision and repo are three errors; the missing file also names the commit."""
    with pytest.raises(EntryNotFoundError) as error:
        api.hf_hub_download(repo, "none", cache_dir=tmp_path)
    assert error.value.response.headers["x-repo-commit"] == api.model_info(repo).sha  # type: ignore[attr-defined]  # set on the remote kind
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(repo, "none", revision="feat/x", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("acme/none", "none", endpoint=hub.endpoint, token=False, cache_dir=tmp_path)
    assert not api.file_exists(repo, "none")


def test_datasets_are_resolved_below_their_prefix(api: HfApi, new_id: str, tmp_path: Path) -> None:
    """A dataset's files have their own address, also on a branch with a slash."""
    api.create_repo(new_id, repo_type="dataset")
    api.create_branch(new_id, branch="x/y", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"1,2", path_in_repo="d/t.csv", repo_id=new_id, repo_type="dataset", revision="x/y")
    found = api.hf_hub_download(new_id, "d/t.csv", repo_type="dataset", revision="x/y", cache_dir=tmp_path)
    assert Path(found).read_bytes() == b"1,2"


def test_a_revision_is_resolved_to_its_commit(api: HfApi, repo: str, add: Add, tmp_path: Path) -> None:
    """resolve_revision pins a branch to the commit that it names now."""
    oid = add(repo, {"a": b"1"})
    assert api.resolve_revision(repo, revision="main", cache_dir=tmp_path).resolved == oid
