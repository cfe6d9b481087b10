"""What a start finds of one that died: it goes on, and tidies up."""

import json
from pathlib import Path

import pytest

from adapterd.compose import opened
from adapterd.config import Config, parse
from adapterd.ports import RegistryError
from adapterd.registry import prepare
from helpers.hosts import config_text


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A host that was never started."""
    (tmp_path / "train").mkdir()
    return parse(config_text(tmp_path, "http://127.0.0.1:9"), "test.yaml")


def test_a_first_start_that_died_does_not_look_like_a_lost_registry(config: Config, tmp_path: Path) -> None:
    """The registry is made before the publisher's id is written down, so that the next start has both."""
    state = tmp_path / "state"
    prepare(state / "registry.db")
    with opened(config) as host:
        assert host.publisher == json.loads((state / "instance.json").read_text())["instance"]
    for path in state.glob("registry.db*"):
        path.unlink()
    with pytest.raises(RegistryError, match="is missing"), opened(config):
        pass


def test_half_written_files_are_cleared_and_nothing_else_is(config: Config, tmp_path: Path) -> None:
    """What a process left that died while it replaced index, id or digests; a person's own files stay."""
    state = tmp_path / "state"
    state.mkdir()
    halves = [state / f".{name}.json.0a1b2c3d" for name in ("index", "instance", "hashes")]
    others = [state / ".index.json.swp", state / ".notes"]
    for path in [*halves, *others]:
        path.write_text("half")
    with opened(config):
        assert not any(path.exists() for path in halves)
        assert all(path.exists() for path in others)
