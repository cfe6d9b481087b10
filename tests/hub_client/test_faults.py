"""A Hub that is slow, broken, busy or malicious: every call ends, says what happened, and gives nothing away."""

import json
from pathlib import Path
from socket import create_server
from typing import TYPE_CHECKING

import pytest

from adapterd.core.breaker import Rule
from adapterd.core.errors import AdapterdError
from adapterd.hub.server import RunningHub
from adapterd.pace import Pace, Terms
from adapterd.ports import AddBytes, AddFile, Conflict, Denied, NotFound, Transient

if TYPE_CHECKING:
    from hub_client.conftest import Answer, Asked, Connect, FaultServer

HEAD = "1" * 40
COMMIT_URL = f"https://mirrored.example/acme/x/commit/{HEAD}"


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [({"RateLimit": '"api";r=0;t=55'}, 55.0), ({"RateLimit": '"api";r=9;t=55'}, None), ({"Retry-After": "3600"}, 3600)],
    ids=["window", "quota", "retry-after"],
)
def test_a_rate_limit_comes_back_at_once(
    faults: "FaultServer", connect: "Connect", headers: dict[str, str], retry_after: float | None
) -> None:
    """The library would sleep for as long as the server says; here one request is made and nothing slept."""
    faults.always(429, headers=headers)
    client = connect(faults.endpoint)
    for call in (lambda: client.refs("acme/x"), lambda: client.tree("acme/x", "main")):
        faults.asked.clear()
        with pytest.raises(Transient, match="429") as caught:
            call()
        assert (caught.value.throttled, caught.value.retry_after) == (True, retry_after)
        assert len(faults.asked) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_comes_back_at_once(faults: "FaultServer", connect: "Connect", status: int) -> None:
    """Waiting belongs to the reconcile loop: no call is tried twice inside the library."""
    faults.always(status, headers={"Retry-After": "600"})
    client = connect(faults.endpoint)
    with pytest.raises(Transient, match=f"listing the files of acme/x@main: the Hub answered {status}") as caught:
        client.tree("acme/x", "main")
    assert (caught.value.throttled, caught.value.retry_after) == (False, 600)
    assert len(faults.asked) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "", Denied), (403, "", Denied), (404, "RepoNotFound", NotFound), (404, "", Transient), (412, "", Conflict)],
)
def test_a_refusal_is_mapped_over_http(
    faults: "FaultServer", connect: "Connect", status: int, code: str, kind: type[AdapterdError]
) -> None:
    """Statuses mean the same when they come over a wire; a 404 that is not the Hub's own makes no repo vanish."""
    faults.always(status, headers={"X-Error-Code": code} if code else {})
    with pytest.raises(kind, match=str(status)):
        connect(faults.endpoint).refs("acme/x")


@pytest.mark.parametrize("fault", ["silence", "trickle"])
def test_no_call_outlives_its_deadline(faults: "FaultServer", connect: "Connect", fault: str) -> None:
    """Neither a server that never answers nor one that never ends its answer holds a lane."""
    faults.always(fault=fault, length=10**9)
    client = connect(faults.endpoint, deadline=0.4)
    for call in (lambda: client.refs("acme/x"), lambda: client.read("acme/x", "main", "a.json")):
        with pytest.raises(Transient, match=r"no answer in time|no complete answer within the deadline"):
            call()


def test_a_reset_connection_is_transient(faults: "FaultServer", connect: "Connect") -> None:
    """The connection broke before an answer."""
    faults.always(fault="reset", body=b"")
    with pytest.raises(Transient, match=r"the connection broke|Connection reset"):
        connect(faults.endpoint).refs("acme/x")


def test_a_hub_that_is_not_there_is_transient(connect: "Connect") -> None:
    """Nobody listens; the hint names what to check."""
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Transient, match=r"cannot connect.*\nTry: check hub.endpoint"):
        connect(f"http://127.0.0.1:{port}").tree("acme/x", "main")


def test_what_is_no_hub_is_transient(faults: "FaultServer", connect: "Connect") -> None:
    """A login page in front of the Hub, or JSON of another kind, is no answer."""
    client = connect(faults.endpoint)
    faults.always(body=b"<html>Please log in</html>")
    with pytest.raises(Transient, match="not a Hub's"):
        client.refs("acme/x")
    faults.always(body=b"{}")
    with pytest.raises(Transient, match="not a Hub's"):
        client.refs("acme/x")


def test_a_commit_whose_answer_is_lost_is_not_repeated(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str
) -> None:
    """The Hub made the commit, the answer was lost: one POST, and the error says that it may have happened."""
    client = connect(faults.endpoint)

    def lose(asked: "Asked") -> "Answer":
        answer = faults.forward(server.endpoint, asked)
        return faults.answer(fault="reset", body=b"") if "/commit/" in asked.path else answer

    faults.script = lose
    head = client.refs(repo).branches["main"]
    with pytest.raises(Transient, match="it may have happened all the same"):
        client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "v1\n\nAdapter-Version: v1")
    assert [asked.path for asked in faults.asked].count(f"/api/models/{repo}/commit/main") == 1
    assert [commit.message for commit in client.log(repo, "main", until=head)] == ["v1\n\nAdapter-Version: v1"]


@pytest.mark.parametrize(("status", "kind"), [(409, Transient), (412, Conflict), (500, Transient)])
def test_a_refused_commit_is_mapped(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, status: int, kind: type[AdapterdError]
) -> None:
    """409: another commit is under way, the same again later; 412: the head moved; 500: nobody knows."""
    client = connect(faults.endpoint)
    faults.script = lambda asked: (
        faults.answer(status) if "/commit/" in asked.path else faults.forward(server.endpoint, asked)
    )
    with pytest.raises(kind, match=str(status)) as caught:
        client.commit(repo, "main", HEAD, [AddBytes("a.json", b"1")], "v1")
    assert ("may have happened" in caught.value.message) == (status == 500)


@pytest.mark.parametrize("effect", ["create_repo", "create_branch", "create_tag"])
def test_other_effects_are_sent_once_and_leave_the_same_doubt(
    faults: "FaultServer", connect: "Connect", effect: str
) -> None:
    """A broken connection after the request leaves open whether the repo, branch or tag is there."""
    faults.always(fault="reset", body=b"")
    client = connect(faults.endpoint)
    calls = {
        "create_repo": lambda: client.create_repo("acme/x", private=True),
        "create_branch": lambda: client.create_branch("acme/x", "versions", HEAD),
        "create_tag": lambda: client.create_tag("acme/x", "v1", HEAD),
    }
    with pytest.raises(Transient, match="it may have happened all the same"):
        calls[effect]()
    assert len(faults.asked) == 1


def test_a_busy_repo_creation_ends(faults: "FaultServer", connect: "Connect") -> None:
    """The library would ask again without pause and without end."""
    faults.always(409, body=b'{"error": "Cannot create repo: another conflicting operation is in progress"}')
    with pytest.raises(Transient, match="in progress"):
        connect(faults.endpoint).create_repo("acme/x", private=True)
    assert len(faults.asked) == 1


def test_a_repo_made_under_another_address_is_made(faults: "FaultServer", connect: "Connect") -> None:
    """Behind a mirror the Hub names its own host; the library would take that for a fault."""
    faults.always(body=b'{"url": "https://elsewhere.example/acme/x"}')
    connect(faults.endpoint).create_repo("acme/x", private=True)


def test_a_commit_made_under_another_address_is_made(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str
) -> None:
    """The same for a commit: the answer's id counts, whatever host its address names."""

    def mirror(asked: "Asked") -> "Answer":
        answer = faults.forward(server.endpoint, asked)
        if "/commit/" not in asked.path:
            return answer
        return faults.answer(body=json.dumps({**json.loads(answer.body), "commitUrl": COMMIT_URL}).encode())

    faults.script = mirror
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    made = client.commit(repo, "main", head, [AddBytes("a.json", b"1")], "v1")
    assert client.refs(repo).branches["main"] == made != head


def test_uploads_on_the_librarys_threads_obey_the_deadline(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, tmp_path: Path
) -> None:
    """Two large files go up on threads of the library's own; they belong to the call all the same."""
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for file in files:
        file.write_bytes(file.name.encode() * 1000)
    faults.script = lambda asked: (
        faults.answer(fault="silence") if asked.method == "PUT" else faults.forward(server.endpoint, asked)
    )
    client = connect(faults.endpoint, deadline=1.5)
    head = client.refs(repo).branches["main"]
    with pytest.raises(Transient, match=r"commit to .*: no (complete )?answer") as caught:
        client.commit(repo, "main", head, [AddFile(file.name, str(file)) for file in files], "v1")
    assert "may have happened" not in caught.value.message
    assert sum(asked.method == "PUT" for asked in faults.asked) <= 2


def test_a_store_that_refuses_an_upload_is_transient(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, tmp_path: Path
) -> None:
    """A signed address that ran out says nothing about the token, and nothing was committed."""
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"1" * 1000)
    faults.script = lambda asked: (
        faults.answer(403) if asked.method == "PUT" else faults.forward(server.endpoint, asked)
    )
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    with pytest.raises(Transient, match=r"the Hub's store answered 403\nTry"):
        client.commit(repo, "main", head, [AddFile(file.name, str(file))], "v1")


def test_a_file_that_vanishes_during_the_commit_is_the_disks_error(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, tmp_path: Path
) -> None:
    """The library wraps it; it comes out as what it is."""
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"2" * 1000)

    def vanish(asked: "Asked") -> "Answer":
        if asked.path.endswith("/objects/batch"):
            file.unlink()
        return faults.forward(server.endpoint, asked)

    faults.script = vanish
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    with pytest.raises(FileNotFoundError):
        client.commit(repo, "main", head, [AddFile(file.name, str(file))], "v1")


def test_remarks_on_a_card_are_no_fault(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str
) -> None:
    """The library turns the Hub's remarks into Python warnings, which a strict process raises."""
    remark = b'{"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}]}'
    faults.script = lambda asked: (
        faults.answer(body=remark) if "validate-yaml" in asked.path else faults.forward(server.endpoint, asked)
    )
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    assert client.commit(repo, "main", head, [AddBytes("README.md", b"# card")], "v1") != head


def test_pages_after_the_wanted_commit_are_never_asked_for(faults: "FaultServer", connect: "Connect") -> None:
    """A repo of thousands of commits costs one page where the last one seen is near."""

    def page(asked: "Asked") -> "Answer":
        number = int(asked.path.partition("p=")[2] or 0)
        commits = [
            {"id": f"{number}{n}", "title": "t", "message": "", "date": "2026-01-01T00:00:00.000Z", "authors": []}
            for n in range(3)
        ]
        link = f'<{faults.endpoint}/api/models/acme/x/commits/versions?p={number + 1}>; rel="next"'
        return faults.answer(body=json.dumps(commits).encode(), headers={"Link": link})

    faults.script = page
    log = connect(faults.endpoint).log("acme/x", "versions", until="11")
    assert [commit.id for commit in log] == ["00", "01", "02", "10"]
    assert len(faults.asked) == 2


def test_the_client_tells_its_pace_of_every_request_and_of_what_the_hub_says(
    faults: "FaultServer", connect: "Connect"
) -> None:
    """Requests are counted, the window that an answer names is known, and once it is empty none is sent."""
    client = connect(faults.endpoint)
    client.pace = pace = Pace()
    faults.always(body=b'{"branches": [], "tags": [], "converts": []}', headers={"RateLimit": '"api";r=1;t=55'})
    client.refs("acme/x")
    assert pace.document()["requests"] == {"left": 1, "limit": 600}
    assert pace.document()["windows"]["api"]["left"] == 1
    faults.always(429, headers={"RateLimit": '"api";r=0;t=55'})
    with pytest.raises(Transient) as caught:
        client.refs("acme/x")
    assert (caught.value.counts, caught.value.code) == (False, "rate_limited")
    assert 55.0 <= (caught.value.retry_after or 0.0) <= 57.1
    with pytest.raises(Transient, match="0 requests are left in the Hub's window"):
        client.tree("acme/x", "main")
    assert len(faults.asked) == 2


def test_a_refusal_is_an_answer_and_closes_what_was_open(faults: "FaultServer", connect: "Connect") -> None:
    """Whoever says no is there."""
    client = connect(faults.endpoint)
    client.pace = pace = Pace(Terms(rule=Rule(first=0.01, longest=0.01)))
    faults.always(503)
    for _ in range(3):
        with pytest.raises(Transient):
            client.refs("acme/x")
    assert [each["action"] for each in pace.document()["paused"]] == ["", "refs"]
    pace.look_again()
    faults.always(403)
    with pytest.raises(Denied):
        client.refs("acme/x")
    assert pace.document()["paused"] == []


@pytest.mark.parametrize("headers", [{"RateLimit": '"api";r=0;t=99999999'}, {"Retry-After": "99999999"}])
def test_no_hub_shuts_itself_for_years(faults: "FaultServer", connect: "Connect", headers: dict[str, str]) -> None:
    """However long it says, an hour later it is asked again."""
    client = connect(faults.endpoint)
    client.pace = Pace()
    faults.always(429, headers=headers)
    with pytest.raises(Transient) as caught:
        client.refs("acme/x")
    assert 3600.0 <= (caught.value.retry_after or 0.0) + 1.0 <= 3604.0
