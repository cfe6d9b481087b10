"""Secrets are planted where a host has them; nothing that adapterd writes, says or serves ever shows one."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, start
from helpers.adapters import write_adapter
from helpers.hosts import NAMESPACE, TOKEN, World
from helpers.sites import Daemon, Site, get, until
from publishing.conftest import stage
from publishing.test_refusals import drive_only_validation

AMBIENT = "hf_" + "e" * 34
TRAINERS = "hf_" + "x" * 34
PROXY = "hunter2secret"
SECRETS = (TOKEN, AMBIENT, TRAINERS, PROXY)


class Echo:
    """A Hub that repeats what it was sent, token and all, in the first answer about any refs."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before the real Hub."""
        self._app = app
        self._echoed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 with the request's own header, once."""
        if scope["type"] == "http" and scope["path"].endswith("/refs") and not self._echoed:
            self._echoed = True
            said = dict(scope["headers"]).get(b"authorization", b"").decode()
            await JSONResponse({"error": f"cannot serve {said} at all"}, status_code=503)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A training host whose environment, proxy and training folders hold secrets."""
    with start(tmp_path / "hub", [Account(NAMESPACE, TOKEN)], middleware=[Middleware(Echo)]) as hub:
        made = Site(tmp_path, hub)
        made.configure(
            status="{listen: '127.0.0.1:0'}",
            schedule="{scan: 1s, backoff: 100ms}",
            hub=f"{{endpoint: '{hub.endpoint}', namespace: {NAMESPACE}, token_file: {tmp_path}/token}}",
            log="{level: debug}",
        )
        yield made


def _environment(site: Site) -> dict[str, str]:
    proxy = f"http://user:{PROXY}@127.0.0.1:9"
    return {**site.environ(), "HF_TOKEN": AMBIENT, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1"}


def _plant(site: Site) -> None:
    """Leave behind what a trainer does: arguments with its token, a card with it, one file that would publish it."""
    world = World(site.tmp, site.hub.endpoint)
    stage(world, f"{NAMESPACE}/planted", 1)
    run = site.tmp / "train" / "run-1"
    (run / "training_args.bin").write_bytes(b"\x80\x02hub_token" + TRAINERS.encode())
    (run / "trainer_state.json").write_text(json.dumps({"global_step": 1, "hub_token": TRAINERS}))
    drive_only_validation(world)
    world.close()


def _found(where: str, data: bytes) -> list[str]:
    return [f"{secret[:6]}... in {where}" for secret in SECRETS if secret.encode() in data]


def _processes(pid: int) -> list[psutil.Process]:
    daemon = psutil.Process(pid)
    return [daemon, *daemon.children(recursive=True)]


def test_no_secret_shows_anywhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log, pages, verbs, registry, spool, index, audit log, Hub, command lines, and the last words of a crash."""
    _plant(site)
    for name, value in _environment(site).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Site, "environ", _environment_of(site))
    daemon = Daemon(site)
    try:
        daemon.ready()
        until(lambda: site.published(f"{NAMESPACE}/planted") == [1], "published through a Hub that echoes")
        leaking = write_adapter(site.tmp / "train" / "leaking", seed=9)
        (leaking / "tokenizer_config.json").write_text(json.dumps({"auth_token": TRAINERS}))
        (leaking / "README.md").write_text(TRAINERS)
        until(lambda: "leaks_secret" in daemon.said(), "the secret in a payload stalls")
        leaks = [
            leak for process in _processes(daemon.process.pid) for leak in _found("a command line", _line(process))
        ]
        leaks += _of_pages(daemon)
        leaks += _of_verbs(site)
        daemon.process.send_signal(signal.SIGABRT)
        daemon.process.wait(20)
        leaks += _found("the log", daemon.log.read_bytes())
        leaks += _of_files(site.tmp / "state")
        leaks += _of_published(site, f"{NAMESPACE}/planted")
        assert "cannot serve" in daemon.said(), "the Hub echoed the token, and its words were logged"
    finally:
        daemon.stop(signal.SIGKILL)
    assert leaks == []


def _environment_of(site: Site) -> object:
    kept = _environment(site)
    return lambda _self: kept


def _line(process: psutil.Process) -> bytes:
    return " ".join(process.cmdline()).encode()


def _of_pages(daemon: Daemon) -> list[str]:
    (url,) = re.findall(r'"url": ?"(http://127\.0\.0\.1:\d+)', daemon.said())
    pages = ["/", "/metrics", "/healthz", "/readyz", "/status.json", f"/adapters/{NAMESPACE}/planted"]
    pages.append(f"/no-such-page?token={TOKEN}")
    return [leak for page in pages for leak in _found(page.partition("?")[0], get(url, page)[1].encode())]


def _of_verbs(site: Site) -> list[str]:
    name = f"{NAMESPACE}/planted"
    verbs = [["status"], ["status", "--json"], ["list"], ["list", "--json"], ["show", f"{name}@v1"]]
    verbs += [["show", f"{name}@v1", "--json"], ["config", "check", "--online"], ["retry", "--all"]]
    leaks = []
    for words in verbs:
        done = site.run(*words, "--config", str(site.config))
        leaks += _found(" ".join(words), (done.stdout + done.stderr).encode())
    return leaks


def _of_published(site: Site, repo: str) -> list[str]:
    """What a deployer can read: every file of every branch and tag, and every commit's message."""
    hub = HubClient(site.hub.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=30.0)
    refs = hub.refs(repo)
    leaks = []
    for name, commit in {**refs.branches, **refs.tags}.items():
        for path in hub.tree(repo, commit):
            leaks += _found(f"{path} at {name}", hub.read(repo, commit, path))
        for said in hub.log(repo, commit):
            leaks += _found(f"a commit of {name}", said.message.encode())
    hub.close()
    assert {"v1", "versions"} <= {*refs.branches, *refs.tags}
    return leaks


def _of_files(folder: Path) -> list[str]:
    leaks = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file():
                leaks += _found(str(path.relative_to(folder)), path.read_bytes())
    return leaks
