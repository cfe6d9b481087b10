"""The picture beside the card: drawn from what was recorded, in the commit's tree, and shown by channels from there."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapterd import operate
from adapterd.core import publication as pub
from adapterd.core.adapter import digest_of
from adapterd.steps.rebuild import rebuild
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import audit, drive

Make = Callable[..., World]


def _publish(world: World, adapter: str, seed: int, loss: float | None) -> None:
    """Publish a version that has this loss on the probes, or none."""
    result = world.validator.result
    losses = {} if loss is None else {"loss_adapter": loss, "loss_base": 3.0}
    world.validator.result = replace(result, measurements={"effect": 0.5, **losses})
    stage(world, adapter, seed)
    drive(world)


def _shown(world: World, adapter: str, revision: str) -> list[str]:
    """The versions that a revision's picture shows, each with its loss; empty where there is no picture."""
    if pub.PICTURE not in world.client.tree(adapter, revision):
        return []
    text = world.client.read(adapter, revision, pub.PICTURE).decode()
    told = text.split("Nats per token. ")[1].split(". Lower is better")[0]
    return [part.split(" with the adapter")[0] for part in told.split("; ")]


def test_a_picture_shows_every_version_so_far(world: World, adapter: str) -> None:
    """It lies in the version's commit, the manifest says its digest, and the card of a channel shows it from there."""
    _publish(world, adapter, 1, 2.5)
    _publish(world, adapter, 2, 2.25)
    assert _shown(world, adapter, "v1") == ["v1: 2.5000"]
    assert _shown(world, adapter, "v2") == ["v1: 2.5000", "v2: 2.2500"]
    manifest = json.loads(world.client.read(adapter, "v2", pub.MANIFEST))
    assert manifest["picture"]["sha256"] == digest_of(world.client.read(adapter, "v2", pub.PICTURE))
    assert pub.PICTURE not in manifest["files"]
    assert pub.PICTURE not in world.client.tree(adapter, "main")
    assert f"(/{adapter}/resolve/v2/{pub.PICTURE})" in world.client.read(adapter, "main", pub.CARD).decode()
    versions = world.registry.versions(adapter)
    assert audit([world], adapter, list(versions)) == [1, 2]


def test_a_version_without_a_loss_shows_those_before(world: World, adapter: str) -> None:
    """And where none was ever measured there is no picture, and no word of one."""
    _publish(world, adapter, 1, None)
    assert _shown(world, adapter, "v1") == []
    assert "![" not in world.client.read(adapter, "v1", pub.CARD).decode()
    assert "picture" not in json.loads(world.client.read(adapter, "v1", pub.MANIFEST))
    _publish(world, adapter, 2, 2.5)
    _publish(world, adapter, 3, None)
    assert _shown(world, adapter, "v3") == ["v2: 2.5000"]


def test_a_registry_that_is_made_anew_knows_the_losses(world: World, adapter: str) -> None:
    """The manifests have them."""
    _publish(world, adapter, 1, 2.5)
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    _publish(world, adapter, 2, 2.0)
    assert _shown(world, adapter, "v2") == ["v1: 2.5000", "v2: 2.0000"]


@pytest.mark.parametrize("loss", [None, 2.0])
def test_another_publishers_picture_gives_way(make_world: Make, adapter: str, loss: float | None) -> None:
    """A publisher shows what it measured itself: a picture that lay there before is replaced, or goes."""
    first, second = make_world("a"), make_world("b")
    _publish(first, adapter, 1, 2.5)
    operate.adopt(second.host, adapter, "tester", "they share it")
    _publish(second, adapter, 2, loss)
    assert _shown(second, adapter, "v1") == ["v1: 2.5000"]
    assert _shown(second, adapter, "v2") == ([] if loss is None else ["v2: 2.0000"])
    # The tree of the next one is compared again.
    _publish(second, adapter, 3, loss)
    assert set(second.client.refs(adapter).tags) == {"v1", "v2", "v3"}
