"""Drive a line to its end, and audit what came of it on the Hub."""

import hashlib
import json
from collections.abc import Sequence

from adapterd import reconcile
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.naming import version_numbers
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.reconcile import LINE
from adapterd.steps import promote
from helpers.hosts import World

MOST_ROUNDS = 200


def drive(world: World) -> None:
    """Turn both arrows and the channels until nothing moves by itself any more; waiting costs only the test's clock."""
    for _ in range(MOST_ROUNDS):
        for arrow in LINE:
            while reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5):
                pass
        for record, version in promote.due(world.host):
            promote.promote(world.host, record, version, 0.5)
        moving = [v for v in world.registry.versions() if v.stage in LIVE and not v.stalled]
        if not moving and not promote.due(world.host, all_=True):
            return
        world.clock.now += 900
    raise AssertionError(f"did not converge: {[(v.label, v.stage, v.reason, v.message) for v in moving]}")


def audit(worlds: Sequence[World], adapter: str, good: Sequence[AdapterVersion]) -> list[int]:
    """Hold the Hub against what was staged: every good identity once, tags and registry agree, numbers grow.

    The numbers on the branch, oldest first.
    """
    hub = worlds[0].client
    refs = hub.refs(adapter)
    tags = version_numbers(refs.tags)
    log = [c for c in reversed(hub.log(adapter, pub.BRANCH)) if messages.trailers(c.message)]
    said = [t for c in log if (t := messages.trailers(c.message))]
    identities = [t.identity for t in said]
    assert sorted(identities) == sorted(v.identity for v in good), "lost or committed twice"
    by_commit = {commit: number for number, commit in tags.items()}
    assert [by_commit[c.id] for c in log] == [t.number for t in said], "a tag and its commit's trailer disagree"
    numbers = [t.number for t in said]
    assert numbers == sorted(set(numbers)), "the branch went backwards"
    for world in worlds:
        for version in world.registry.versions(adapter, Stage.PUBLISHED):
            assert tags[version.number or 0] == version.commit, "registry and tag disagree"
            _bytes(world, version)
    return numbers


def _bytes(world: World, version: AdapterVersion) -> None:
    manifest = json.loads(world.client.read(version.adapter, version.commit or "", pub.MANIFEST))
    assert manifest["identity"]["digest"] == version.identity
    assert manifest["number"] == version.number
    for path, file in manifest["files"].items():
        data = world.client.read(version.adapter, version.commit or "", path)
        assert hashlib.sha256(data).hexdigest() == file["sha256"], "other bytes than were validated"
