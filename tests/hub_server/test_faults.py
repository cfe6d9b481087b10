"""What a client sees of each fault, and what the Hub has done all the same."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from adapterd.hub.server import Account, FaultPlan, Rule, RunningHub, start
from adapterd.hub.server.faultkinds import KINDS
from helpers.sites import until

TOKEN = "hf_" + "a" * 34
HEADERS = {"authorization": f"Bearer {TOKEN}"}
REPO = "/api/models/ada/x"
FILE = "/ada/x/resolve/main/.gitattributes"


@pytest.fixture
def plan() -> FaultPlan:
    """The faults in force; none yet."""
    return FaultPlan()


@pytest.fixture
def hub(tmp_path: Path, plan: FaultPlan) -> Iterator[RunningHub]:
    """A Hub with one repo, ada/x."""
    with start(tmp_path, [Account("ada", TOKEN)], faults=plan) as running:
        httpx2.post(f"{running.endpoint}/api/repos/create", json={"name": "x"}, headers=HEADERS, trust_env=False)
        yield running


@pytest.fixture
def http(hub: RunningHub) -> Iterator[httpx2.Client]:
    """Plain HTTP as ada."""
    with httpx2.Client(base_url=hub.endpoint, headers=HEADERS, trust_env=False, timeout=20) as client:
        yield client


def let(plan: FaultPlan, kind: str, on: str = "", count: int | None = 1, **fault: object) -> None:
    """Put one rule in force."""
    plan.use([Rule(fault=KINDS[kind](**fault), on=tuple(on.split()), count=count)])


def tags(http: httpx2.Client) -> list[str]:
    """The tags of the repo."""
    return [tag["name"] for tag in http.get(f"{REPO}/refs").json()["tags"]]


@pytest.mark.parametrize(
    ("kind", "status", "headers"),
    [
        ("rate-limit", 429, {"ratelimit": '"api";r=0;t=60', "retry-after": "60"}),
        ("quota", 429, {"ratelimit": '"api";r=870;t=55'}),
        ("error", 503, {}),
        ("busy", 409, {}),
        ("stale", 412, {}),
        ("token-expired", 401, {}),
        ("token-read-only", 403, {}),
        ("card-refused", 400, {}),
        ("repo-gone", 404, {"x-error-code": "RepoNotFound"}),
        ("proxy-page", 200, {"content-type": "text/html"}),
    ],
)
def test_a_refusal_stands_instead_of_the_hub(
    http: httpx2.Client, plan: FaultPlan, kind: str, status: int, headers: dict[str, str]
) -> None:
    """The Hub never hears of the request; the next one is answered."""
    let(plan, kind, "tag")
    answer = http.post(f"{REPO}/tag/main", json={"tag": "v1"})
    assert answer.status_code == status
    assert headers.items() <= dict(answer.headers).items()
    assert tags(http) == []


@pytest.mark.parametrize("kind", ["lost-answer", "silent-answer"])
def test_an_answer_is_lost_after_the_effect(http: httpx2.Client, plan: FaultPlan, kind: str) -> None:
    """The client sees a broken or a silent connection; the tag is there."""
    let(plan, kind, "tag")
    with pytest.raises(httpx2.ReadError if kind == "lost-answer" else httpx2.ReadTimeout):
        http.post(f"{REPO}/tag/main", json={"tag": "v1"}, timeout=0.5)
    assert tags(http) == ["v1"]


def test_a_reset_is_a_reset(hub: RunningHub, plan: FaultPlan) -> None:
    """RST, in the middle of the body and before any answer."""
    let(plan, "reset-upload", after=10)
    port = int(hub.endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"POST /api/models/ada/x/tag/main HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
        raw.sendall(b"x" * 100)
        with pytest.raises(ConnectionResetError):
            raw.recv(100)


def test_nothing_comes_from_a_half_open_connection(http: httpx2.Client, plan: FaultPlan) -> None:
    """It is accepted, and that is all."""
    let(plan, "hang", "tag")
    with pytest.raises(httpx2.ReadTimeout):
        http.post(f"{REPO}/tag/main", json={"tag": "v1"}, timeout=0.5)
    assert tags(http) == []


def test_an_answer_stops_or_ends_too_soon(http: httpx2.Client, plan: FaultPlan) -> None:
    """After its first bytes it is silent, or the connection is closed."""
    for kind, error in (("hang-in-answer", httpx2.ReadTimeout), ("truncated", httpx2.RemoteProtocolError)):
        let(plan, kind, "resolve", after=7)
        came = b""
        with http.stream("GET", FILE, timeout=0.5) as answer, pytest.raises(error):  # noqa: PT012 - what came is counted
            assert int(answer.headers["content-length"]) > 7
            for piece in answer.iter_raw():
                came += piece
        assert len(came) == 7


def test_wrong_bytes_have_the_right_length(http: httpx2.Client, plan: FaultPlan) -> None:
    """One bit differs."""
    right = http.get(FILE).content
    let(plan, "wrong-bytes", "resolve")
    wrong = http.get(FILE).content
    assert len(wrong) == len(right)
    assert sum((a ^ b).bit_count() for a, b in zip(right, wrong, strict=True)) == 1
    assert http.get(FILE).content == right


@pytest.mark.parametrize("what", ["headers", "body"])
def test_a_trickle_never_ends(http: httpx2.Client, plan: FaultPlan, what: str) -> None:
    """Something comes all the time, so that no timeout of one read ends it."""
    let(plan, "trickle", "refs", what=what, every=0.01)
    port = http.base_url.port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=2) as raw:
        raw.sendall(b"GET /api/models/ada/x/refs HTTP/1.1\r\nhost: localhost\r\n\r\n")
        came = b"".join(raw.recv(1) for _ in range(200))
    assert (b"\r\n\r\n" in came) == (what == "body")


def test_a_redirect_keeps_path_and_query(http: httpx2.Client, plan: FaultPlan) -> None:
    """Only the host is another one."""
    let(plan, "redirect", to="http://other.example/", status=307)
    answer = http.get(f"{REPO}/tree/main?recursive=true")
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        "http://other.example/api/models/ada/x/tree/main?recursive=true",
    )


def test_somebody_else_changes_the_repo(http: httpx2.Client, plan: FaultPlan) -> None:
    """It is hidden, renamed, deleted just before the request; a second deletion changes nothing."""
    let(plan, "make-private", "refs")
    assert http.get(f"{REPO}/refs").status_code == 200
    assert http.get(REPO).json()["private"] is True
    let(plan, "rename-repo", "refs", to="ada/y")
    assert http.get(f"{REPO}/refs").status_code == 200
    assert http.get("/api/models/ada/y").json()["id"] == "ada/y"
    let(plan, "delete-repo", "refs", count=2)
    assert [http.get(f"{REPO}/refs").status_code for _ in range(2)] == [404, 404]


def test_latency_comes_before_the_answer(http: httpx2.Client, plan: FaultPlan) -> None:
    """The answer is the Hub's, late."""
    let(plan, "latency", "refs", seconds=0.5)
    with pytest.raises(httpx2.ReadTimeout):
        http.get(f"{REPO}/refs", timeout=0.2)
    let(plan, "latency", "refs", seconds=0.1)
    assert http.get(f"{REPO}/refs").status_code == 200


def test_a_hub_stops_though_somebody_waits_for_a_fault(tmp_path: Path, plan: FaultPlan) -> None:
    """Whom a fault keeps waiting is not waited for."""
    let(plan, "hang", count=None)
    with start(tmp_path, [], faults=plan) as hub:
        port = int(hub.endpoint.rpartition(":")[2])
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        raw.sendall(b"GET /api/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        until(lambda: plan.strikes, "struck")
    with raw, contextlib.suppress(ConnectionResetError):
        assert raw.recv(1) == b""
