"""Whatever the network does, and however slowly: a call ends within its deadline."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpcore2
import pytest

from adapterd.hub.network import Backend, addresses
from adapterd.hub.server import Account, FaultPlan, Rule, RunningHub, start
from adapterd.hub.server.faultkinds import KINDS
from adapterd.ports import AddFile, Conflict, Transient

if TYPE_CHECKING:
    from adapterd.hub.client import HubClient
    from hub_client.conftest import Connect

TOKEN = "hf_" + "a" * 34
LATE = r"no answer in time|no complete answer within the deadline"
MORE_THAN_BUFFERS = 40 * 1024 * 1024
"""Bytes of a file that no buffer of a connection holds."""


@pytest.fixture(scope="module")
def plan() -> FaultPlan:
    """The faults in force; none yet."""
    return FaultPlan()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, plan: FaultPlan) -> Iterator[RunningHub]:
    """A Hub with faults, which all tests here share."""
    with start(tmp_path_factory.mktemp("hub"), [Account("acme", TOKEN)], faults=plan) as running:
        yield running


@pytest.fixture
def repo(slow: RunningHub, plan: FaultPlan, connect: "Connect") -> Iterator[str]:
    """A repo there, without faults at first and at last."""
    with contextlib.suppress(Conflict):
        connect(slow.endpoint).create_repo("acme/x", private=True)
    yield "acme/x"
    plan.use(())


CALLS: dict[str, "Callable[[HubClient, Path], object]"] = {
    "refs": lambda client, _: client.refs("acme/x"),
    "info": lambda client, _: client.is_private("acme/x"),
    "tree": lambda client, _: client.tree("acme/x", "main"),
    "log": lambda client, _: client.log("acme/x", "main"),
    "resolve": lambda client, _: client.read("acme/x", "main", ".gitattributes"),
    "whoami": lambda client, _: client.whoami(),
    "card-check": lambda client, _: client.check_card("---\nlicense: mit\n---\n"),
    "create-repo": lambda client, _: client.create_repo("acme/y", private=True),
    "branch": lambda client, _: client.create_branch("acme/x", "b", "main"),
    "tag": lambda client, _: client.create_tag("acme/x", "v1", "main"),
    "untag": lambda client, _: client.delete_tag("acme/x", "v1"),
    "lfs-files": lambda client, _: client.lfs_files("acme/x"),
}


@pytest.mark.parametrize(
    ("action", "what"),
    [
        *((action, "headers") for action in (*CALLS, "download")),
        ("refs", "body"),
        ("resolve", "body"),
        ("download", "body"),
    ],
)
def test_an_answer_that_trickles_ends(
    slow: RunningHub, plan: FaultPlan, repo: str, connect: "Connect", tmp_path: Path, action: str, what: str
) -> None:
    """Each read brings something, in the headers as in the body, and the sum of them is bounded all the same."""
    on = "resolve" if action == "download" else action
    plan.use([Rule(fault=KINDS["trickle"](what=what, every=0.02), on=(on,))])
    client = connect(slow.endpoint, deadline=0.3)
    call = CALLS.get(action) or (lambda c, to: c.download(repo, "main", ".gitattributes", str(to / "file")))
    with pytest.raises(Transient, match=LATE):
        call(client, tmp_path)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("preupload", "hang"),
        ("lfs-batch", "trickle"),
        ("lfs-put", "hang"),
        ("lfs-put", "trickle"),
        ("lfs-verify", "hang"),
        ("commit", "trickle"),
    ],
)
def test_every_request_of_a_commit_is_bounded(
    slow: RunningHub, plan: FaultPlan, repo: str, connect: "Connect", tmp_path: Path, action: str, kind: str
) -> None:
    """The five requests that make one commit share its deadline."""
    file = tmp_path / "w.safetensors"
    file.write_bytes(f"{kind} {action} ".encode() * 100)
    client = connect(slow.endpoint, deadline=0.8)
    head = client.refs(repo).branches["main"]
    plan.use([Rule(fault=KINDS[kind](), on=(action,))])
    with pytest.raises(Transient, match=LATE):
        client.commit(repo, "main", head, [AddFile("w.safetensors", str(file))], "v1")


def test_an_upload_that_is_hardly_taken_ends(
    slow: RunningHub, plan: FaultPlan, repo: str, connect: "Connect", tmp_path: Path
) -> None:
    """The other side reads a little now and then, so that each write goes on, and the upload ends all the same."""
    file = tmp_path / "w.safetensors"
    with file.open("wb") as sparse:
        sparse.truncate(MORE_THAN_BUFFERS)
    client = connect(slow.endpoint, deadline=1.5)
    head = client.refs(repo).branches["main"]
    plan.use([Rule(fault=KINDS["trickle"](what="request", every=0.3), on=("lfs-put",))])
    with pytest.raises(Transient, match=rf"{LATE}|the connection broke"):
        client.commit(repo, "main", head, [AddFile("w.safetensors", str(file))], "v1")
    assert len(plan.strikes) == 1


def test_a_connection_that_nobody_takes_ends(connect: "Connect") -> None:
    """The port is open and nobody accepts: connecting works, and the answer does not come."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(Transient, match=LATE):
            connect(address, deadline=0.3).refs("acme/x")


def test_a_name_that_is_not_looked_up_ends() -> None:
    """The system's own look-up has no timeout and can not be interrupted."""
    over = threading.Event()
    backend = Backend(lambda: 0.2, lambda _, __: [str(over.wait())])
    with pytest.raises(httpcore2.ConnectTimeout, match=r"the name hub\.example was not looked up in time"):
        backend.connect_tcp("hub.example", 443, timeout=10)
    over.set()


def test_a_name_that_is_not_known_is_said() -> None:
    """With the system's own words."""

    def unknown(_: str, __: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(httpcore2.ConnectError, match=r"hub\.example is not known: Name or service not known"):
        Backend(lambda: None, unknown).connect_tcp("hub.example", 443)


def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    """One that refuses does not hide the next."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        stream = Backend(lambda: None, lambda _, __: ["127.0.0.2", "127.0.0.1"]).connect_tcp("hub.example", port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        stream.close()
    assert "127.0.0.1" in addresses("localhost", 80)


def test_numbers_are_not_looked_up(connect: "Connect") -> None:
    """An address needs no name, in either form."""
    with pytest.raises(httpcore2.ConnectError, match="refused"):
        Backend(lambda: 5.0, lambda *_: pytest.fail("looked up")).connect_tcp("127.0.0.1", 1)
    with pytest.raises(Transient, match="cannot connect"):
        connect("http://[::1]:1").refs("acme/x")
