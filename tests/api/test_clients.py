"""The clients that deployers have already, unchanged, against the Hub: each loads what was trained, bit for bit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from api.conftest import Place

CLIENTS = (
    "by_peft",
    "by_peft_commit",
    "by_peft_channel",
    "by_auto_peft",
    "by_load_adapter",
    "by_transformers",
    "by_snapshot",
    "by_main",
    "an adapter that changes something",
)


@pytest.fixture(scope="module")
def loaded(place: "Place", shell: dict[str, str]) -> dict[str, bool]:
    """What came of each client, after version 2 was promoted to `production` and to `main`."""
    repo = place.repos["acme/sentiment-es"]
    for channel in ("production", "main"):
        repo.promote(2, channel)
    plan = {
        "base": "acme/base",
        "repo": repo.adapter,
        "tag": "v2",
        "channel": "production",
        "commit": repo.commits[2],
        "trained": str(place.trained[repo.adapter, 2]),
    }
    command = [sys.executable, str(Path(__file__).with_name("clients.py"))]
    done = subprocess.run(command, env=shell, input=json.dumps(plan), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout)
    repo.promote(1, "main")
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_loads_what_was_trained(loaded: dict[str, bool], client: str) -> None:
    """By tag, commit, channel or `main`, as the client can say it, its logits are those of the training host."""
    assert loaded[client]


def test_every_client_was_asked(loaded: dict[str, bool]) -> None:
    """The table above is the whole of what ran."""
    assert set(loaded) == set(CLIENTS)
