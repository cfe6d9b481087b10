"""Figures: `pull` of a 20 MB adapter, every byte verified and durable, against bare `snapshot_download` of the same.

Both in turn, into fresh places, from the embedded Hub; and the requests of a pull that finds everything there.
"""

import hashlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined] # exported by a lazy loader

import figures
from adapterd.core.naming import parse_reference
from adapterd.core.publication import BRANCH, MANIFEST, STANDING_BRANCH, STANDING_FILE
from adapterd.deploy import Layout, Shelf, bring
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start

TOKEN = "hf_" + "a" * 34
REPO = "acme/support"
SIZE = 20_000_000
ROUNDS = 15
TIMES = 1.15
"""How long a verified pull may take, of what the download alone takes."""
REQUESTS = 2


def main() -> None:
    """Publish, then pull both ways."""
    disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        with start(home / "hub", [Account("acme", TOKEN)]) as hub:
            publish(hub.endpoint)
            client = HubClient(hub.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=60.0)
            bare, ours = times(home, hub, client)
            asked = {at: requests(home, hub, client, at) for at in ("@v1", "")}
            client.close()
    figures.hand_over(stated(bare, ours, asked))


def publish(endpoint: str) -> None:
    """One version as adapterd publishes it: tag, channel, standing document."""
    payload = {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": 8}).encode(),
        "adapter_model.safetensors": os.urandom(SIZE),
        "tokenizer_config.json": b"{}",
    }
    files = {path: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for path, data in payload.items()}
    manifest = {
        "schema": 1,
        "adapter": REPO,
        "number": 1,
        "identity": {"digest": "a" * 64},
        "base": {"id": "acme/base", "revision": "c" * 40},
        "serving_name": "acme-support@v1-aaaaaaa",
        "files": files,
    }
    api = HfApi(endpoint=endpoint, token=TOKEN)
    api.create_repo(REPO, private=True)
    for branch in (BRANCH, STANDING_BRANCH):
        api.create_branch(REPO, branch=branch)
    for path, data in {**payload, MANIFEST: json.dumps(manifest).encode()}.items():
        made = api.upload_file(repo_id=REPO, path_or_fileobj=data, path_in_repo=path, revision=BRANCH)
    api.upload_file(
        repo_id=REPO, path_or_fileobj=b'{"schema": 1}', path_in_repo=STANDING_FILE, revision=STANDING_BRANCH
    )
    api.create_tag(REPO, tag="v1", revision=made.oid)
    api.upload_file(repo_id=REPO, path_or_fileobj=json.dumps(manifest).encode(), path_in_repo=MANIFEST, revision="main")


def times(home: Path, hub: RunningHub, client: HubClient) -> tuple[list[float], list[float]]:
    """Seconds of each round: the download alone, and the pull."""

    def bare(place: Path) -> object:
        return snapshot_download(REPO, revision="v1", cache_dir=place, endpoint=hub.endpoint, token=TOKEN)

    def ours(place: Path) -> object:
        return pull(client, place, "@v1")

    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(-1, ROUNDS):  # the first opens connections, and is not counted
        for seconds, way in zip(found, (bare, ours), strict=True):
            took = timed(way, home / "place")
            if turn >= 0:
                seconds.append(took)
    return found


def timed(way: Callable[[Path], object], place: Path) -> float:
    """Seconds that it takes into an empty place, after whatever was written before is on disk."""
    os.sync()
    began = time.perf_counter()
    way(place)
    took = time.perf_counter() - began
    for each in place.parent.glob("*place*"):
        shutil.rmtree(each, ignore_errors=True)
    return took


def pull(client: HubClient, place: Path, at: str) -> object:
    """What `adapterd pull` does."""
    shelf = Shelf(place, Layout.PLAIN)
    return bring(client, parse_reference(f"{REPO}{at}"), shelf, lambda _: None, now=time.time())


def requests(home: Path, hub: RunningHub, client: HubClient, at: str) -> int:
    """Requests of a pull that finds the version there."""
    place = home / "there"
    pull(client, place, at)
    hub.requests.clear()
    pull(client, place, at)
    return len(hub.requests)


def stated(bare: list[float], ours: list[float], asked: dict[str, int]) -> list[figures.Figure]:
    """The figures."""
    ratio = statistics.median(ours) / statistics.median(bare)
    note = (
        f"{statistics.median(ours) * 1000:.0f} ms against {statistics.median(bare) * 1000:.0f} ms, medians of {ROUNDS}"
    )
    return [
        figures.at_most("`pull` of 20 MB, verified, against `snapshot_download`", ratio, TIMES, "times", note=note),
        figures.at_most("Hub requests of a `pull` by number that finds it there", asked["@v1"], REQUESTS, ""),
        figures.at_most("Hub requests of a `pull` by channel that finds it there", asked[""], REQUESTS, ""),
    ]


if __name__ == "__main__":
    main()
