"""Figure: what `promote` and `rollback` ask of the Hub, counted at the embedded Hub, and that no large file travels."""

import os
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile
from transformers import utils
from typer.testing import CliRunner

import figures
from adapterd import log
from adapterd.cli.app import app
from adapterd.hub.server import Account, RunningHub, start
from host import NAMESPACE, TOKEN, Host
from hub_requests import INDEX, RUN, by_adapterd, kind, said
from material import Trainer, make_base

ADAPTER = f"{NAMESPACE}/{RUN}"
BESIDE = 6
"""How many requests an act may take beside one for each small file of the version."""


def main() -> None:
    """Have the daemon's lanes publish four versions, then promote and roll back as a person types it."""
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of the libraries' own, about themselves
    log.configure("warning")
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        hub = start(home / "hub", [Account(NAMESPACE, TOKEN)])
        try:
            sections = {"settle": "{quiet: 500ms}"}
            host = Host(home / "host", hub.endpoint, in_hub=f"index_repo: {INDEX}", sections=sections)
            make_base(host.base, hidden=64, layers=2)
            by_adapterd(hub, host, Trainer(host.base))
            found = acted(hub, home)
        finally:
            hub.stop()
    figures.hand_over(found)


def acted(hub: RunningHub, home: Path) -> list[figures.Figure]:
    """Each act in turn, against what it may take."""
    os.environ |= {"HOME": str(home), "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.endpoint}
    files = HfApi(endpoint=hub.endpoint, token=TOKEN).list_repo_tree(ADAPTER, recursive=True, revision="v2")
    small = sum(isinstance(file, RepoFile) and file.lfs is None for file in files)
    hub.requests.clear()
    acts = {
        "promote": typed(hub, "promote", f"{ADAPTER}@v2", "--to", "main"),
        "promote to a newer version": typed(hub, "promote", f"{ADAPTER}@v3", "--to", "main"),
        "the first rollback of a repo, which makes its branch `standing`": typed(hub, "rollback", ADAPTER),
        "release": typed(hub, "release", ADAPTER),
        "promote in a repo with a standing document": typed(hub, "promote", f"{ADAPTER}@v4", "--to", "main"),
        "a later rollback": typed(hub, "rollback", ADAPTER),
        "a rollback of a channel that is held": typed(hub, "rollback", ADAPTER, "--to", "v1"),
    }
    sent = sum(count for _, count in acts.values())
    found = [figures.at_most("LFS bytes that `promote` and `rollback` upload", sent, 0, "bytes")]
    for name, (counts, _) in acts.items():
        if name != "release":
            limit = BESIDE + small
            found.append(figures.at_most(f"Hub requests: {name}", counts.total(), limit, "", note=said(counts)))
    return found


def typed(hub: RunningHub, *arguments: str) -> tuple[Counter[str], int]:
    """The requests of a verb, and the LFS bytes that it uploads."""
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    if done.exit_code:
        raise RuntimeError(done.output)
    found = Counter(kind(record.method, record.path) for record in hub.requests), hub.requests.lfs_bytes()
    hub.requests.clear()
    return found


if __name__ == "__main__":
    main()
