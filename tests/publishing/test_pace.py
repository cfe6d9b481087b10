"""The Hub is away, tired or stingy: everything waits without harm, nothing stalls but what is broken itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd import operate, reconcile
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.health import Health
from adapterd.lanes import Exports
from adapterd.reconcile import LINE
from adapterd.steps import discover, promote
from helpers.hosts import World
from helpers.weather import Sky, Weather, weather
from publishing.conftest import stage
from publishing.lines import audit, drive

DAY = 86_400.0


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    """A Hub of its own for each module, whose answers a test may replace."""
    with weather(tmp_path_factory.mktemp("weather") / "data") as made:
        yield made


@pytest.fixture
def make(sky: Weather, tmp_path: Path, template: Path) -> Iterator[Callable[..., World]]:
    """Make a publisher on the Hub with weather; words are sections of its configuration."""
    sky.clear()
    sky.hub.requests.clear()
    made: list[World] = []

    def world(**extra: str) -> World:
        world = World(tmp_path / "a", sky.hub.endpoint, template=template)
        for name, text in extra.items():
            world.extra[name] = text.replace("{", f"{{endpoint: '{sky.hub.endpoint}', namespace: acme, ", 1)
        if "schedule" in extra:
            world.extra["schedule"] = extra["schedule"]
        world.reopen()
        discover.scan(world.host, world.host.config.roots[0])
        made.append(world)
        return world

    yield world
    sky.clear()
    for each in made:
        each.close()


def now(world: World, version: AdapterVersion) -> AdapterVersion:
    """The version as the registry has it."""
    found = world.registry.version(version.id)
    assert found is not None
    return found


def turn(world: World) -> None:
    """Take everything that is due through both arrows, and every channel that is."""
    for arrow in LINE:
        while reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5):
            pass
    for record, version in promote.due(world.host):
        promote.promote(world.host, record, version, 0.5)


def validate(world: World) -> None:
    """Bring what is staged to VALIDATED, and no further."""
    while reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5):
        pass


def live(world: World, seconds: float) -> None:
    """Let time pass, from one due time to the next."""
    end = world.clock.now + seconds
    while world.clock.now < end:
        turn(world)
        due = world.registry.next_due(Stage.VALIDATED, world.clock.now) or end
        world.clock.now = min(end, max(due, world.clock.now + 1.0))


def test_a_hub_that_is_away_for_days_stalls_nothing_and_gets_everything_in_order(
    make: Callable[..., World], sky: Weather, adapter: str
) -> None:
    """No attempt counts; it is asked a few times an hour; then everything is published in the order of intake."""
    world, other = make(schedule="{attempts: 4, backoff_max: 1h}"), f"{adapter}-other"
    versions = [stage(world, (adapter, other)[n % 2], n) for n in range(4)]
    mine, theirs = versions[::2], versions[1::2]
    sky.storm(503)
    live(world, 2 * DAY)
    assert {(now(world, v).attempts, now(world, v).stalled) for v in mine + theirs} == {(0, False)}
    assert {now(world, v).reason for v in mine + theirs} == {"hub_paused"}
    assert len(sky.requests) < 2 * 24 * 2
    sky.clear()
    live(world, 3700)
    assert audit([world], adapter, mine) == [1, 2]
    assert [now(world, v).number for v in mine] == [1, 2]
    assert [now(world, v).number for v in theirs] == [1, 2]


def test_a_hub_that_cannot_be_reached_is_asked_by_one_version_at_a_time(
    make: Callable[..., World], adapter: str
) -> None:
    """After a pause one version tries, and the others wait for what comes of it."""
    world = make()
    versions = [stage(world, f"{adapter}-{n}", n) for n in range(1, 7)]
    validate(world)
    world.endpoint, well = "http://127.0.0.1:9", world.endpoint
    world.with_token(world.token)
    live(world, 600)
    waits = {(now(world, v).reason, now(world, v).due_at) for v in versions}
    assert {code for code, _ in waits} == {"hub_paused"}
    assert max(due for _, due in waits) - min(due for _, due in waits) <= 10.0
    world.endpoint = well
    world.with_token(world.token)
    live(world, 1000)
    assert {now(world, v).stage for v in versions} == {Stage.PUBLISHED}


@pytest.mark.parametrize("on_the_way", [False, True], ids=["429", "the last request of the window"])
def test_nobody_sends_a_request_before_the_window_opens(
    make: Callable[..., World],
    sky: Weather,
    adapter: str,
    on_the_way: bool,  # noqa: FBT001 - a table
) -> None:
    """Not the other adapters, not the channels, not the index, and not the rest of a publish under way."""
    world = make(hub="{index_repo: the-index}")
    first = stage(world, adapter, 1)
    drive(world)
    versions = [stage(world, adapter, 2), stage(world, f"{adapter}-b", 3)]
    validate(world)
    sky.hub.requests.clear()
    empty = {"RateLimit": '"api";r=0;t=200', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
    sky.set(lambda _, path: Sky(429, empty) if not on_the_way or path.endswith("/tree/versions") else None)
    if on_the_way:
        world.pace.window("api", 0, 200, 1000)
    for _ in range(19):
        turn(world)
        Exports(lambda: world.host, Health("", "", 0.0, world.clock)).turn()
        world.clock.now += 10
    assert len(sky.requests) == (0 if on_the_way else 1)
    waits = [now(world, v) for v in versions]
    assert {v.reason for v in waits} == {"rate_limited"}
    assert waits[1].message == "0 of 1000 requests are left in the Hub's window"
    sky.clear()
    world.clock.now += 30
    drive(world)
    assert audit([world], adapter, [first, versions[0]]) == [1, 2]


def test_a_quota_of_commits_stops_commits_and_nothing_else(
    make: Callable[..., World], sky: Weather, adapter: str
) -> None:
    """One 429 pauses that action for all, with growing pauses; reads go on, and nothing counts as an attempt."""
    world = make()
    versions = [stage(world, f"{adapter}-{n}", n) for n in range(1, 5)]
    told = {"RateLimit": '"api";r=900;t=100'}
    sky.set(lambda method, path: Sky(429, told) if method == "POST" and "/commit/" in path else None)
    live(world, 2 * 3600)
    commits = sum("/commit/" in path for _, path in sky.requests)
    assert commits < 20
    assert {(now(world, v).reason, now(world, v).attempts) for v in versions} == {("rate_limited", 0)}
    assert any("quota of commit is used up" in now(world, v).message for v in versions)
    assert world.client.refs(f"{adapter}-1").branches
    assert world.pace.pause("tree", adapter, 1) is None
    sky.clear()
    live(world, 1000)
    assert {now(world, v).stage for v in versions} == {Stage.PUBLISHED}


def test_a_version_that_fails_by_itself_stalls_and_holds_up_nobody(
    make: Callable[..., World], sky: Weather, adapter: str
) -> None:
    """Its commit fails while the Hub is well: that counts, and in the end a person must look."""
    world = make(schedule="{attempts: 4}")
    sick = stage(world, adapter, 1)
    others = [stage(world, f"{adapter}-{n}", n) for n in (2, 3)]
    sky.set(lambda method, path: Sky(500) if method == "POST" and f"{adapter}/commit" in path else None)
    live(world, 3600)
    assert (now(world, sick).stalled, now(world, sick).reason) == (True, "attempts_exhausted")
    assert {now(world, v).stage for v in others} == {Stage.PUBLISHED}
    last = stage(world, f"{adapter}-2", 9)
    live(world, 60)
    assert now(world, last).stage is Stage.PUBLISHED


def test_a_hub_that_takes_no_commits_for_days_stalls_nobody(
    make: Callable[..., World], sky: Weather, adapter: str
) -> None:
    """Reads are answered, yet everybody's commits fail: that is the Hub's own fault."""
    world = make(schedule="{attempts: 4, backoff_max: 1h}")
    versions = [stage(world, f"{adapter}-{n}", n) for n in (1, 2)]
    sky.set(lambda method, path: Sky(500) if method == "POST" and "/commit/" in path else None)
    live(world, DAY)
    assert not any(now(world, v).stalled for v in versions)
    sky.clear()
    live(world, 3700)
    assert {now(world, v).stage for v in versions} == {Stage.PUBLISHED}


def test_what_does_not_fit_into_the_budget_waits_with_the_numbers(make: Callable[..., World], adapter: str) -> None:
    """The third first version would go over 50 requests in five minutes: it waits until the first are old."""
    world = make(hub="{budget: {requests: 50}}")
    versions = [stage(world, f"{adapter}-{n}", n) for n in range(1, 5)]
    validate(world)
    while reconcile.turn(world.host, LINE[1], world.publisher, lambda: 0.5):
        pass
    waits = [now(world, v) for v in versions if now(world, v).stage is Stage.VALIDATED]
    assert waits
    assert {v.reason for v in waits} == {"budget_spent"}
    assert "of the 50 requests that hub.budget allows in five minutes are used" in waits[0].message
    assert 0 < waits[0].due_at - world.clock.now <= 305
    drive(world)
    assert {now(world, v).stage for v in versions} == {Stage.PUBLISHED}


def run(world: World, adapter: str, losses: list[float]) -> list[AdapterVersion]:
    """Checkpoints of one run that came to rest by themselves and passed with these losses."""
    found = []
    for step, loss in enumerate(losses, 1):
        good = world.validator.result
        world.validator.result = replace(good, measurements={**good.measurements, "loss_adapter": loss})
        found.append(stage(world, adapter, 1, step=step, content=step, asked=False))
        validate(world)
    return found


@pytest.mark.parametrize(
    ("choice", "stay"), [("newest", {1, 4}), ("best", {1, 2}), ("never", {1, 2, 3, 4})], ids=["newest", "best", "never"]
)
def test_checkpoints_of_a_run_are_coalesced_while_it_is_tight(
    make: Callable[..., World], adapter: str, choice: str, stay: set[int]
) -> None:
    """Although the root asks for all: the newest or the best one goes on, what a person asked for does too."""
    world = make(hub=f"{{budget: {{coalesce: {choice}}}}}")
    versions = run(world, adapter, [2.5, 2.1, 2.3, 2.2])
    asked = stage(world, adapter, 1, step=1, content=1)
    assert asked.id == versions[0].id
    world.pace.window("api", 5, 2000, 1000)
    drive(world)
    published = {n for n, v in enumerate(versions, 1) if now(world, v).stage is Stage.PUBLISHED}
    assert published == stay
    left_out = [now(world, v) for v in versions if now(world, v).stage is Stage.SUPERSEDED]
    assert all("the Hub's budget is tight" in v.message for v in left_out)


def test_no_more_is_left_out_than_does_not_fit(make: Callable[..., World], adapter: str) -> None:
    """Once what is still due fits into the budget, it is not tight any more."""
    world = make(hub="{budget: {requests: 50}}")
    versions = run(world, adapter, [2.5, 2.1, 2.3, 2.2, 2.4])
    assert reconcile.turn(world.host, LINE[1], world.publisher, lambda: 0.5) is not None
    assert reconcile.turn(world.host, LINE[1], world.publisher, lambda: 0.5) is not None
    assert [now(world, v).stage for v in versions[:2]] == [Stage.SUPERSEDED, Stage.PUBLISHED]


def test_no_checkpoint_gives_way_to_one_that_waits_for_a_person(make: Callable[..., World], adapter: str) -> None:
    """While it is tight: the newer one stalls and may never get to the Hub, so the older one goes."""
    world = make()
    older, newer = run(world, adapter, [2.5, 2.1])
    while (claim := world.registry.claim(Stage.VALIDATED, "x", world.clock.now, 1.0, 7200.0)) is not None:
        if claim.version.id == newer.id:
            world.registry.stall(claim, reason("denied", "no"), world.clock.now)
    world.clock.now += 5
    world.pace.window("api", 5, 2000, 1000)
    drive(world)
    assert now(world, older).stage is Stage.PUBLISHED


def test_while_there_is_room_all_checkpoints_go(make: Callable[..., World], adapter: str) -> None:
    """`checkpoints: all` means all where the budget has room for them."""
    world = make()
    versions = run(world, adapter, [2.5, 2.1, 2.3])
    drive(world)
    assert [now(world, v).number for v in versions] == [1, 2, 3]


def test_finals_go_before_the_checkpoints_of_others_while_it_is_tight(make: Callable[..., World], adapter: str) -> None:
    """The order within an adapter stays; with room enough it is the order of intake."""
    world = make(hub="{budget: {requests: 50, coalesce: never}}")
    checkpoints = [stage(world, adapter, 1, step=n, content=n) for n in (1, 2, 3)]
    other = f"{adapter}-b"
    early, final = stage(world, other, 2, step=1, content=1), stage(world, other, 2, content=2)
    validate(world)
    order = []
    for _ in range(40):
        moved = reconcile.turn(world.host, LINE[1], world.publisher, lambda: 0.5)
        if moved is None:
            world.clock.now += 400
        elif moved.stage is Stage.PUBLISHED:
            order.append(moved.id)
    assert order[:2] == [early.id, final.id]
    assert order[2:] == [v.id for v in checkpoints]


def test_what_is_paused_stays_so_under_another_token(make: Callable[..., World], sky: Weather, adapter: str) -> None:
    """The window is the endpoint's: a new client knows of it."""
    world = make()
    version = stage(world, adapter, 1)
    sky.storm(429, RateLimit='"api";r=0;t=200')
    turn(world)
    world.with_token(world.token)
    count = len(sky.requests)
    world.clock.now += 5
    turn(world)
    assert len(sky.requests) == count
    assert now(world, version).reason == "rate_limited"


def test_a_person_who_mended_the_network_has_it_tried_at_once(
    make: Callable[..., World], sky: Weather, adapter: str
) -> None:
    """`retry` ends the pause of what failed; nobody waits for the rest of it."""
    world = make()
    version = stage(world, adapter, 1)
    sky.storm(503)
    live(world, 3600)
    sky.clear()
    turn(world)
    assert now(world, version).reason == "hub_paused"
    assert operate.retry(world.host, adapter, "ada", "") == [version.label]
    turn(world)
    assert now(world, version).stage is Stage.PUBLISHED
