"""Figures: what a follower of 50 adapters at rest asks of the Hub, and its memory; and how long a new version takes."""

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import figures
from adapterd.core import publication as pub
from adapterd.core.index import render
from adapterd.core.naming import serving_name
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start
from adapterd.ports import AddBytes
from daemon_memory import memory_of
from helpers.engines import RecordedEngine, serving
from host import NAMESPACE, PATIENCE, TOKEN, Daemon, environment, until

ADAPTERS = 50
LIMIT = 80.0
INTERVALS = 20
"""So many looks at rest are counted."""
INDEX = f"{NAMESPACE}/adapterd-index"


def main() -> None:
    """Publish 50 adapters, follow them in a process of its own, let it rest, move one."""
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        hub = start(home / "hub", [Account(NAMESPACE, TOKEN)])
        client = HubClient(hub.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=60.0)
        try:
            names = [f"{NAMESPACE}/adapter-{number:02d}" for number in range(ADAPTERS)]
            entries = {name: entry(client, name, 1) for name in names}
            client.create_repo(INDEX, private=True)
            write_index(client, entries)
            with serving("vllm") as engine:
                found = followed(home, hub, client, engine, entries)
        finally:
            client.close()
            hub.stop()
    figures.hand_over(found)


def followed(
    home: Path, hub: RunningHub, client: HubClient, engine: RecordedEngine, entries: dict[str, dict[str, object]]
) -> list[figures.Figure]:
    """Measure one follower."""
    config = home / "follow.yaml"
    listed = ", ".join(f"{{adapter: {name}}}" for name in entries)
    config.write_text(
        f"dir: {home}/adapters\nhub: {{endpoint: '{hub.endpoint}'}}\ninterval: 1s\ngolden: off\n"
        f"adapters: [{listed}]\nengines: [{{url: '{engine.url}'}}]\n"
    )
    command = [sys.executable, "-m", "adapterd", "follow", "--config", str(config)]
    log = home / "follow.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment() | {"HF_TOKEN": TOKEN})
    running = Daemon(process, log)
    try:
        until(lambda: len(running.said("alias_switched")) == ADAPTERS, "all are served", process)
        looks = counted(hub)
        until(lambda: counted(hub) >= looks + 3, "it is at rest", process)
        hub.requests.clear()
        until(lambda: counted(hub) >= INTERVALS, "it has looked", process)
        records = list(hub.requests)
        looks = sum("index.json" in record.path for record in records)
        kinds = Counter(f"{record.method} {record.path.rpartition('/')[2]}: {record.status}" for record in records)
        memory = memory_of(running)
        began = time.perf_counter()
        name = next(iter(entries))
        write_index(client, entries | {name: entry(client, name, 2)})
        moved = time.perf_counter()
        until(lambda: len(running.said("alias_switched")) > ADAPTERS, "the new version serves", process, pause=0.01)
        took = time.perf_counter() - moved
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    return [
        figures.at_most(
            f"Hub requests per interval of a follower at rest, {ADAPTERS} adapters",
            kinds.total() / looks,
            1,
            "",
            note=", ".join(f"{count} {kind}" for kind, count in kinds.items()) + f" in {looks} intervals",
        ),
        figures.at_most(
            f"resident memory of that follower, {ADAPTERS} adapters on one engine",
            memory["VmRSS"],
            LIMIT,
            "MiB",
            note=f"of it anonymous {memory['RssAnon']:.1f}, proportional share {memory['Pss']:.1f}",
        ),
        figures.Figure(
            "from the index to the new version serving, looking once a second",
            f"{took:.2f} s (published in {moved - began:.2f} s)",
        ),
    ]


def counted(hub: RunningHub) -> int:
    """How often the index was asked for."""
    return sum("index.json" in record.path for record in list(hub.requests))


def entry(client: HubClient, name: str, number: int) -> dict[str, object]:
    """Publish a version by hand, promote it to main; its part of the index."""
    if number == 1:
        client.create_repo(name, private=True)
        client.create_branch(name, pub.BRANCH, client.refs(name).branches["main"])
    identity = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
    payload = {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": 8}).encode(),
        "adapter_model.safetensors": hashlib.shake_128(identity.encode()).digest(100_000),
    }
    manifest = {
        "schema": 1,
        "adapter": name,
        "number": number,
        "identity": {"algorithm": "1", "digest": identity},
        "files": {path: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for path, d in payload.items()},
        "base": {"id": "acme/base", "revision": "local", "fingerprint": ""},
        "serving_name": serving_name(name, number, identity),
    }
    files = [AddBytes(path, data) for path, data in {**payload, pub.MANIFEST: json.dumps(manifest).encode()}.items()]
    commit = client.commit(name, pub.BRANCH, client.refs(name).branches[pub.BRANCH], files, f"v{number}")
    client.create_tag(name, f"v{number}", commit)
    client.commit(name, "main", client.refs(name).branches["main"], files, f"main -> v{number}")
    version = {"commit": commit, "identity": identity, "serving_name": manifest["serving_name"], "yanked": False}
    return {
        "schema": 1,
        "adapter": name,
        "publisher": "bench",
        "base": "acme/base",
        "channels": {"main": f"v{number}"},
        "versions": {f"v{number}": {**version, "erased": False}},
    }


def write_index(client: HubClient, entries: dict[str, dict[str, object]]) -> None:
    """Write the index of all."""
    data = render({"schema": 1, "adapters": entries})
    client.commit(INDEX, "main", client.refs(INDEX).branches["main"], [AddBytes("index.json", data)], "Index")


if __name__ == "__main__":
    main()
