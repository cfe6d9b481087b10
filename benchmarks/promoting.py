"""Figure: what `promote` and `rollback` ask of the Hub, counted at the embedded Hub, and that no large file travels."""

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from transformers import utils

import figures
from adapterd import log, moving
from adapterd.core.standing import Said
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start
from host import NAMESPACE, TOKEN, Host
from hub_requests import INDEX, RUN, by_adapterd, said, taken
from material import Trainer, make_base

ADAPTER = f"{NAMESPACE}/{RUN}"
BESIDE = 6
"""How many requests an act may take beside one for each small file of the version, with whose token it is."""

Act = Callable[[Said], object]


def main() -> None:
    """Act on an adapter with a tokenizer beside it, then on one without."""
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of the libraries' own, about themselves
    log.configure("warning")
    figures.hand_over([*found(tokenizer=True), *found(tokenizer=False)])


def found(*, tokenizer: bool) -> list[figures.Figure]:
    """Have the daemon's lanes publish four versions, then promote and roll back by hand."""
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        hub = start(home / "hub", [Account(NAMESPACE, TOKEN)])
        try:
            sections = {"settle": "{quiet: 500ms}"}
            host = Host(home / "host", hub.endpoint, in_hub=f"index_repo: {INDEX}", sections=sections)
            make_base(host.base, hidden=64, layers=2)
            by_adapterd(hub, host, Trainer(host.base, tokenizer=tokenizer))
            return acted(hub)
        finally:
            hub.stop()


def acted(hub: RunningHub) -> list[figures.Figure]:
    """Each act in turn, against what it may take; then what shows it in the index for deployers."""
    client = HubClient(hub.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=60.0)
    small = sum(file.sha256 is None for file in client.tree(ADAPTER, "v2").values())
    acts: dict[str, Act] = {
        "promote": lambda said: moving.promote(client, ADAPTER, 2, "main", said),
        "promote to a newer version": lambda said: moving.promote(client, ADAPTER, 3, "main", said),
        "the first rollback of a repo": lambda said: moving.rollback(client, ADAPTER, "main", None, said),
        "release": lambda said: moving.release(client, ADAPTER, "main", said),
        "promote, with a standing document": lambda said: moving.promote(client, ADAPTER, 4, "main", said),
        "a later rollback": lambda said: moving.rollback(client, ADAPTER, "main", None, said),
        "rollback of a channel that is held": lambda said: moving.rollback(client, ADAPTER, "main", 1, said),
    }
    of = f"with {small} small files"
    asked, sent = [], 0
    for name, act in acts.items():
        hub.requests.clear()
        act(Said(client.whoami(), "", time.time()))
        sent += hub.requests.lfs_bytes()
        counts = taken(hub)
        if name != "release":
            asked.append(
                figures.at_most(f"Hub requests {of}: {name}", counts.total(), BESIDE + small, "", note=said(counts))
            )
    moving.refresh(client, f"{NAMESPACE}/{INDEX}", ADAPTER)
    shown = taken(hub)
    client.close()
    return [
        figures.at_most(f"LFS bytes that `promote` and `rollback` upload, {of}", sent, 0, "bytes"),
        *asked,
        figures.Figure(f"Hub requests {of} that show it in the index", f"{shown.total()} ({said(shown)})"),
    ]


if __name__ == "__main__":
    main()
