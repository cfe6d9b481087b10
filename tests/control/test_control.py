"""The control socket: both sides, over real sockets."""

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapterd.control import ControlError, ControlServer, NoDaemonError, Request, call, exit_code
from adapterd.control.server import Handler
from adapterd.core.errors import AdapterdError
from adapterd.ports import Conflict, Denied, NotFound, RegistryError, Transient

Start = Callable[..., ControlServer]


class UnknownError(AdapterdError):
    """An error that knows its own exit code."""

    exit = 5


def echo(request: Request) -> Mapping[str, Any]:
    """Give the request back."""
    return {
        "do": request.do,
        "arguments": request.arguments,
        "reason": request.reason,
        "uid": request.uid,
        "user": request.user,
    }


def failing(error: Exception) -> Handler:
    """A handler that raises."""

    def handler(_: Request) -> Mapping[str, Any]:
        """Raise."""
        raise error

    return handler


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a daemon listens."""
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def serve(path: Path) -> Iterator[Start]:
    """Starts a daemon's side, and ends it after the test."""
    running: list[ControlServer] = []

    def start(handlers: Mapping[str, Handler] | None = None, **options: Any) -> ControlServer:  # noqa: ANN401 - any option
        """Listen."""
        running.append(ControlServer(path, handlers or {"echo": echo}, **options).start())
        return running[-1]

    yield start
    for server in running:
        server.stop()


def connect(path: Path) -> socket.socket:
    """A bare client."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def said(client: socket.socket) -> dict[str, Any]:
    """What a bare client is answered."""
    with client.makefile("rb") as stream:
        found: dict[str, Any] = json.loads(stream.readline())
        return found


def refused(call: Callable[[], object]) -> ControlError:
    """The refusal that a call ends in."""
    with pytest.raises(ControlError) as caught:
        call()
    return caught.value


def test_a_request_reaches_its_handler_and_the_answer_comes_back(path: Path, serve: Start) -> None:
    """The handler sees what was asked and why, and from the kernel who asked."""
    serve()
    answer = call(path, "echo", {"adapter": "acme/ä→漢", "deep": [1, None, {"x": 2.5}]}, "because")
    assert answer == {
        "do": "echo",
        "arguments": {"adapter": "acme/ä→漢", "deep": [1, None, {"x": 2.5}]},
        "reason": "because",
        "uid": os.geteuid(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
    }


def test_the_lines_on_the_wire_have_a_schema(path: Path, serve: Start) -> None:
    """Other programs may speak it: one line of JSON each way, then the end."""
    serve()
    with connect(path) as client:
        client.sendall(b'{"schema":1,"do":"echo","arguments":{},"reason":""}\n')
        with client.makefile("rb") as stream:
            answer = json.loads(stream.readline())
            assert stream.read() == b""
    assert answer["schema"] == 1
    assert answer["ok"] is True
    assert answer["do"] == "echo"


@pytest.mark.parametrize(
    ("error", "exit_"),
    [
        (AdapterdError("it waits for you", "do this"), 4),
        (RegistryError("no registry"), 4),
        (NotFound("not there"), 5),
        (Denied("no"), 6),
        (Transient("later"), 75),
        (Conflict("again"), 75),
        (ControlError("rejected", exit=3), 3),
        (UnknownError("nothing answers to the name"), 5),
    ],
)
def test_an_error_comes_back_with_its_exit_code(error: AdapterdError, exit_: int, path: Path, serve: Start) -> None:
    """Message and hint arrive as they were raised, with the code that the command line ends with."""
    serve({"fail": failing(error)})
    caught = refused(lambda: call(path, "fail", {}))
    assert (caught.message, caught.hint, caught.exit) == (error.message, error.hint, exit_)
    assert exit_code(error) == exit_


@pytest.mark.parametrize(
    "handler", [failing(KeyError("token=hf_x")), failing(TimeoutError()), lambda _: {"x": object()}]
)
def test_a_bug_is_logged_and_its_text_stays_here(
    handler: Handler, path: Path, serve: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The client hears that it was a fault of the daemon; the traceback is in the daemon's log; it lives on."""
    serve({"fail": handler, "echo": echo})
    caught = refused(lambda: call(path, "fail", {}))
    assert caught.exit == 1
    assert caught.message == "the daemon failed to do 'fail' by a fault of its own"
    assert any(record.message == "control_request_failed" and record.exc_info for record in caplog.records)
    assert call(path, "echo", {})["do"] == "echo"


def test_an_unknown_request_is_a_matter_of_versions(path: Path, serve: Start) -> None:
    """An older daemon says so, as wrong usage."""
    serve()
    caught = refused(lambda: call(path, "fly", {}))
    assert caught.exit == 2
    assert caught.message == "the daemon does not know how to do 'fly'"
    assert "restart the daemon" in caught.hint


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "no JSON object"),
        (b"GET / HTTP/1.1", "no JSON object"),
        (b"[1]", "not an object"),
        (b"\xff\xfe", "no JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"schema":1,"do":"echo","arguments":{"x":NaN}}', "NaN is no number"),
        (b'{"schema":2,"do":"echo"}', "speaks schema 1"),
        (b'{"do":"echo"}', "speaks schema 1"),
        (b'{"schema":1,"do":["echo"]}', "`do` and `reason`"),
        (b'{"schema":1,"do":"echo","arguments":[]}', "`do` and `reason`"),
        (b'{"schema":1,"do":"echo","reason":5}', "`do` and `reason`"),
    ],
)
def test_nonsense_is_refused_as_wrong_usage(line: bytes, why: str, path: Path, serve: Start) -> None:
    """Whatever a client writes, it gets an answer that says what is wrong with it."""
    serve()
    with connect(path) as client:
        client.sendall(line + b"\n")
        answer = said(client)
    assert (answer["ok"], answer["exit"]) == (False, 2)
    assert why in answer["message"]


def test_a_line_without_end_is_refused_at_its_limit(path: Path, serve: Start) -> None:
    """A mebibyte is enough for everybody; more is not kept in memory, from bare clients and from ours."""
    serve()
    with connect(path) as client:
        client.sendall(b"x" * (1024 * 1024 + 1))
        assert "more than 1048576 bytes" in said(client)["message"]
    caught = refused(lambda: call(path, "echo", {"x": "x" * 1024 * 1024}))
    assert caught.exit == 2
    assert call(path, "echo", {"x": "x" * 900_000})["do"] == "echo"


def test_clients_that_vanish_or_dawdle_cost_nothing(path: Path, serve: Start) -> None:
    """Half a line, silence, or not waiting for the answer: each is dropped, and the next is served."""
    serve(patience=0.2)
    with connect(path) as half:
        half.sendall(b'{"schema":1')
    connect(path).close()
    with connect(path) as rude:
        rude.sendall(b'{"schema":1,"do":"echo"}\n')
        rude.shutdown(socket.SHUT_RD)
    with connect(path) as silent:
        assert silent.recv(1) == b""
    assert call(path, "echo", {})["do"] == "echo"


def test_many_clients_are_served_at_a_time_and_no_more(path: Path, serve: Start) -> None:
    """A slow request holds up no other; one beyond the limit is told to come back, and may."""
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def slow(request: Request) -> Mapping[str, Any]:
        """Wait for the test."""
        arrived.release()
        go_on.wait(10)
        return {"n": request.arguments["n"]}

    serve({"slow": slow, "echo": echo}, clients=4)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(call(path, "slow", {"n": n})["n"])) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)
    caught = refused(lambda: call(path, "echo", {}))
    assert (caught.exit, caught.message) == (75, "the daemon is busy with other requests")
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 1, 2, 3]
    _eventually(lambda: call(path, "echo", {})["do"] == "echo")


def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(path: Path, serve: Start) -> None:
    """After the time the caller hears that the outcome is not known."""
    go_on = threading.Event()
    serve({"slow": lambda _: {"done": go_on.wait(10)}})
    caught = refused(lambda: call(path, "slow", {}, timeout=0.1))
    go_on.set()
    assert caught.exit == 75
    assert caught.message == "the daemon did not answer within 0.1 s"
    assert "not known" in caught.hint


def test_a_daemon_that_ends_before_it_answers_is_said(path: Path) -> None:
    """Killed in the middle of a request: the caller hears that the outcome is not known."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def die() -> None:
            """Take the request, and end."""
            client, _ = listening.accept()
            client.recv(10)
            client.close()

        thread = threading.Thread(target=die)
        thread.start()
        caught = refused(lambda: call(path, "echo", {}))
        thread.join()
    assert (caught.exit, caught.message) == (75, "the daemon ended before it answered")


def test_where_nobody_listens_there_is_no_daemon(path: Path, serve: Start) -> None:
    """No folder, no socket, a dead daemon's socket, and a daemon that has ended are the same to the command line."""
    with pytest.raises(NoDaemonError, match="no daemon listens at"):
        call(path, "echo", {})
    path.parent.mkdir(mode=0o700)
    with pytest.raises(NoDaemonError):
        call(path, "echo", {})
    _leave_behind(path)
    with pytest.raises(NoDaemonError):
        call(path, "echo", {})
    serve().stop()
    with pytest.raises(NoDaemonError) as caught:
        call(path, "echo", {})
    assert caught.value.hint == "start it with `adapterd watch`"
    assert not path.exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_socket_and_folder_are_the_owners_alone(umask: int, path: Path, serve: Start) -> None:
    """Mode 0600 in a folder of mode 0700, whatever the umask."""
    before = os.umask(umask)
    try:
        serve()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_only_the_daemons_user_and_root_may_speak(path: Path, serve: Start) -> None:
    """The kernel says who asks; anybody else is refused before a line is read."""
    serve(trusted=frozenset({os.geteuid() + 4242}))
    with connect(path) as client:
        answer = said(client)
    assert (answer["ok"], answer["exit"]) == (False, 6)
    assert pwd.getpwuid(os.geteuid()).pw_name in answer["message"]
    assert refused(lambda: call(path, "echo", {})).exit == 6


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_even_where_the_files_let_them_in(path: Path, serve: Start) -> None:
    """The modes are one fence, the kernel's word about the peer the other."""
    serve()
    for folder in (path.parent, *path.parent.parents[:4]):
        folder.chmod(folder.stat().st_mode | 0o011)
    program = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect(sys.argv[1])\n"
        "except PermissionError: print('shut')\n"
        "else: print(s.makefile().readline())\n"
    )
    command = [sys.executable, "-I", "-c", program, str(path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "shut\n"
    path.chmod(0o666)
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (answer["ok"], answer["exit"]) == (False, 6)


def test_a_dead_daemons_socket_is_taken_over(path: Path, serve: Start) -> None:
    """After kill -9 the next daemon starts without help."""
    path.parent.mkdir(mode=0o700)
    _leave_behind(path)
    serve()
    assert call(path, "echo", {})["do"] == "echo"


def test_a_living_daemons_socket_is_not(path: Path, serve: Start) -> None:
    """A second daemon is refused, and the first goes on."""
    serve()
    with pytest.raises(AdapterdError, match="another daemon listens at"):
        ControlServer(path, {}).start()
    assert call(path, "echo", {})["do"] == "echo"


def test_what_is_no_socket_is_never_removed(path: Path) -> None:
    """A file of somebody's that has the name stays."""
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")
    with pytest.raises(AdapterdError, match="is in the way"):
        ControlServer(path, {}).start()
    assert path.read_text() == "precious"


def test_a_folder_that_others_can_write_is_refused(path: Path) -> None:
    """Whoever may write there could put a socket of their own in its place."""
    path.parent.mkdir()
    path.parent.chmod(0o770)
    with pytest.raises(AdapterdError, match="can be written by others") as caught:
        ControlServer(path, {}).start()
    assert caught.value.hint.startswith("`chmod 700 ")


def test_a_folder_that_cannot_be_made_is_an_error_with_a_hint(path: Path) -> None:
    """A file stands where the folder should be."""
    path.parent.write_text("")
    with pytest.raises(AdapterdError, match="cannot be made") as caught:
        ControlServer(path, {}).start()
    assert "runtime_dir" in caught.value.hint


def test_ending_removes_only_the_own_socket(path: Path, serve: Start) -> None:
    """A newer daemon that took the place is left alone; ending twice is no fault."""
    old = serve()
    path.unlink()
    serve()
    old.stop()
    old.stop()
    assert call(path, "echo", {})["do"] == "echo"


def test_ending_lets_a_request_end(path: Path) -> None:
    """What is in hand is answered before the daemon goes."""
    arrived = threading.Event()
    stopping = threading.Event()

    def slow(_: Request) -> Mapping[str, Any]:
        """End once the server ends."""
        arrived.set()
        return {"seen": stopping.wait(10)}

    server = ControlServer(path, {"slow": slow}).start()
    answers: list[Mapping[str, Any]] = []
    client = threading.Thread(target=lambda: answers.append(call(path, "slow", {})))
    client.start()
    assert arrived.wait(10)
    ending = threading.Thread(target=server.stop)
    ending.start()
    _eventually(lambda: not path.exists())
    stopping.set()
    ending.join()
    client.join()
    assert answers == [{"seen": True}]


def test_a_path_too_long_for_the_kernel_is_said(tmp_path: Path) -> None:
    """107 bytes, on both sides, with what to do about it."""
    path = tmp_path / ("ä" * 60) / "control.sock"
    for attempt in (lambda: call(path, "echo", {}), lambda: ControlServer(path, {}).start()):
        caught = refused(attempt)
        assert caught.exit == 78
        assert "the kernel takes 107" in caught.message
        assert "runtime_dir" in caught.hint


def test_a_server_is_a_context(path: Path) -> None:
    """It listens within, and not after."""
    with ControlServer(path, {"echo": echo}):
        assert call(path, "echo", {})["do"] == "echo"
    assert not path.exists()


def _leave_behind(path: Path) -> None:
    """A socket's file whose daemon is dead."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()


def _eventually(holds: Callable[[], bool]) -> None:
    """Look again until it holds; a refusal meanwhile is no answer."""
    until = time.monotonic() + 10
    while True:
        try:
            if holds():
                return
        except ControlError:
            pass
        assert time.monotonic() < until
