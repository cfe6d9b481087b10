"""Wake-ups are hints: events and calendar triggers set a flag, and what is doubtful is said."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapterd.wakeups import Calendar, Wake, Watcher, is_network, watches

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
    """The old watch is on a directory that is gone: another inode at the path brings events back."""
    root = tmp_path / "root"
    root.mkdir()
    watcher.watch([root])
    root.rename(tmp_path / "old")
    root.mkdir()
    watcher.watch([root])
    wake.wait(0)
    (root / "run").mkdir()
    assert wake.wait(PATIENCE)


def test_an_observer_that_died_is_told_and_made_anew(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """Whichever of its threads it was; until the next look the scan is alone."""
    before = set(threading.enumerate())
    for name in ("InotifyObserver", "InotifyEmitter", "InotifyFD"):
        watcher.watch([tmp_path])
        assert watcher.state(str(tmp_path)) == "on"
        made = [t for t in threading.enumerate() if type(t).__name__ == name and t not in before]
        assert made, name
        for thread in made:
            thread.stop()  # type: ignore[attr-defined]  # watchdog's own
            thread.join(PATIENCE)
        assert watcher.state(str(tmp_path)) == "the observer died: scan only"
    watcher.watch([tmp_path])
    assert watcher.state(str(tmp_path)) == "on"
    wake.wait(0)
    (tmp_path / "run").mkdir()
    assert wake.wait(PATIENCE)


def test_a_network_file_system_is_left_to_the_scan(tmp_path: Path, wake: Wake) -> None:
    """No watch is set on it, and the state says why; a root beside it has its events."""
    (tmp_path / "nfs").mkdir()
    (tmp_path / "local").mkdir()
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"{MOUNTS}33 22 0:47 / {tmp_path}/nfs rw - nfs4 server:/x rw\n")
    watcher, already = Watcher(wake, mountinfo=mountinfo), watches()
    watcher.watch([tmp_path / "nfs", tmp_path / "local"])
    assert watcher.state(f"{tmp_path}/nfs") == "network file system: scan only"
    assert watcher.state(f"{tmp_path}/local") == "on"
    assert watches() == already + 1
    watcher.close()


def test_what_watchdog_doubts_wakes_the_lane(tmp_path: Path, wake: Wake, watcher: Watcher) -> None:
    """Trouble shows only as a log record; the answer is to look."""
    watcher.watch([tmp_path])
    wake.wait(0)
    logging.getLogger("watchdog.observers").warning("something odd")
    assert wake.wait(PATIENCE)
    assert watcher.state(str(tmp_path)) == "on"


LIMITED = """
import sys
from pathlib import Path
from adapterd.wakeups import Wake, Watcher
limit, number, root = Path("/proc/sys/user") / sys.argv[1], sys.argv[2], Path(sys.argv[3])
now, before = [0.0], limit.read_text()
limit.write_text(number)
watcher = Watcher(Wake(), lambda: now[0])
for seconds in (0.0, 2.0):
    now[0] += seconds
    watcher.watch([root])
print(watcher.state(str(root)))
limit.write_text(before)
for seconds in (10.0, 1000.0):
    now[0] += seconds
    watcher.watch([root])
    print(watcher.state(str(root)))
watcher.close()
"""


@pytest.mark.parametrize(
    ("limit", "number", "said"),
    [
        ("max_inotify_watches", "4", "3 of 7 folders give no events: the scan finds them"),
        ("max_inotify_watches", "0", "no events, [Errno 28] inotify watch limit reached: scan only"),
        ("max_inotify_instances", "0", "no events, [Errno 24] inotify instance limit reached: scan only"),
    ],
)
def test_a_limit_of_inotify_leaves_the_rest_to_the_scan(tmp_path: Path, limit: str, number: str, said: str) -> None:
    """The kernel's own, in a user namespace: the state says what is blind, and after some time all is tried anew."""
    if subprocess.run(["unshare", "-Ur", "test", "-w", f"/proc/sys/user/{limit}"], check=False).returncode:
        pytest.skip("no user namespace with limits of its own here")
    for n in range(6):
        (tmp_path / f"run-{n}").mkdir()
    command = ["unshare", "-Ur", sys.executable, "-c", LIMITED, limit, number, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if "events_" not in line] == [said, said, "on"]


def test_an_overflow_of_the_kernels_queue_is_told(tmp_path: Path) -> None:
    """A process that was stopped while more happened than the queue holds: it wakes, and says so."""
    script = (
        "import sys; from pathlib import Path; from adapterd.wakeups import Wake, Watcher\n"
        "wake, root = Wake(), Path(sys.argv[1]); watcher = Watcher(wake); watcher.watch([root]); wake.wait(0)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "while 'overflowed' not in watcher.state(str(root)): wake.wait(0.2)\n"
        "print(watcher.state(str(root)).partition(';')[0]); watcher.watch([root]); watcher.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            child.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            first, second = tmp_path / "a", tmp_path / "b"
            first.touch()
            # Four events each time; twice as many as the queue holds, since some may have been read before.
            for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2):
                first.rename(second)
                second.rename(first)
            child.send_signal(signal.SIGCONT)
            said, _ = child.communicate("\n", timeout=PATIENCE)
        finally:
            child.kill()  # a child that never sees it would be waited for without end
    assert said.splitlines()[-1] == "on"


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
