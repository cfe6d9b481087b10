"""Roots that vanish and come back: nothing that is new is taken for old, and nothing is called deleted that is not."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.health import Health
from adapterd.lanes import Intake
from adapterd.wakeups import Wake, Watcher
from helpers.adapters import write_adapter
from steps.conftest import Site

MakeSite = Callable[..., Site]


@dataclass
class Mounts:
    """A root that is a link, so that another file system can stand in its place without a mount."""

    site: Site
    disk: Path
    bare: Path

    def mount(self, folder: Path) -> None:
        """Let this folder stand at the root's path."""
        self.site.root.unlink(missing_ok=True)
        self.site.root.symlink_to(folder)

    def unmount(self) -> None:
        """Leave the bare mount point, which lies on another device."""
        self.mount(self.bare)


@pytest.fixture
def mounts(make_site: MakeSite, tmp_path: Path) -> Iterator[Mounts]:
    """A root on a disk, watched from before the first run, and its bare mount point."""
    site = make_site(checkpoints="all")
    (tmp_path / "disk").mkdir()
    shm = Path("/dev/shm")  # noqa: S108 - another device, private folders in it
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one device here")
    bare = Path(tempfile.mkdtemp(dir=shm))
    made = Mounts(site, tmp_path / "disk", bare)
    made.mount(made.disk)
    site.turn()
    yield made
    shutil.rmtree(bare)


def run_of(disk: Path, *steps: int) -> None:
    """Checkpoints of one run."""
    for step in steps:
        write_adapter(disk / "support" / f"checkpoint-{step}", seed=step)


def test_a_disk_that_comes_back_with_new_checkpoints_alone(mounts: Mounts) -> None:
    """What was known is rotated away meanwhile; what the disk brings is new all the same, also after a restart."""
    site = mounts.site
    run_of(mounts.disk, 10)
    assert [v.step for v in site.turn()] == [10]
    mounts.unmount()
    scan = site.scan()
    assert scan.problem is not None
    assert (scan.problem.code, "mounted" in scan.problem.message) == ("root_missing", True)
    shutil.rmtree(mounts.disk / "support")
    run_of(mounts.disk, 20, 30)
    site.restart()
    mounts.mount(mounts.disk)
    assert [v.step for v in site.turn()] == [20, 30]


def test_what_waits_on_a_disk_that_is_not_there_is_not_called_deleted(mounts: Mounts) -> None:
    """It waits until the disk is back, and then goes on."""
    site = mounts.site
    run_of(mounts.disk, 10)
    (mounts.disk / "support" / "checkpoint-10" / ad.STATE).unlink()
    site.turn()
    mounts.unmount()
    assert site.scan().missed == ()
    mounts.mount(mounts.disk)
    assert site.states() == {"support/checkpoint-10": "waiting:state_file_missing"}
    assert site.scan().problem is None


def test_what_is_written_on_the_bare_mount_point_is_new(mounts: Mounts) -> None:
    """A trainer that goes on without its disk loses nothing, neither there nor once the disk is back."""
    site = mounts.site
    run_of(mounts.disk, 10)
    site.turn()
    mounts.unmount()
    site.scan()
    run_of(mounts.bare, 20)
    assert [v.step for v in site.turn()] == [20]
    shutil.rmtree(mounts.disk / "support")
    run_of(mounts.disk, 30)
    mounts.mount(mounts.disk)
    assert [v.step for v in site.turn()] == [30]


def test_a_disk_that_is_mounted_after_the_first_scan_is_baseline(make_site: MakeSite) -> None:
    """A daemon that was quicker than the mount at boot must not publish all that lies on the disk."""
    site = make_site(checkpoints="all").empty()
    run_of(site.tmp / "disk", 10)
    site.root.rename(site.tmp / "bare")
    site.root.symlink_to(site.tmp / "disk")
    assert site.rest() == []
    assert site.states() == {"support/checkpoint-10": "baseline"}


def test_a_root_without_events_is_scanned_and_its_health_says_why(site: Site) -> None:
    """On a network file system no event wakes the lane: the scan takes what is there, and the status has the reason."""
    mountinfo = site.tmp / "mountinfo"
    mountinfo.write_text(f"30 22 0:44 / {site.root} rw - nfs4 server:/train rw\n")
    health = Health("0", "publisher-a", 0.0, site.clock)
    intake = Intake(lambda: site.host, health, Watcher(Wake(), mountinfo=mountinfo))
    run_of(site.root, 10)
    intake.turn()
    assert site.states() == {"support/checkpoint-10": "settled"}
    assert health.roots[str(site.root)].events == "network file system: scan only"


def test_another_directory_that_was_here_before_keeps_its_baseline(make_site: MakeSite) -> None:
    """Two directories that take turns at one path: what is new in either is new."""
    site = make_site(checkpoints="all").empty()
    run_of(site.root, 10)
    site.turn()
    site.root.rename(site.tmp / "first")
    run_of(site.root, 20)
    assert site.turn() == []
    site.root.rename(site.tmp / "second")
    shutil.rmtree(site.tmp / "first" / "support")
    run_of(site.tmp / "first", 30)
    (site.tmp / "first").rename(site.root)
    assert [v.step for v in site.turn()] == [30]
