"""The daemon takes over what others did to channels by Hub alone, and never moves them back."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapterd import moving
from adapterd.cli.app import app
from adapterd.core import messages
from adapterd.core.standing import Said, held
from adapterd.health import Health
from adapterd.lanes import Exports
from adapterd.ports import AddBytes, ChannelRecord
from adapterd.steps import export
from adapterd.steps.look import look
from adapterd.steps.promote import due
from helpers.hosts import TOKEN, World
from publishing.conftest import stage
from publishing.lines import drive

SAID = Said("ada", "worse on the holdout", 0.0)


def channel(world: World, adapter: str, name: str = "main") -> ChannelRecord:
    """What the registry knows of a channel."""
    return next(c for c in world.registry.channels(adapter) if c.channel == name)


def shown(world: World, adapter: str) -> dict[str, str]:
    """The channels that the index shows."""
    (part,) = [p for p in export.entries(world.registry, world.publisher) if p.adapter == adapter]
    found: dict[str, str] = part.value()["channels"]
    return found


@pytest.fixture
def two(world: World, adapter: str) -> World:
    """A publisher of v1 and v2, whose main holds v2."""
    for seed in (1, 2):
        stage(world, adapter, seed)
        drive(world)
    return world


def test_a_rollback_by_hand_is_no_drift_and_the_index_follows(two: World, adapter: str) -> None:
    """The record and the index show the older version, and the hold is known; a second look finds nothing."""
    moving.rollback(two.client, adapter, "main", None, SAID)
    assert look(two.host, adapter) == ("main",)
    record = channel(two, adapter)
    assert (record.number, record.highest, record.stalled) == (1, 2, False)
    repo = two.registry.repo(adapter)
    assert repo is not None
    assert held(repo.standing) == {"main"}
    assert shown(two, adapter) == {"main": "v1"}
    assert look(two.host, adapter) == ()


def test_the_rule_waits_for_a_release_and_a_newer_version(two: World, adapter: str) -> None:
    """After a rollback the rule moves nothing; after the release only a version newer than it ever held is promoted."""
    moving.rollback(two.client, adapter, "main", None, SAID)
    drive(two)
    assert due(two.host, all_=True) == []
    stage(two, adapter, 3)
    drive(two)
    assert messages.trailers(two.client.log(adapter, "main")[0].message).number == 1  # type: ignore[union-attr]  # it has some
    moving.release(two.client, adapter, "main", SAID)
    look(two.host, adapter)
    drive(two)
    assert channel(two, adapter).number == 3


def test_a_rollback_that_was_released_is_not_undone_by_the_rule(two: World, adapter: str) -> None:
    """Released without a newer version the channel stays on the older one."""
    moving.rollback(two.client, adapter, "main", None, SAID)
    moving.release(two.client, adapter, "main", SAID)
    look(two.host, adapter)
    drive(two)
    assert channel(two, adapter).number == 1


def test_a_channel_that_a_person_made_is_shown_until_it_is_gone(two: World, adapter: str) -> None:
    """A channel without a rule appears in the index; a branch with other things in it does not."""
    moving.promote(two.client, adapter, 1, "stable", SAID)
    head = two.client.log(adapter, "main")[-1].id
    two.client.create_branch(adapter, "drafts", head)
    two.client.commit(adapter, "drafts", head, [AddBytes("model.bin", b"theirs")], "by hand")
    look(two.host, adapter)
    assert shown(two, adapter) == {"main": "v2", "stable": "v1"}
    assert not any(c.stalled for c in two.registry.channels(adapter))


def test_a_head_that_is_no_versions_tree_waits_for_a_person(two: World, adapter: str) -> None:
    """Foreign weights on a channel are drift, and a promotion by hand to a whole version ends it."""
    head = two.client.refs(adapter).branches["main"]
    two.client.commit(adapter, "main", head, [AddBytes("adapter_config.json", b"{}")], "by hand")
    look(two.host, adapter)
    assert (channel(two, adapter).reason, channel(two, adapter).stalled) == ("channel_drift", True)
    moving.promote(two.client, adapter, 2, "main", SAID)
    look(two.host, adapter)
    assert (channel(two, adapter).number, channel(two, adapter).stalled) == (2, False)


def test_the_lane_looks_when_it_is_asked_to(two: World, adapter: str) -> None:
    """Asked for one adapter or for all, each is looked at once; one that is gone from the Hub stops nothing."""
    moving.rollback(two.client, adapter, "main", None, SAID)
    lane = Exports(lambda: two.host, Health("", two.publisher, time.time(), time.monotonic))
    lane.turn()
    assert channel(two, adapter).number == 2
    lane.look("acme/gone", adapter)
    lane.turn()
    assert channel(two, adapter).number == 1
    moving.promote(two.client, adapter, 2, "main", SAID)
    lane.look()
    lane.turn()
    assert channel(two, adapter).number == 2


def test_the_index_for_deployers_shows_an_act_at_once(
    world: World, adapter: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A rollback typed anywhere changes the part on the Hub, before the daemon looks; a broken part stops no act."""
    world.extra["hub"] = f"{{endpoint: '{world.endpoint}', namespace: acme, index_repo: adapterd-index}}"
    world.reopen()
    for seed in (1, 2):
        stage(world, adapter, seed)
        drive(world)
    export.export_to_hub(world.host, export.entries(world.registry, world.publisher))
    path = f"adapters/{adapter.split('/')[1]}.json"

    def there() -> tuple[dict[str, str], list[str]]:
        part = json.loads(world.client.read("acme/adapterd-index", "main", path))
        return part["channels"], list(part.get("holds", ()))

    for name, value in {"HOME": str(tmp_path), "HF_ENDPOINT": world.endpoint, "HF_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert there() == ({"main": "v2"}, [])
    done = CliRunner().invoke(app, ["rollback", adapter], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    assert there()[0] == {"main": "v1"}
    assert "main" in there()[1]
    head = world.client.refs("acme/adapterd-index").branches["main"]
    world.client.commit("acme/adapterd-index", "main", head, [AddBytes(path, b"{")], "broken")
    assert CliRunner().invoke(app, ["release", adapter], catch_exceptions=False).exit_code == 0
