"""What is said of an adapter in public is true, and holds no secret."""

import json
from pathlib import Path
from typing import NoReturn

import pytest

from adapterd.bases import BaseMissingError, locate
from adapterd.config import parse
from adapterd.ports import Denied
from helpers.adapters import write_adapter
from steps.conftest import Site

ONE, OTHER = "1" * 40, "2" * 40


class NoCache:
    """A Hub whose local cache holds no model."""

    def cached_model(self, model: str, revision: str | None) -> None:
        """Nothing is there."""


def no_hub() -> NoReturn:
    """No question for the Hub is expected."""
    raise Denied("the Hub was asked")


def test_a_cached_base_is_never_called_by_another_commits_name(tmp_path: Path) -> None:
    """The run wants commit 2; a folder that is commit 1 is not validated in under that name."""
    folder = tmp_path / "hub" / "models--acme--base" / "snapshots" / ONE
    folder.mkdir(parents=True)
    text = f"{{hub: {{namespace: acme}}, roots: [{{path: /train}}], base_models: [{{id: acme/base, path: {folder}}}]}}"
    config = parse(text, "test.yaml")
    assert locate("acme/base", "", config, no_hub).revision == ONE
    assert locate("acme/base", ONE, config, no_hub).revision == ONE
    with pytest.raises(BaseMissingError) as raised:
        locate("acme/base", OTHER, config, NoCache)  # type: ignore[arg-type]  # all that is asked of it
    assert raised.value.code == "base_not_at_hand"


def test_labels_that_hold_a_token_stall_and_go_on_when_it_is_gone(site: Site) -> None:
    """The labels stand in the manifest; the token itself is repeated nowhere."""
    token = "hf_" + "s" * 34
    write_adapter(site.root / "support" / "checkpoint-5")
    labels = site.root / "support" / "adapterd.yaml"
    labels.write_text(f"notes: pulled with {token}\n")
    assert site.turn() == []
    seen = site.seen("support/checkpoint-5")
    assert (seen.state, seen.reason) == ("stalled", "bad_labels")
    assert token not in seen.message
    labels.write_text("notes: pulled\n")
    (version,) = site.rest()
    assert token not in json.dumps(dict(version.labels))
