"""Whatever is sent, the Hub answers: no request makes it stumble, and none changes anything by accident."""

import json

import httpx2
import pytest
from huggingface_hub import HfApi

from adapterd.hub.server import RunningHub
from adapterd.hub.server.storage.patterns import goes_to_lfs, is_ignored

BODIES = [
    b"",
    b"{",
    b"[]",
    b"1",
    b'"x"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a": ' * 50_000,
    b"paths=%ff&paths=%00&expand=x",
]
MEMBERS: list[dict[str, object]] = [
    {"name": 1, "organization": [], "type": {}},
    {"name": "x", "organization": "acme", "visibility": ["private"], "private": {}},
    {"name": "\ud800", "organization": "acme", "type": "model"},
    {"fromRepo": "acme/x/y", "toRepo": ""},
    {"files": [{"path": "a", "size": -1}, 3]},
    {"files": [{"path": 1, "size": 1}]},
    {"files": "abc", "gitIgnore": 3},
    {"tag": 3, "message": []},
    {"tag": "\ud800", "message": "\ud800"},
    {"startingPoint": 3, "message": {"a": 1}},
    {"paths": [1, 2]},
    {"paths": "a"},
    {"operation": "download", "objects": []},
    {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1 << 80}]},
    {"operation": "upload", "objects": [{"oid": "../x", "size": 1}, 7]},
    {"deletions": {"sha": [1, "../x"], "rewriteHistory": False}},
    {"deletions": [], "gated": "auto"},
    {"content": 3},
]
PLACES = [
    ("POST", "/api/validate-yaml"),
    ("POST", "/api/repos/create"),
    ("DELETE", "/api/repos/delete"),
    ("POST", "/api/repos/move"),
    *(
        ("POST", "/api/models/{}/" + rest)
        for rest in (
            "paths-info/main",
            "preupload/main",
            "tag/main",
            "branch/b%00",
            "super-squash/none",
            "lfs-files/batch",
            "commit/main",
        )
    ),
    ("PUT", "/api/models/{}/settings"),
    ("POST", "/{}.git/info/lfs/objects/batch"),
    ("POST", "/{}.git/info/lfs/objects/verify"),
    ("POST", "/lfs/none/complete?expires=x"),
]
ADDRESSES = [
    "/api/models/{}/revision/%00%7f%FF",
    "/api/models/{}/revision/" + "x" * 5000,
    "/api/models/{}/tree/main/..%2F..",
    "/api/models/{}/tree/main?limit=" + "9" * 5000,
    "/api/models/{}/tree/main?cursor=-1&limit=0",
    "/api/models/{}/commits/main?cursor=nothing",
    "/api/models/{}/commits/..%2F..%2FHEAD",
    "/{}/resolve/main/..%2F..%2F..%2Fsecret",
    "/{}/resolve/HEAD/%00",
    "/api/models/..%2F..%2F/x",
    "/lfs/..%2Fx/object",
    "//api//models",
    "/%FF%FE",
]


@pytest.mark.parametrize(("method", "place"), PLACES)
def test_garbage_in_a_body_is_a_clients_error(
    http: httpx2.Client,
    api: HfApi,
    repo: str,
    hub: RunningHub,
    method: str,
    place: str,
) -> None:
    """No body that makes no sense is a server error, and the repo stays as it was."""
    before = api.model_info(repo)
    hub.requests.clear()
    for body in BODIES:
        http.request(method, place.format(repo), content=body)
    for members in MEMBERS:
        http.request(method, place.format(repo), content=json.dumps(members))
    assert [record for record in hub.requests if record.status >= 500] == []
    assert len(hub.requests) == len(BODIES) + len(MEMBERS)
    assert api.model_info(repo) == before


@pytest.mark.parametrize("address", ADDRESSES)
def test_garbage_in_an_address_is_a_clients_error(http: httpx2.Client, repo: str, address: str) -> None:
    """No address leads out of the data directory, and none makes the Hub stumble."""
    answer = http.get(address.format(repo))
    assert answer.status_code < 500
    if answer.status_code == 404:
        assert "x-error-code" in answer.headers


def test_a_pattern_that_never_ends_matches_nothing() -> None:
    """A line with many stars would keep a thread of the Hub busy for ever; the lines around it count."""
    endless = b"*a" * 30 + b"*Z"
    attributes = endless + b" filter=lfs\n*.bin filter=lfs\n"
    assert not goes_to_lfs(attributes, "a" * 200)
    assert goes_to_lfs(attributes, "weights.bin")
    assert not is_ignored(endless + b"\n*.log\n", "a" * 200)
    assert is_ignored(endless + b"\n*.log\n", "train.log")
