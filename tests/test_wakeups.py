"""Wake-ups are hints: events and calendar triggers set a flag, and what is doubtful is said."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapterd.wakeups import Calendar, Wake, Watcher, is_network

PATIENCE = 20.0


@pytest.fixture
def wake() -> Wake:
    """A lane's flag."""
    return Wake()


@pytest.fixture
def watcher(wake: Wake) -> Iterator[Watcher]:
    """A watcher that is closed at the end."""
    made = Watcher(wake)
    yield made
    made.close()


def test_a_file_that_a_trainer_closes_wakes_the_lane(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """A write below the root is seen at any depth, also in a folder that is made later."""
    watcher.watch([tmp_path])
    assert watcher.state(str(tmp_path)) == "on"
    wake.wait(0)
    (tmp_path / "run").mkdir()
    assert wake.wait(PATIENCE)
    (tmp_path / "run" / "adapter_config.json").write_text("{}")
    assert wake.wait(PATIENCE)


def test_a_root_that_is_not_there_is_watched_once_it_is(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """Until then `status` says why no events come; asking again is enough."""
    root = tmp_path / "later"
    watcher.watch([root])
    assert watcher.state(str(root)) == "root is not there"
    root.mkdir()
    watcher.watch([root])
    assert watcher.state(str(root)) == "on"
    wake.wait(0)
    (root / "run").mkdir()
    assert wake.wait(PATIENCE)


def test_a_root_that_was_replaced_is_watched_anew(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """The old watch is on a directory that is gone; forgetting the root brings events back."""
    root = tmp_path / "root"
    root.mkdir()
    watcher.watch([root])
    root.rename(tmp_path / "old")
    root.mkdir()
    watcher.forget(str(root))
    watcher.watch([root])
    wake.wait(0)
    (root / "run").mkdir()
    assert wake.wait(PATIENCE)


def test_what_watchdog_doubts_wakes_the_lane(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """An overflow shows only as a log record; the answer is to look."""
    watcher.watch([tmp_path])
    wake.wait(0)
    logging.getLogger("watchdog.observers").warning("queue overflow")
    assert wake.wait(PATIENCE)


def test_waking_twice_wakes_once(wake: Wake) -> None:
    """A flag, no queue."""
    wake.set()
    wake.set()
    assert wake.wait(0)
    assert not wake.wait(0)


MOUNTS = """\
22 1 0:20 / / rw,relatime - ext4 /dev/vda rw
30 22 0:44 / /train rw - nfs4 server:/train rw
31 22 0:45 / /home/alice/remote\\040disk rw - fuse.sshfs host:/ rw
32 30 0:46 / /train/local rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/train", True),
        ("/train/run-1", True),
        ("/train/local/run-1", False),
        ("/training", False),
        ("/home/alice/remote disk/x", True),
        ("/home/alice", False),
    ],
)
def test_network_file_systems_are_found_by_the_longest_mount_point(tmp_path: Path, path: str, network: bool) -> None:  # noqa: FBT001 - a table
    """They give no events for what other hosts write, so that only the scan finds it."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(MOUNTS)
    assert is_network(Path(path), mountinfo) is network


def test_without_mountinfo_nothing_is_taken_for_a_network(tmp_path: Path) -> None:
    """Not being able to tell is no reason to wait longer."""
    assert is_network(tmp_path, tmp_path / "none") is False


def test_a_calendar_trigger_only_calls_what_sets_a_flag() -> None:
    """The trigger's next time follows the crontab, and its job is the flag."""
    calendar, called = Calendar(), threading.Event()
    calendar.start()
    try:
        calendar.at("*/15 * * * *", called.set, "reconcile")
        calendar.at("0 4 * * mon", called.set, "reconcile")
        (job,) = calendar.jobs()
        assert job.trigger.get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
            2026, 1, 5, 4, tzinfo=UTC
        )
        job.modify(next_run_time=datetime.now(UTC))
        assert called.wait(PATIENCE)
    finally:
        calendar.close()
