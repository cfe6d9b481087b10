"""What a history says about patience and deaths, and how long a version waits for a device."""

from itertools import pairwise

import pytest

from adapterd.ports import Event
from adapterd.steps.mishaps import LONGEST, Past, pause, since_it_moved


def busy(at: float, since: float, count: int = 1) -> Event:
    """A line about waiting for a device."""
    return Event(at, "waiting", {"reason": "device_busy", "since": since, "count": count, "until": at + 60})


def died(at: float) -> Event:
    """A line about waiting for a fresh worker."""
    return Event(at, "waiting", {"reason": "worker_restarted", "since": at, "count": 1})


STAGED, RETRIED, NOTE = Event(0, "staged", {}), Event(300, "retried", {"actor": "me"}), Event(150, "worker_died", {})


@pytest.mark.parametrize(
    ("events", "past"),
    [
        ([], Past()),
        ([STAGED], Past()),
        ([STAGED, busy(190, 100, 4)], Past(900, 4)),
        ([STAGED, busy(120, 100, 2), NOTE, died(151), busy(190, 160, 3)], Past(900, 5, died=True)),
        ([STAGED, busy(120, 100), RETRIED], Past()),
        ([STAGED, busy(120, 100), died(130), RETRIED, busy(400, 350)], Past(650, 1)),
        ([STAGED, Event(120, "waiting", {"reason": "conflict"})], Past()),
        ([STAGED, busy(2000, 1900)], Past(0, 1)),  # the clock went back since
    ],
)
def test_patience_begins_when_the_version_last_moved(events: list[Event], past: Past) -> None:
    """It is read from what the registry holds, so that a restart costs none of it."""
    assert since_it_moved(events, 1000.0) == past


def test_the_pause_grows_up_to_some_minutes() -> None:
    """From a quarter of a minute on; a GPU that trains for days is not asked every few seconds."""
    pauses = [pause(Past(0, asked), 7, 0.0) for asked in range(12)]
    assert 15 <= pauses[0] <= 30
    assert all(later >= sooner for sooner, later in pairwise(pauses))
    assert LONGEST / 2 <= pauses[-1] <= LONGEST


def test_versions_that_wait_do_not_ask_all_at_once() -> None:
    """Each has its own pause, and always the same one."""
    pauses = {pause(Past(0, 5), version, 0.0) for version in range(50)}
    assert len(pauses) == 50
    assert pause(Past(0, 5), 3, 0.0) in pauses


def test_the_turn_of_the_next_device_is_not_slept_through() -> None:
    """A version that may use the CPU in ten seconds asks in ten seconds, and never spins."""
    assert pause(Past(890, 9), 1, 900.0) == 10.0
    assert pause(Past(899.9999, 9), 1, 900.0) == 1.0
    assert pause(Past(1790, 9), 1, 900.0) == 10.0
