"""What the daemon answers over its control socket: each act is written down, a look is none, and lanes wake."""

import json
from dataclasses import dataclass, field

import pytest

from adapterd import moving
from adapterd.answering import Answers
from adapterd.audit import AuditLog
from adapterd.control import Request
from adapterd.core.errors import AdapterdError
from adapterd.core.standing import Said
from adapterd.core.version import Stage
from adapterd.health import Health
from adapterd.lanes import Exports, Intake, Steps
from adapterd.operate import UnknownVersionError
from adapterd.reconcile import LINE
from adapterd.revalidating import Revalidation
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive


@dataclass
class Desk:
    """A daemon's answers, and what they set going."""

    world: World
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have lanes that turn when a test says so."""
        world = self.world

        health = Health("1", world.publisher, 0.0, world.clock)
        self.again = Revalidation(health)
        self.exports = Exports(lambda: world.host, health)
        self.validate = Steps(lambda: world.host, health, LINE[0], None, self.again.turn)
        self.handlers = Answers(
            lambda: world.host,
            health,
            AuditLog(world.tmp / "audit.jsonl"),
            Intake(lambda: world.host, health),
            self.exports,
            self.again,
            lambda: self.calls.append("reread"),
            lambda: self.calls.append("renew"),
            lambda: self.calls.append("wake"),
        ).handlers()

    def ask(self, do: str, reason: str = "", **arguments: object) -> dict[str, object]:
        """Ask as alice."""
        return dict(self.handlers[do](Request(do, arguments, reason, 1000, "alice")))

    def written(self) -> list[tuple[str, str, str]]:
        """What the audit log says was done: what, why, and what came of it."""
        path = self.world.tmp / "audit.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["do"], line["reason"], line["outcome"]) for line in lines]


@pytest.fixture
def desk(world: World) -> Desk:
    """The answers of one publisher."""
    return Desk(world)


def test_a_look_sees_what_a_deployer_moved_and_is_no_act(desk: Desk, adapter: str) -> None:
    """The lane looks at that repo at its next turn; an adapter that is not known here is said to be so."""
    world = desk.world
    for seed in (1, 2):
        stage(world, adapter, seed)
        drive(world)
    desk.exports.turn()
    moving.rollback(world.client, adapter, "main", None, Said("bob", "worse on names", 1.0))
    assert desk.ask("look", adapter="acme/unknown") == {"looks": False}
    assert desk.calls == []
    assert desk.ask("look", adapter=adapter) == {"looks": True}
    assert desk.calls == ["wake"]
    desk.exports.turn()
    assert {c.channel: c.number for c in world.registry.channels(adapter)} == {"main": 1}
    assert desk.written() == []


def test_a_published_version_is_validated_again_at_once(desk: Desk, adapter: str) -> None:
    """Though nothing changed since; who asked and why is in the audit log."""
    world = desk.world
    version = stage(world, adapter, 1)
    drive(world)
    assert desk.ask("revalidate", "new driver", reference=f"{adapter}@v1") == {"asked": [f"{adapter}@v1"]}
    assert desk.calls == ["reread", "wake"]
    desk.validate.turn()
    assert [row.verdict for row in world.registry.validations(version.id)] == ["passed", "passed"]
    assert desk.written() == [("revalidate", "new driver", "done")]


def test_an_act_that_fails_is_written_down_as_such(desk: Desk) -> None:
    """The error passes through to who asked, and no lane is woken for nothing."""
    with pytest.raises(UnknownVersionError):
        desk.ask("retry", "why not", reference="acme/none@v1")
    assert desk.written() == [("retry", "why not", "failed")]
    assert desk.calls == ["reread", "renew"]


def test_what_cannot_be_written_down_is_not_done(desk: Desk, adapter: str) -> None:
    """An audit log that cannot be written refuses the act before it does anything."""
    world = desk.world
    version = stage(world, adapter, 1)
    (world.tmp / "audit.jsonl").mkdir()
    with pytest.raises(AdapterdError):
        desk.ask("erase", "on request", references=[version.label])
    found = world.registry.version(version.id)
    assert found is not None
    assert found.stage is Stage.STAGED
    assert desk.calls == []
