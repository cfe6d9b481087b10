"""What systemd hears from the daemon, over a real datagram socket."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from adapterd.sdnotify import Notifier

Listener = tuple[socket.socket, dict[str, str]]


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """Listen as systemd does, once on a path and once on an abstract socket."""
    shown = str(tmp_path / "notify") if request.param == "path" else f"@adapterd-{uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(shown.replace("@", "\0", 1) if shown.startswith("@") else shown)
        sock.settimeout(5)
        yield sock, {"NOTIFY_SOCKET": shown}


def test_each_state_has_its_message(listener: Listener) -> None:
    """Ready, watchdog and stopping arrive as systemd spells them."""
    sock, environ = listener
    notifier = Notifier(environ)
    assert notifier.ready()
    assert notifier.watchdog()
    assert notifier.stopping()
    assert [sock.recv(4096) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(listener: Listener) -> None:
    """RELOADING=1 comes with the microseconds that systemd needs to tell it from an earlier reload."""
    sock, environ = listener
    assert Notifier(environ, monotonic_ns=lambda: 1_234_567_890).reloading()
    assert sock.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=1234567"


def test_several_fields_go_in_one_message(listener: Listener) -> None:
    """Any fields may be sent together."""
    sock, environ = listener
    assert Notifier(environ).notify(READY=1, STATUS="watching", EXTEND_TIMEOUT_USEC=5)
    assert sock.recv(4096) == b"READY=1\nSTATUS=watching\nEXTEND_TIMEOUT_USEC=5"


def test_a_status_is_one_line_of_utf_8(listener: Listener) -> None:
    """Non-latin text arrives as it is, line breaks become spaces, undecodable file names are spelled out."""
    sock, environ = listener
    assert Notifier(environ).status("läuft: 監視\nREADY=0\r\nx\udcff")
    assert sock.recv(4096) == "STATUS=läuft: 監視 READY=0 x\\udcff".encode()


def test_a_long_status_is_cut_between_characters(listener: Listener) -> None:
    """A message above 4,096 bytes would be dropped whole, so that a long text is cut, never within a character."""
    sock, environ = listener
    assert Notifier(environ).status("監" * 5000)
    received = sock.recv(65536).decode()
    assert 300 < len(received) <= 1024
    assert set(received.removeprefix("STATUS=")) == {"監"}


@pytest.mark.parametrize(
    "address", ["", "relative", "vsock:2:1", "/nowhere/notify", "@nobody-listens-here", "/a\0b", "/" + "x" * 500]
)
def test_without_anybody_to_hear_it_nothing_is_raised(address: str) -> None:
    """No socket, an odd one or a dead one: False, and no exception."""
    assert not Notifier({"NOTIFY_SOCKET": address}).ready()
    assert not Notifier({}).status("watching")


def test_a_full_socket_is_given_up_on(listener: Listener) -> None:
    """A systemd that does not read cannot hold the daemon up: the message is dropped after the time-out."""
    sock, environ = listener
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(sock.getsockname())
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(b"x")
    assert not Notifier(environ, timeout_s=0.01).watchdog()


def test_children_neither_inherit_the_socket_nor_speak_through_it(listener: Listener) -> None:
    """Taking the variables removes them, and a notifier of another process stays silent."""
    sock, environ = listener
    ours = environ | {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/x"}
    notifier = Notifier.take(ours)
    assert ours == {"HOME": "/x"}
    assert notifier.watchdog_interval() == 1.0
    assert not Notifier(environ, pid=os.getpid() + 1).ready()
    assert notifier.ready()
    assert sock.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "120000000"}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "42"}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({}, None),
    ],
)
def test_pings_are_due_at_half_of_what_systemd_allows(environ: dict[str, str], interval: float | None) -> None:
    """The interval is half of WATCHDOG_USEC, where it is meant for this process and makes sense."""
    assert Notifier(environ, pid=42).watchdog_interval() == interval
