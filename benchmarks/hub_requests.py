"""Figure: Hub requests per published version, counted at the embedded Hub, against the same by hand."""

import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from huggingface_hub import HfApi
from transformers import utils

import figures
from adapterd import log
from adapterd.compose import opened
from adapterd.config import load
from adapterd.health import Health
from adapterd.hub.server import Account, RunningHub, start
from adapterd.lanes import Exports, Intake, Steps
from adapterd.reconcile import LINE
from adapterd.steps.host import Host as StepsHost
from host import NAMESPACE, TOKEN, Host
from material import Trainer, finish, make_base

MORE = 2
"""How many requests more than by hand a version may take, from the second on."""
INDEX = "adapterd-index"
RUN = "support-bench"
PLACES = ("checkpoint-1", "checkpoint-2", "checkpoint-3", "")
"""Where the versions lie in their run; the last one is the final adapter, which is promoted."""


def main() -> None:
    """Publish by hand and with adapterd, in one run at one Hub."""
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of the libraries' own, about themselves
    log.configure("warning")
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        hub = start(home / "hub", [Account(NAMESPACE, TOKEN)])
        try:
            index = f"index_repo: {INDEX}"
            host = Host(home / "host", hub.endpoint, in_hub=index, sections={"settle": "{quiet: 500ms}"})
            make_base(host.base, hidden=64, layers=2)
            trainer = Trainer(host.base)
            source = trainer.write(home / "source", 0)
            hub.requests.clear()
            by_hand(HfApi(endpoint=hub.endpoint, token=TOKEN), source)
            bare = taken(hub)
            versions, exports = by_adapterd(hub, host, trainer)
        finally:
            hub.stop()
    figures.hand_over(stated(bare, versions, exports))


def by_hand(api: HfApi, source: Path) -> None:
    """What a script would do."""
    repo = f"{NAMESPACE}/by-hand"
    api.create_repo(repo, private=True)
    api.upload_folder(repo_id=repo, folder_path=source)
    api.create_tag(repo, tag="v1")


def by_adapterd(hub: RunningHub, given: Host, trainer: Trainer) -> tuple[list[Counter[str]], list[Counter[str]]]:
    """The daemon's lanes, turned one after the other: the requests of each publish, and of what follows it."""
    versions, exports = [], []
    with opened(load(given.config)) as host:
        health = Health("", host.publisher, time.time(), time.monotonic)
        intake, beside = Intake(lambda: host, health), Exports(lambda: host, health)
        validate, publish = (Steps(lambda: host, health, arrow) for arrow in LINE)
        intake.turn()
        beside.turn()
        for seed, place in enumerate(PLACES, start=1):
            folder = trainer.write(given.root / RUN / place, seed)
            if place:
                finish(folder, seed)
            settled(intake, host, seed)
            hub.requests.clear()
            validate.turn()
            publish.turn()
            versions.append(taken(hub))
            beside.turn()
            exports.append(taken(hub))
        published = host.registry.counts().get("published", 0)
    if published != len(PLACES):
        raise RuntimeError(f"{published} of {len(PLACES)} versions were published")
    return versions, exports


def settled(intake: Intake, host: StepsHost, count: int) -> None:
    """Turn the intake until there are so many versions."""
    end = time.monotonic() + 30
    while len(host.registry.versions()) < count:
        if time.monotonic() > end:
            raise RuntimeError("the adapter directory did not come to rest")
        time.sleep(min(intake.turn(), 0.2))


def taken(hub: RunningHub) -> Counter[str]:
    """The requests since the last look, by what they are."""
    found = Counter(kind(record.method, record.path) for record in hub.requests)
    hub.requests.clear()
    return found


def kind(method: str, path: str) -> str:
    """A request in a few words; those of the index repo apart."""
    words = ("validate-yaml", "preupload", "objects/batch", "verify", "commit/", "commits/", "tree/", "refs", "tag/")
    more = ("branch/", "repos/create", "resolve/", "paths-info", "lfs/", "revision/")
    what = next((word.strip("/") for word in (*words, *more) if word in path), "info")
    return f"{INDEX}: {method} {what}" if INDEX in path else f"{method} {what}"


def stated(bare: Counter[str], versions: list[Counter[str]], exports: list[Counter[str]]) -> list[figures.Figure]:
    """The figures, from the counts."""
    hand, first, later = bare.total(), versions[0], versions[1:]
    most = max(later, key=Counter.total)
    extra = most - bare
    own, index = ({k: n for k, n in exports[-1].items() if k.startswith(INDEX) is mine} for mine in (False, True))
    return [
        figures.at_most(
            "Hub requests for a version, from the second on", most.total(), hand + MORE, "", note=f"by hand {hand}"
        ),
        figures.Figure("of these, more than by hand", said(extra)),
        figures.Figure("of those by hand, not made", said(bare - most)),
        figures.Figure("Hub requests for the first version, with repo and branch", f"{first.total()}"),
        figures.Figure("Hub requests for a promotion to `main`", f"{sum(own.values())} ({said(own)})"),
        figures.Figure("Hub requests for a commit to the index repo", f"{sum(index.values())} ({said(index)})"),
    ]


def said(counts: dict[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{n} {k.removeprefix(f'{INDEX}: ')}" for k, n in sorted(counts.items())) or "none"


if __name__ == "__main__":
    main()
