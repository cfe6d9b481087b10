"""Running the Hub: one line when it is ready, a clean end, a token that stays."""

import contextlib
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapterd.hub.server import Account, DataDirectoryError, start, stored_token

SERVE = (
    "import sys; from pathlib import Path; from adapterd.hub.server import Account, serve, stored_token;"
    "data = Path(sys.argv[1]);"
    "serve(data, 0, [Account('ada', stored_token(data))], lambda line: print(line, flush=True))"
)


@contextlib.contextmanager
def served(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the Hub in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_announces_itself_once_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """One line with endpoint and token when it answers; after the signal exit code 0 and not a word more."""
    with served(tmp_path) as process:
        assert process.stdout is not None
        _, _, endpoint, _, token = process.stdout.readline().split()
        answer = httpx2.get(f"{endpoint}/api/whoami-v2", headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.json()["name"] == "ada"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_token_of_a_data_directory_stays(tmp_path: Path) -> None:
    """It is made once, has the form that every client accepts, and only its owner can read it."""
    token = stored_token(tmp_path / "data")
    assert token.startswith("hf_")
    assert len(token) == 37
    assert token[3:].isalnum()
    assert stored_token(tmp_path / "data") == token != stored_token(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "data" / "token").stat().st_mode) == 0o600


def test_the_secret_of_the_links_is_private(tmp_path: Path, accounts: dict[str, Account]) -> None:
    """Who could read it could upload in anybody's name."""
    with start(tmp_path, list(accounts.values())):
        assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_data_directory_has_one_server(tmp_path: Path, accounts: dict[str, Account]) -> None:
    """A second server on the same directory is refused with a hint; after the first has ended it is welcome."""
    with start(tmp_path, list(accounts.values())), pytest.raises(DataDirectoryError, match="Try: stop that server"):
        start(tmp_path, [])
    start(tmp_path, []).stop()


LOST = (
    '{"schema": 1, "repos": [{"storage": "x", "kind": "model", "id": "a/b", "private": true, "created": 1}],'
    '"moves": {}}'
)


@pytest.mark.parametrize("index", ["", "[]", '{"schema": 99, "repos": [], "moves": {}}', '{"schema": 1}', LOST])
def test_a_foreign_index_is_refused(tmp_path: Path, index: str) -> None:
    """A directory whose index is broken, incomplete or newer than the program is not served and not changed."""
    (tmp_path / "index.json").write_text(index)
    (tmp_path / "repos" / "kept").mkdir(parents=True)
    with pytest.raises(DataDirectoryError, match="Try: "):
        start(tmp_path, [])
    assert (tmp_path / "index.json").read_text() == index
    assert (tmp_path / "repos" / "kept").is_dir()


def test_a_taken_port_is_an_os_error(tmp_path: Path) -> None:
    """The caller learns that the port is taken, and the directory stays free."""
    with start(tmp_path / "a", []) as hub:
        port = int(hub.endpoint.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            start(tmp_path / "b", [], port)
    start(tmp_path / "b", []).stop()


class Unavailable:
    """A fault: whoami answers 503."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before the Hub."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        app = Response(status_code=503) if scope.get("path") == "/api/whoami-v2" else self.app
        await app(scope, receive, send)


def test_middleware_stands_between_log_and_hub(tmp_path: Path) -> None:
    """What a fault answers is logged like any answer."""
    with start(tmp_path, [], middleware=[Middleware(Unavailable)]) as hub:
        for path in ("/api/whoami-v2", "/api/models"):
            httpx2.get(hub.endpoint + path, trust_env=False)
        assert [record.status for record in hub.requests] == [503, 200]
        assert len(hub.requests) == 2
