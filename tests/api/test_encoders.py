"""sentence-transformers, unchanged, against the Hub: what pins a version there, and what does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import transformers

from api.conftest import publish, put, save_adapter
from deploy.conftest import fresh
from helpers.tiny import SIZES, VOCABULARY, byte_tokenizer

if TYPE_CHECKING:
    from api.conftest import Place

WAYS = {
    "by_name": "main",
    "by_name_pinned": "trained",
    "by_load_adapter": "trained",
    "by_attach": "trained",
    "by_pull": "trained",
    "without an adapter": "base",
}
"""Whose vectors each way gives that is asked for version 1 by its commit, while `main` holds version 2."""

BASE = "acme/encoder"


@pytest.fixture(scope="module")
def encoded(place: "Place", shell: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Whose vectors came of each way: plain PEFT's with version 1 or with version 2, or the base's, pooled by hand."""
    home, hub = tmp_path_factory.mktemp("encoder"), place.repos["acme/sentiment-es"].hub
    commit = put(hub, BASE, bert(home / "base"))
    repo = fresh(hub)
    for number in (1, 2):
        folder = home / str(number)
        save_adapter(folder, home / "base", ["query", "value"], seed=number, task="FEATURE_EXTRACTION", of=BASE)
        byte_tokenizer().save_pretrained(folder)  # without one, sentence-transformers takes no adapter for a model
        publish(repo, folder, home / "base", commit, id=BASE)
    repo.promote(2)
    plan = {"base": BASE, "repo": repo.adapter, "commit": repo.commits[1]}
    folders = {"trained": str(home / "1"), "main": str(home / "2")}
    command = [sys.executable, str(Path(__file__).with_name("encoders.py"))]
    asked = json.dumps(plan | folders)
    done = subprocess.run(command, env=shell, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def bert(folder: Path) -> Path:
    """A tiny encoder with random weights, and its tokenizer."""
    torch.manual_seed(3)
    config = transformers.BertConfig(vocab_size=VOCABULARY, pad_token_id=0, **SIZES)
    transformers.BertModel(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_each_way_encodes_with_one_version(encoded: dict[str, list[str]], way: str) -> None:
    """Its vectors are plain PEFT's, bit for bit, and no other's; with `revision=` alone they are those of `main`."""
    assert encoded[way] == [WAYS[way]]


def test_every_way_was_tried(encoded: dict[str, list[str]]) -> None:
    """The table above is the whole of what ran."""
    assert set(encoded) == set(WAYS)
