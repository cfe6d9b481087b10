"""Where requests go: through which proxy, under which certificates, and with which token."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import which
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from adapterd.core.errors import AdapterdError
from adapterd.hub.server import RunningHub
from adapterd.ports import AddFile, Transient

if TYPE_CHECKING:
    from hub_client.conftest import Answer, Asked, Connect, FaultServer

TOKEN = "hf_" + "a" * 34
HEAD = "1" * 40
REFS = b'{"branches": [], "converts": [], "tags": []}'


def test_the_token_goes_to_the_endpoint_alone(faults: "FaultServer", connect: "Connect") -> None:
    """Neither a redirect nor a link to the next page takes the token to another host."""
    elsewhere = f"http://localhost:{faults.endpoint.rpartition(':')[2]}"
    next_page = {"Link": f'<{elsewhere}/next>; rel="next"'}
    faults.script = lambda asked: (
        faults.answer(302, headers={"Location": f"{elsewhere}/bytes"})
        if "/resolve/" in asked.path
        else faults.answer(body=b"[]", headers={} if asked.path == "/next" else next_page)
    )
    client = connect(faults.endpoint)
    client.read("acme/x", "main", "a.json")
    client.log("acme/x", "main")
    sent = {asked.path.partition("?")[0]: asked.headers.get("authorization") for asked in faults.asked}
    assert sent == {
        "/acme/x/resolve/main/a.json": f"Bearer {TOKEN}",
        "/bytes": None,
        "/api/models/acme/x/commits/main": f"Bearer {TOKEN}",
        "/next": None,
    }


def test_no_ambient_token_and_no_telemetry(faults: "FaultServer", tmp_path: Path) -> None:
    """A process with a token in its environment sends it to no endpoint that it was not given for."""
    (tmp_path / "a.safetensors").write_bytes(b"1" * 100)

    def hub(asked: "Asked") -> "Answer":
        if "/preupload/" in asked.path:
            files = json.loads(asked.body)["files"]
            modes = [{"path": file["path"], "uploadMode": "lfs", "shouldIgnore": False} for file in files]
            return faults.answer(body=json.dumps({"files": modes}).encode())
        if "/paths-info/" in asked.path:
            return faults.answer(body=b'[{"type": "file", "path": "b.json", "size": 1, "oid": "1"}]')
        if asked.path.endswith("/objects/batch"):
            oid = json.loads(asked.body)["objects"][0]["oid"]
            actions = {name: {"href": f"{faults.endpoint}/{name}"} for name in ("upload", "verify")}
            return faults.answer(body=json.dumps({"objects": [{"oid": oid, "size": 100, "actions": actions}]}).encode())
        if "/commit/" in asked.path:
            return faults.answer(
                body=json.dumps({"commitUrl": f"{faults.endpoint}/acme/x/commit/{HEAD}", "commitOid": HEAD}).encode()
            )
        return faults.answer(body=REFS)

    faults.script = hub
    program = f"""
from adapterd.hub.client import HubClient
from adapterd.ports import AddFile, CopyFrom
client = HubClient({faults.endpoint!r}, None, xet=False, ca_file=None, proxy=None, deadline=10)
client.refs("acme/x")
files = [AddFile("a.safetensors", {str(tmp_path / "a.safetensors")!r}), CopyFrom("b.json", {HEAD!r})]
assert client.commit("acme/x", "main", {HEAD!r}, files, "v1") == {HEAD!r}
import sys
assert "torch" not in sys.modules
"""
    environment = {"HF_TOKEN": TOKEN, "HF_ENDPOINT": faults.endpoint, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout, done.returncode) == ("", "", 0)
    assert {asked.path.rpartition("/")[2] for asked in faults.asked} >= {"batch", "upload", "verify", "b.json"}
    assert [asked.path for asked in faults.asked if "authorization" in asked.headers] == []
    assert [asked.path for asked in faults.asked if "agent" in asked.path] == []


def test_the_proxy_is_used(faults: "FaultServer", connect: "Connect") -> None:
    """Everything goes through the configured proxy."""
    faults.always(body=b'{"name": "acme"}')
    assert connect("http://hub.example", proxy=faults.endpoint).whoami() == "acme"
    assert faults.asked[0].path == "http://hub.example/api/whoami-v2"


def test_the_environments_proxy_is_used(
    faults: "FaultServer", connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a configured proxy the environment's counts, as for any other program."""
    monkeypatch.setenv("HTTP_PROXY", faults.endpoint)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    faults.always(body=b'{"name": "acme"}')
    assert connect("http://hub.example").whoami() == "acme"


def test_certificates_that_cannot_be_read_are_named(connect: "Connect", tmp_path: Path) -> None:
    """A missing file and one that holds no certificates say so at the start."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("gone.pem", "ca.pem"):
        with pytest.raises(
            AdapterdError, match=rf"the certificates in .*{name} cannot be read.*\nTry: name a readable"
        ):
            connect("https://hub.example", ca_file=tmp_path / name)


@pytest.mark.skipif(which("openssl") is None, reason="a certificate is made with openssl")
def test_a_private_certificate_is_trusted_where_it_is_named(connect: "Connect", tmp_path: Path) -> None:
    """With `ca_file` a Hub under a private authority answers; without, the connection is refused."""
    pem, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *make.split(), "-keyout", key, "-out", pem], check=True, capture_output=True)

    class Hub(BaseHTTPRequestHandler):
        """Says who it is asked by."""

        def do_GET(self) -> None:
            """Answer whoami."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"name": "acme"}')

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    with HTTPServer(("127.0.0.1", 0), Hub) as hub:
        hub.socket = context.wrap_socket(hub.socket, server_side=True)
        thread = Thread(target=hub.serve_forever, args=(0.02,))
        thread.start()
        try:
            endpoint = f"https://127.0.0.1:{hub.server_port}"
            assert connect(endpoint, ca_file=pem).whoami() == "acme"
            with pytest.raises(Transient, match="CERTIFICATE_VERIFY_FAILED"):
                connect(endpoint).whoami()
        finally:
            hub.shutdown()
            thread.join()


def test_large_files_go_to_a_store_without_the_token(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, tmp_path: Path
) -> None:
    """The addresses that the Hub names for an upload may be those of another host."""
    store = f"http://localhost:{faults.endpoint.rpartition(':')[2]}"
    (tmp_path / "a.safetensors").write_bytes(b"of this test" * 9)

    def hub(asked: "Asked") -> "Answer":
        if asked.method == "PUT":
            return faults.answer(body=b"")
        answer = faults.forward(server.endpoint, asked)
        if not asked.path.endswith("/objects/batch"):
            return answer
        body = json.loads(answer.body)
        for item in body["objects"]:
            item["actions"] = {name: {"href": f"{store}/{name}"} for name in ("upload", "verify")}
        return faults.answer(body=json.dumps(body).encode())

    faults.script = hub
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    with pytest.raises(AdapterdError):  # the Hub never got the bytes
        client.commit(repo, "main", head, [AddFile("a.safetensors", str(tmp_path / "a.safetensors"))], "v1")
    sent = {asked.path: "authorization" in asked.headers for asked in faults.asked}
    assert (sent["/upload"], sent["/verify"]) == (False, False)
    assert sent[f"/{repo}.git/info/lfs/objects/batch"]


@pytest.mark.parametrize("status", [302, 307])
def test_an_upload_that_is_sent_elsewhere_is_transient(
    faults: "FaultServer", server: RunningHub, connect: "Connect", repo: str, tmp_path: Path, status: int
) -> None:
    """A file's content is read once, so that nothing could be sent there; the next attempt gets a new address."""
    (tmp_path / "a.safetensors").write_bytes(b"of another test" * 9)
    faults.script = lambda asked: (
        faults.answer(status, b"", {"Location": f"{faults.endpoint}/there"})
        if asked.method == "PUT"
        else faults.forward(server.endpoint, asked)
    )
    client = connect(faults.endpoint)
    head = client.refs(repo).branches["main"]
    with pytest.raises(Transient, match=rf"the upload to 127\.0\.0\.1 is sent elsewhere \({status}\)"):
        client.commit(repo, "main", head, [AddFile("a.safetensors", str(tmp_path / "a.safetensors"))], "v1")
    assert "/there" not in {asked.path for asked in faults.asked}
