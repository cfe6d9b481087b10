"""xet moves bytes only where the endpoint has it, and its calls end within their deadline as all do."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub_client.conftest import Answer, Asked, FaultServer

HEAD = "1" * 40


def run(program: str) -> str:
    """Run a program in a process of its own, since xet is switched on or off once for each; what it printed."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_store_of_xet_that_never_answers_ends_with_the_call(faults: "FaultServer", tmp_path: Path) -> None:
    """The library's own patience with it is minutes; nothing is committed."""
    (tmp_path / "a.safetensors").write_bytes(b"1" * 100_000)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def hub(asked: "Asked") -> "Answer":
            if "/preupload/" in asked.path:
                files = [
                    {"path": file["path"], "uploadMode": "lfs", "shouldIgnore": False}
                    for file in json.loads(asked.body)["files"]
                ]
                return faults.answer(body=json.dumps({"files": files}).encode())
            until = int(time.time()) + 3600
            return faults.answer(body=json.dumps({"casUrl": store, "exp": until, "accessToken": "t"}).encode())

        faults.script = hub
        said = run(f"""
from adapterd.hub.client import HubClient
from adapterd.ports import AddFile, Transient
client = HubClient({faults.endpoint!r}, "hf_" + "a" * 34, xet=True, ca_file=None, proxy=None, deadline=1.5)
try:
    client.commit("acme/x", "main", {HEAD!r}, [AddFile("a.safetensors", {str(tmp_path / "a.safetensors")!r})], "v1")
except Transient as error:
    print(error.message)
""")
    assert said == "commit to acme/x@main: no complete answer within the deadline of 1.5 s\n"
    assert [asked.path.rpartition("/")[0] for asked in faults.asked] == [
        "/api/models/acme/x/preupload",
        "/api/models/acme/x/xet-write-token",
    ]


SETTINGS = {
    "": True,
    "endpoint: 'http://127.0.0.1:9',": False,
    "endpoint: 'http://127.0.0.1:9', xet: true,": True,
    "xet: false,": False,
    "proxy: 'http://127.0.0.1:9',": False,
    "proxy: 'http://127.0.0.1:9', xet: true,": False,
}
"""Keys of the section `hub`, and whether xet is on with them."""


def test_xet_is_used_where_the_endpoint_has_it(tmp_path: Path) -> None:
    """By itself only with the default endpoint; never where its connections could not go the configured way."""
    said = run(f"""
from pathlib import Path
from huggingface_hub import constants
from adapterd.compose import hub_of
from adapterd.config import parse
for keys in {list(SETTINGS)!r}:
    constants.HF_HUB_DISABLE_XET = False
    text = "hub: {{" + keys + " namespace: acme}}\\nroots: [{{path: {tmp_path}/train}}]\\nstate_dir: {tmp_path}/state"
    hub_of(parse(text, "test.yaml"), {{"HF_TOKEN": "hf_" + "a" * 34}}, Path({str(tmp_path)!r})).close()
    print(not constants.HF_HUB_DISABLE_XET)
""")
    assert dict(zip(SETTINGS, said.split(), strict=True)) == {keys: str(on) for keys, on in SETTINGS.items()}
