"""Lanes rest between turns, the watcher keeps what it has, and only a lane that hangs counts as dead."""

import threading
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from adapterd.compose import Once, SetupError, opened, pace_of
from adapterd.config import Config, parse
from adapterd.health import COPY_SECONDS, Health, LaneHealth
from adapterd.hub.client import HubClient
from adapterd.lanes import Lane
from adapterd.wakeups import Wake, Watcher
from helpers.hosts import Clock


def _observers() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if isinstance(thread, BaseObserver)}


def test_a_root_that_gives_no_events_does_not_cost_the_others_their_watches(tmp_path: Path) -> None:
    """While one root is not there, each turn finds the observer as it is; when it comes, it is watched too."""
    (tmp_path / "here").mkdir()
    paths = [tmp_path / "here", tmp_path / "later"]
    watcher = Watcher(Wake())
    try:
        watcher.watch(paths)
        first = _observers()
        watcher.watch(paths)
        assert _observers() == first
        assert watcher.state(str(paths[0])) == "on"
        assert watcher.state(str(paths[1])) == "root is not there"
        paths[1].mkdir()
        watcher.watch(paths)
        assert watcher.state(str(paths[1])) == "on"
    finally:
        watcher.close()


def test_a_lane_rests_after_a_turn_however_often_it_is_woken() -> None:
    """A job that writes without a pause does not make the scan run without one."""
    wake, rested, turns = Wake(), threading.Event(), []

    def turn() -> float:
        turns.append(1)
        wake.set()
        return 0.0

    def rest() -> float:
        rested.set()
        return 3600.0

    lane = Lane("intake", turn, wake, Health("", "", 0.0, Clock()), rest)
    lane.start()
    assert rested.wait(10)
    lane.stop()
    lane.join(10)
    assert not lane.is_alive()
    assert turns == [1]


def test_a_long_copy_is_no_death_and_a_hang_is() -> None:
    """While one directory is copied the lane counts as alive for an hour; one that stands still does not."""
    clock = Clock()
    health = Health("", "", 0.0, clock, stale_after=180.0)
    assert not health.alive()
    lane = health.lanes["intake"] = LaneHealth(last_turn=clock.now)
    clock.now += 181
    assert not health.alive()
    lane.busy_with, lane.busy_since = "/train/large", clock.now
    clock.now += COPY_SECONDS - 1
    assert health.alive()
    clock.now += 1
    assert not health.alive()


def test_a_token_that_came_later_is_found_without_a_restart() -> None:
    """While there is none, the client is made anew; one with a token is kept."""
    tokens = [None, "hf_" + "t" * 34, "hf_" + "u" * 34]
    made: list[HubClient] = []

    def make() -> HubClient:
        token = tokens[len(made)]
        made.append(HubClient("http://127.0.0.1:9", token, xet=False, ca_file=None, proxy=None, deadline=1.0))
        return made[-1]

    hub = Once(make)
    try:
        assert [hub().signed_in for _ in range(3)] == [False, True, True]
        assert hub() is made[1]
    finally:
        for client in made:
            client.close()


def test_what_is_known_of_an_endpoint_outlives_a_reload(tmp_path: Path) -> None:
    """The requests that were sent count on under a new budget; another endpoint begins anew."""

    def config(port: int, requests: int) -> Config:
        hub = f"{{namespace: acme, endpoint: 'http://127.0.0.1:{port}', budget: {{requests: {requests}}}}}"
        return parse(f"{{hub: {hub}, roots: [{{path: /train}}], state_dir: {tmp_path}}}", "test.yaml")

    with opened(config(9, 600)) as host:
        for _ in range(10):
            host.pace.sending()
        assert pace_of(config(9, 100), host) is host.pace
        assert host.pace.document()["requests"] == {"left": 90, "limit": 100}
        assert pace_of(config(10, 100), host).document()["requests"] == {"left": 100, "limit": 100}


def test_a_spool_that_lies_in_a_root_through_a_link_is_refused(tmp_path: Path) -> None:
    """Snapshots would be found as adapters, and be copied in their turn."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "train").symlink_to(tmp_path / "disk")
    text = f"{{hub: {{namespace: acme}}, roots: [{{path: {tmp_path}/train}}], state_dir: {tmp_path}/disk/state}}"
    with pytest.raises(SetupError, match="through a link"), opened(parse(text, "test.yaml")):
        pass
    assert not (tmp_path / "disk" / "state").exists()
