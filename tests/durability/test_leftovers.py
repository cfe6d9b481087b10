"""What a start finds of one that died: it goes on, and tidies up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd.compose import opened
from adapterd.config import Config, parse
from adapterd.ports import RegistryError
from adapterd.registry import prepare
from adapterd.steps import discover
from adapterd.steps.again import stage_again
from adapterd.steps.settle import Rests, settle
from helpers.adapters import write_adapter
from helpers.hosts import World, config_text


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


class Gone(BaseException):
    """The process is gone."""


class Dying:
    """A registry that dies when it is told of a version."""

    def __init__(self, registry: object) -> None:
        """Stand in for `registry`."""
        self._registry = registry

    def __getattr__(self, name: str) -> object:
        """Give what the registry has, but for the intake."""
        if name == "intake":
            raise Gone
        return getattr(self._registry, name)


def test_a_final_save_of_known_content_is_not_forgotten_with_its_directory(tmp_path: Path) -> None:
    """A crash between its snapshot and its row, and the directory gone before the next start: the version is final."""
    world = World(tmp_path, "http://127.0.0.1:9")
    root = world.host.config.roots[0]
    discover.scan(world.host, root)

    def take(folder: Path) -> None:
        (found,) = [
            f for f in discover.scan(world.host, root, frozenset({str(folder)})).pending if f.directory == folder
        ]
        settle(world.host, found, Rests(), now=True)

    take(write_adapter(tmp_path / "train" / "run-1" / "checkpoint-5", seed=3))
    final = write_adapter(tmp_path / "train" / "run-1", seed=3)
    written = json.loads((final / "adapter_config.json").read_text())
    (final / "adapter_config.json").write_text(json.dumps(written))  # the same training, saved in other bytes
    world.host = replace(world.host, registry=Dying(world.registry))  # type: ignore[arg-type]  # stands in for it
    with pytest.raises(Gone):
        take(final)
    world.registry.close()
    for path in final.iterdir():
        if path.is_file():
            path.unlink()
    world.reopen()
    assert stage_again(world.host) == 0
    (version,) = world.registry.versions()
    assert version.final
    assert [s.final for s in world.registry.sightings(version.id)] == [False, True]
    assert stage_again(world.host) == 0
    assert len(world.registry.sightings(version.id)) == 2
    world.close()
