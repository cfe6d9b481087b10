"""Large files: signed links, checked bytes, listing and deletion for good."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, EntryNotFoundError

from adapterd.hub.server import Account, RunningHub, start

Add = Callable[..., str]


def sha256(content: bytes) -> str:
    """Give the id under which LFS knows some bytes."""
    return hashlib.sha256(content).hexdigest()


def announce(http: httpx2.Client, repo: str, oid: str, size: int) -> dict[str, Any]:
    """Ask where to send an object, and give its actions."""
    body = {"operation": "upload", "objects": [{"oid": oid, "size": size}]}
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=body)
    return answer.json()["objects"][0].get("actions", {})  # type: ignore[no-any-return]  # JSON


@pytest.fixture
def anonymous() -> Iterator[httpx2.Client]:
    """Plain HTTP without a token, as the client sends its bytes."""
    with httpx2.Client(trust_env=False) as client:
        yield client


def test_only_the_announced_bytes_are_stored(
    http: httpx2.Client, anonymous: httpx2.Client, repo: str, weights: bytes
) -> None:
    """Other bytes, more or fewer, are refused; the right ones are stored and verify."""
    oid, size = sha256(weights), len(weights)
    actions = announce(http, repo, oid, size)
    href = actions["upload"]["href"]
    for wrong in (weights[:-1], weights + b"x", weights[::-1], b""):
        assert anonymous.put(href, content=wrong).status_code == 400
        assert http.post(actions["verify"]["href"], json={"oid": oid, "size": size}).status_code == 404
    assert anonymous.put(href, content=weights).status_code == 200
    assert http.post(actions["verify"]["href"], json={"oid": oid, "size": size}).status_code == 200
    assert announce(http, repo, oid, size) == {}


def test_a_link_is_good_for_what_it_says_only(
    http: httpx2.Client, anonymous: httpx2.Client, repo: str, weights: bytes
) -> None:
    """A link with another size, object, path or no signature is refused."""
    href = announce(http, repo, sha256(weights), len(weights))["upload"]["href"]
    other = sha256(b"other")
    for forged in (
        href.replace(f"size={len(weights)}", "size=1"),
        href.replace(sha256(weights), other),
        href.replace("/object?", "/part?"),
        href.partition("&signature")[0],
    ):
        assert forged != href
        assert anonymous.put(forged, content=weights).status_code == 403


def test_a_link_expires(tmp_path: Path, weights: bytes, accounts: dict[str, Account]) -> None:
    """After an hour the link is dead and the client asks for another."""
    now = [1_000_000.0]
    with start(tmp_path / "data", [accounts["ada"]], clock=lambda: now[0]) as hub:
        HfApi(endpoint=hub.endpoint, token=accounts["ada"].token).create_repo("acme/x")
        headers = {"authorization": f"Bearer {accounts['ada'].token}"}
        with httpx2.Client(base_url=hub.endpoint, headers=headers, trust_env=False) as http:
            href = announce(http, "acme/x", sha256(weights), len(weights))["upload"]["href"]
            now[0] += 3601
            assert http.put(href, content=weights).status_code == 403
            href = announce(http, "acme/x", sha256(weights), len(weights))["upload"]["href"]
            assert http.put(href, content=weights).status_code == 200


def test_parts_make_the_object_or_nothing(http: httpx2.Client, anonymous: httpx2.Client, repo: str) -> None:
    """A missing part or a wrong etag leaves no object; a completion asked for twice is answered twice."""
    content = hashlib.shake_128(repo.encode()).digest(300_000)
    upload = announce(http, repo, sha256(content), len(content))["upload"]
    size = int(upload["header"]["chunk_size"])
    links = [upload["header"][name] for name in ("00001", "00002")]
    etags = [anonymous.put(links[0], content=content[:size]).headers["etag"]]

    def complete(*tags: str) -> int:
        """Ask for the object to be made."""
        parts = [{"partNumber": number, "etag": tag} for number, tag in enumerate(tags, start=1)]
        return anonymous.post(upload["href"], json={"oid": sha256(content), "parts": parts}).status_code

    assert complete(etags[0], sha256(b"never sent")) == 400
    etags.append(anonymous.put(links[1], content=content[size:]).headers["etag"])
    assert complete(etags[0]) == 400
    assert complete(etags[0], etags[0]) == 400
    assert complete(*etags) == complete(*etags) == 200
    assert announce(http, repo, sha256(content), len(content)) == {}


def test_knowing_a_hash_gives_nobody_the_bytes(
    http: httpx2.Client, repo: str, new_id: str, api: HfApi, add: Add, weights: bytes
) -> None:
    """An object of one repo is not stored in another: each repo's bytes must be sent by somebody who has them."""
    add(repo, {"w.safetensors": weights})
    api.create_repo(new_id)
    assert "upload" in announce(http, new_id, sha256(weights), len(weights))


def test_lfs_files_are_listed_with_a_name_and_a_ref(
    api: HfApi, repo: str, add: Add, weights: bytes, http: httpx2.Client, anonymous: httpx2.Client
) -> None:
    """An object that some ref reaches has its path and ref; one that no commit names has its sha256."""
    add(repo, {"d/w.safetensors": weights})
    add(repo, {"d/w.safetensors": weights[::-1]})
    orphan = weights[1:]
    anonymous.put(announce(http, repo, sha256(orphan), len(orphan))["upload"]["href"], content=orphan)
    found = {file.file_oid: (file.filename, file.ref, file.size) for file in api.list_lfs_files(repo)}
    assert found == {
        sha256(weights): ("d/w.safetensors", "refs/heads/main", len(weights)),
        sha256(weights[::-1]): ("d/w.safetensors", "refs/heads/main", len(weights)),
        sha256(orphan): (sha256(orphan), None, len(orphan)),
    }


def test_lfs_files_are_deleted_for_good_without_touching_history(
    api: HfApi,
    repo: str,
    add: Add,
    weights: bytes,
    tmp_path: Path,
) -> None:
    """The commits stay as they are, the bytes are gone, and the same bytes may come again."""
    add(repo, {"w.safetensors": weights, "a": b"1"})
    commits = api.list_repo_commits(repo)
    api.permanently_delete_lfs_files(repo, api.list_lfs_files(repo), rewrite_history=False)
    assert list(api.list_lfs_files(repo)) == []
    assert api.list_repo_commits(repo) == commits
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(repo, "w.safetensors", cache_dir=tmp_path)
    add(repo, {"w2.safetensors": weights})
    assert Path(api.hf_hub_download(repo, "w.safetensors", cache_dir=tmp_path)).read_bytes() == weights


def test_history_is_never_rewritten(api: HfApi, repo: str, add: Add, weights: bytes) -> None:
    """The client's default asks for it, and is refused before anything is deleted."""
    add(repo, {"w.safetensors": weights})
    with pytest.raises(BadRequestError, match="never rewrites history"):
        api.permanently_delete_lfs_files(repo, api.list_lfs_files(repo))
    assert len(list(api.list_lfs_files(repo))) == 1


def test_a_refused_upload_is_answered_though_its_body_was_not_read(hub: RunningHub, anonymous: httpx2.Client) -> None:
    """A client that sends much to a dead link gets its 403, not a broken connection."""
    answer = anonymous.put(f"{hub.endpoint}/lfs/none/object?expires=1&signature=x", content=b"x" * 5_000_000)
    assert answer.status_code == 403
