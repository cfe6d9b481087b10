"""What `sync` says became of a directory: its version on the Hub, and the channel that wants it."""

from dataclasses import replace

from adapterd import asked, reconcile
from adapterd.asked import DONE, REJECTED, STALLED, WAITING
from adapterd.core.reasons import reason
from adapterd.ports import AddBytes
from adapterd.reconcile import LINE
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive


def path(world: World, seed: int) -> str:
    """The final save of the run that `stage` wrote."""
    return str(world.tmp / "train" / f"run-{seed}")


def test_a_final_save_is_waited_for_until_its_channel_holds_it(world: World, adapter: str) -> None:
    """Staged, then published, then promoted; another run's version is not waited for."""
    was = asked.before(world.registry)
    version = stage(world, adapter, 1)
    other = stage(world, adapter, 2, step=5)
    mine = [path(world, 1)]
    assert asked.left(world.host, mine) == [version.label]
    assert set(asked.left(world.host, [])) == {version.label, other.label}
    assert asked.became(world.host, mine[0]).code == WAITING
    for arrow in LINE:
        assert reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5)
    assert asked.left(world.host, mine) == [f"{adapter}@main"]
    assert asked.became(world.host, mine[0]).code == WAITING
    drive(world)
    assert asked.left(world.host, mine) == []
    done = asked.became(world.host, mine[0])
    assert (done.code, done.said) == (DONE, f"published {adapter}@v1")
    moved = asked.summary(world.host, was, 0)
    assert (moved.code, moved.said) == (DONE, "2 published")
    assert asked.summary(world.host, asked.before(world.registry), 0).said == "nothing moved"


def test_a_rejected_version_is_said_with_its_reason(world: World, adapter: str) -> None:
    """The code, the message, and what to do."""
    good, was = world.validator.result, asked.before(world.registry)
    world.validator.result = replace(good, findings=(reason("no_effect", "lora_B is all zero"),))
    stage(world, adapter, 1)
    drive(world)
    done = asked.became(world.host, path(world, 1))
    assert done.code == REJECTED
    assert done.said.startswith("rejected no_effect: lora_B is all zero")
    assert done.hint
    moved = asked.summary(world.host, was, 0)
    assert (moved.code, moved.said) == (REJECTED, "1 rejected")


def test_a_channel_that_stalls_is_said_with_the_version_that_it_wants(world: World, adapter: str) -> None:
    """The version is published, yet a person must act before deployers get it; the former version is done."""
    stage(world, adapter, 1)
    drive(world)
    head = world.client.refs(adapter).branches["main"]
    world.client.commit(adapter, "main", head, [AddBytes("adapter_config.json", b"{}")], "by hand")
    stage(world, adapter, 2)
    drive(world)
    assert asked.left(world.host, [path(world, 2)]) == []
    done = asked.became(world.host, path(world, 2))
    assert done.code == STALLED
    assert done.said.startswith(f"published {adapter}@v2; channel main stalled channel_drift: ")
    assert asked.became(world.host, path(world, 1)).code == DONE
