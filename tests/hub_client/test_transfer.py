"""Reading and downloading one file: whole or not at all, resumed where it broke."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.publication import git_blob
from adapterd.hub.transfer import READ_LIMIT
from adapterd.ports import Denied, NotFound, Transient

if TYPE_CHECKING:
    from hub_client.conftest import Answer, Asked, Connect, FaultServer

WHOLE = bytes(range(256)) * 400


def serve(faults: "FaultServer", *, first: int = 0, ranges: bool = True) -> None:
    """Serve WHOLE; the first answer breaks off after `first` bytes."""

    def script(asked: "Asked") -> "Answer":
        start = 0
        if ranges and (found := re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))):
            start = int(found[1])
            if start >= len(WHOLE):
                return faults.answer(416, b"", {"Content-Range": f"bytes */{len(WHOLE)}"})
        rest = WHOLE[start:]
        body = rest[:first] if first and len(faults.asked) == 1 else rest
        headers = {"Content-Range": f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}"} if start else {}
        fault = "reset" if len(body) < len(rest) else ""
        return faults.answer(206 if start else 200, body, headers, fault, len(rest))

    faults.script = script


def fetch(faults: "FaultServer", connect: "Connect", target: Path) -> None:
    """Download the file."""
    connect(faults.endpoint).download("acme/x", "v1", "w.safetensors", str(target))


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no-ranges"])
def test_a_broken_download_goes_on(faults: "FaultServer", connect: "Connect", tmp_path: Path, *, ranges: bool) -> None:
    """What has arrived is kept where the server can send the rest; where it cannot, all is sent again."""
    serve(faults, first=5000, ranges=ranges)
    fetch(faults, connect, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHOLE
    assert [asked.headers.get("range") for asked in faults.asked] == [None, "bytes=5000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_a_later_download_resumes_the_part(faults: "FaultServer", connect: "Connect", tmp_path: Path) -> None:
    """A part that an earlier process left is gone on with, and nothing stands at the target before it is whole."""
    faults.script = lambda _: faults.answer(
        body=WHOLE[:700] if len(faults.asked) == 1 else b"", length=len(WHOLE), fault="reset"
    )
    with pytest.raises(Transient, match=r"downloading w\.safetensors of acme/x@v1: "):
        fetch(faults, connect, tmp_path / "w")
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part")
    assert part.read_bytes() == WHOLE[:700]
    faults.asked.clear()
    serve(faults)
    fetch(faults, connect, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHOLE
    assert [asked.headers.get("range") for asked in faults.asked] == ["bytes=700-"]


@pytest.mark.parametrize("length", [len(WHOLE), len(WHOLE) + 9], ids=["all-there", "of-something-else"])
def test_a_part_with_nothing_after_it(faults: "FaultServer", connect: "Connect", tmp_path: Path, length: int) -> None:
    """A part as long as the whole is the whole; a longer one is fetched anew."""
    faults.script = lambda _: faults.answer(
        body=b"1" if len(faults.asked) == 1 else b"", length=len(WHOLE), fault="reset"
    )
    with pytest.raises(Transient):
        fetch(faults, connect, tmp_path / "w")
    (part,) = tmp_path.iterdir()
    part.write_bytes((WHOLE + b"x" * 9)[:length])
    faults.asked.clear()
    serve(faults)
    fetch(faults, connect, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHOLE


def test_another_revision_is_another_part(faults: "FaultServer", connect: "Connect", tmp_path: Path) -> None:
    """The part of one version is never continued with the bytes of another."""
    faults.script = lambda _: faults.answer(
        body=WHOLE[:700] if len(faults.asked) == 1 else b"", length=len(WHOLE), fault="reset"
    )
    with pytest.raises(Transient):
        fetch(faults, connect, tmp_path / "w")
    faults.asked.clear()
    serve(faults)
    connect(faults.endpoint).download("acme/x", "v2", "w.safetensors", str(tmp_path / "w"))
    assert faults.asked[0].headers.get("range") is None


def test_a_missing_file_leaves_nothing(faults: "FaultServer", connect: "Connect", tmp_path: Path) -> None:
    """NotFound, and no part."""
    faults.always(404, headers={"X-Error-Code": "EntryNotFound"})
    with pytest.raises(NotFound):
        fetch(faults, connect, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_reading_has_a_limit(faults: "FaultServer", connect: "Connect") -> None:
    """A manifest of gigabytes does not end in the daemon's memory."""
    faults.always(body=b"x" * READ_LIMIT)
    assert len(connect(faults.endpoint).read("acme/x", "main", "a.json")) == READ_LIMIT
    faults.always(body=b"x" * (READ_LIMIT + 1))
    with pytest.raises(Denied, match="larger than 16777216 bytes"):
        connect(faults.endpoint).read("acme/x", "main", "a.json")


def test_a_short_answer_is_no_file(faults: "FaultServer", connect: "Connect") -> None:
    """Fewer bytes than promised are not taken for the file."""
    faults.always(body=b"half", length=8, fault="reset")
    with pytest.raises(Transient, match="the connection broke"):
        connect(faults.endpoint).read("acme/x", "main", "a.json")


def test_a_page_that_stands_in_for_a_file_is_no_file(faults: "FaultServer", connect: "Connect", tmp_path: Path) -> None:
    """A proxy may answer 200 with a page of its own; every Hub names the commit that a file comes from."""
    faults.always(body=b"<html>Please sign in</html>", fault="page")
    with pytest.raises(
        Transient, match=r"the answer is not a Hub's: it names no commit\nTry: check that hub\.endpoint"
    ):
        connect(faults.endpoint).read("acme/x", "main", "README.md")
    with pytest.raises(Transient, match="it names no commit"):
        fetch(faults, connect, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


BLOB = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
"""The id in git of a file that holds "hello"."""


@pytest.mark.parametrize(
    ("etag", "good"),
    [
        (f'"{BLOB}"', True),
        (f'W/"{BLOB}"', True),
        ('"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"', True),
        (f'"{hashlib.sha256(b"hello").hexdigest()}"', True),
        ('"5d41402abc4b2a76b9719d911017c592"', True),
        ('"0123"', True),
        ("", True),
        (f'"{"0" * 40}"', False),
        (f'"{"0" * 64}"', False),
    ],
    ids=["blob", "weak", "sha1", "sha256", "md5", "other", "none", "not-blob", "not-sha256"],
)
def test_a_read_file_is_held_against_its_etag(
    faults: "FaultServer", connect: "Connect", etag: str, *, good: bool
) -> None:
    """Bytes that were altered on the way are read again; an etag of another kind says nothing."""
    faults.always(body=b"hello", headers={"ETag": etag} if etag else {})
    client = connect(faults.endpoint)
    if good:
        assert client.read("acme/x", "main", "README.md") == b"hello"
        return
    with pytest.raises(Transient, match="other bytes arrived than its etag names"):
        client.read("acme/x", "main", "README.md")


def test_the_etag_of_another_host_says_nothing(faults: "FaultServer", connect: "Connect") -> None:
    """A store names what it keeps in its own way; what the Hub itself said counts."""
    elsewhere = f"http://localhost:{faults.endpoint.rpartition(':')[2]}/store"
    linked = {"Location": elsewhere, "X-Linked-Etag": f'"{hashlib.sha256(b"hello").hexdigest()}"'}
    body = b"hello"
    faults.script = lambda asked: (
        faults.answer(body=body, headers={"ETag": f'"{"0" * 64}"'})
        if asked.path == "/store"
        else faults.answer(302, b"", linked)
    )
    client = connect(faults.endpoint)
    assert client.read("acme/x", "main", "README.md") == b"hello"
    body = b"jello"
    with pytest.raises(Transient, match="other bytes"):
        client.read("acme/x", "main", "README.md")


def test_what_did_not_change_is_not_read_again(faults: "FaultServer", connect: "Connect") -> None:
    """The etag is sent as it came; an answer 304 has no bytes, and need not name a commit."""
    body = b"hello"
    etag = f'"{git_blob(body)}"'
    faults.script = lambda asked: (
        faults.answer(304, b"")
        if asked.headers.get("if-none-match") == etag
        else faults.answer(200, body, {"ETag": etag})
    )
    client = connect(faults.endpoint)
    assert client.read_changed("acme/x", "main", "index.json", "") == (body, etag)
    assert client.read_changed("acme/x", "main", "index.json", etag) == (None, etag)
    assert client.read_changed("acme/x", "main", "index.json", '"older"') == (body, etag)
    assert len(faults.asked) == 3


def test_a_proxy_that_passes_over_the_condition_is_seen_through(faults: "FaultServer", connect: "Connect") -> None:
    """A whole answer with the same etag, be it a weak one, is no change; other bytes under it are a fault."""
    etag = f'"{git_blob(b"hello")}"'
    faults.always(body=b"hello", headers={"ETag": f"W/{etag}"})
    client = connect(faults.endpoint)
    assert client.read_changed("acme/x", "main", "index.json", etag) == (None, etag)
    faults.always(body=b"jello", headers={"ETag": etag})
    with pytest.raises(Transient, match="other bytes"):
        client.read_changed("acme/x", "main", "index.json", '"older"')


def test_a_condition_survives_the_hubs_redirects(faults: "FaultServer", connect: "Connect") -> None:
    """The Hub sends a reader on to the commit's own address, and answers the condition there."""
    etag = f'"{git_blob(b"hello")}"'
    faults.script = lambda asked: (
        faults.answer(307, b"", {"Location": "/api/resolve-cache/models/acme/x/0/index.json"})
        if "resolve-cache" not in asked.path
        else faults.answer(304, b"")
        if asked.headers.get("if-none-match") == etag
        else faults.answer(200, b"hello", {"ETag": etag})
    )
    client = connect(faults.endpoint)
    assert client.read_changed("acme/x", "main", "index.json", "") == (b"hello", etag)
    assert client.read_changed("acme/x", "main", "index.json", etag) == (None, etag)
