"""The mirror: what channels hold lies as plain folders on a mount, whole, and without being asked for."""

import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.core.publication import MANIFEST
from adapterd.health import Health
from adapterd.mirroring import FORMER, PROBLEM, Mirror
from adapterd.ports import Denied, Hub
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive

WEIGHTS = "adapter_model.safetensors"


class Site:
    """A publisher with a mirror, and what it says of itself."""

    def __init__(self, world: World) -> None:
        """Name the folder, and make it."""
        self.folder = world.tmp / "mnt"
        self.folder.mkdir()
        world.extra["mirror"] = str(self.folder)
        world.reopen()
        self.world = world
        self.health = Health("1", "publisher", 0.0, time.monotonic)
        self.mirror = Mirror(lambda: world.host, self.health)

    def publish(self, adapter: str, seed: int) -> None:
        """Train, validate, publish, promote, mirror."""
        stage(self.world, adapter, seed)
        drive(self.world)
        self.mirror.turn()


@pytest.fixture
def site(make_world: Callable[..., World]) -> Site:
    """One publisher with a mirror."""
    return Site(make_world())


def unreachable() -> Hub:
    """Fail whoever asks for the Hub."""
    raise Denied("nobody may ask the Hub here", "nothing")


def test_a_channel_is_a_link_to_a_whole_version(site: Site, adapter: str) -> None:
    """Payload and manifest lie there for every reader, under the version's tag, and the channel names it."""
    site.publish(adapter, 1)
    link = site.folder / adapter / "main"
    assert str(link.readlink()) == "v1"
    version = site.world.registry.find(adapter, number=1)
    assert version is not None
    snapshot = site.world.host.spool.payload(adapter, version.tree)
    assert (link / WEIGHTS).read_bytes() == (snapshot / WEIGHTS).read_bytes()
    assert {path.name for path in link.iterdir()} == {WEIGHTS, "adapter_config.json", MANIFEST}
    for path in (link.parent, *link.resolve().rglob("*"), link.resolve()):
        wanted = 0o055 if path.is_dir() else 0o044
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted
    assert PROBLEM not in site.health.problems


def test_it_follows_and_keeps_some_former_versions(site: Site, adapter: str) -> None:
    """The link moves in one step, the newest former versions stay for those who still read them, the others go."""
    for seed in range(1, FORMER + 4):
        site.publish(adapter, seed)
    newest = FORMER + 3
    assert str((site.folder / adapter / "main").readlink()) == f"v{newest}"
    laid = {path.name for path in (site.folder / adapter).iterdir()}
    assert laid == {"main", *(f"v{number}" for number in range(newest - FORMER, newest + 1))}


def test_at_rest_the_hub_is_asked_nothing(site: Site, adapter: str) -> None:
    """What lies there already is told from the folder alone."""
    site.publish(adapter, 1)
    site.world.wrap_hub = lambda _: unreachable()
    site.mirror.turn()
    assert PROBLEM not in site.health.problems


@pytest.mark.parametrize("spoiled", [False, True])
def test_without_its_snapshot_a_version_comes_from_the_hub(
    site: Site,
    adapter: str,
    spoiled: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """Where the spool has let go of it, or holds other bytes, it is downloaded, and verified as every pull is."""
    stage(site.world, adapter, 1)
    drive(site.world)
    version = site.world.registry.find(adapter, number=1)
    assert version is not None
    payload = site.world.host.spool.payload(adapter, version.tree)
    wanted = (payload / WEIGHTS).read_bytes()
    if spoiled:
        (payload / WEIGHTS).chmod(0o600)
        (payload / WEIGHTS).write_bytes(bytes(len(wanted)))
    else:
        site.world.host.spool.discard(adapter, version.tree)
    site.mirror.turn()
    assert (site.folder / adapter / "main" / WEIGHTS).read_bytes() == wanted


def test_a_mount_that_is_away_is_a_problem_until_it_is_back(site: Site, adapter: str) -> None:
    """Nothing is written in its place, publishing goes on, and what is missing is laid when it is back."""
    site.folder.rmdir()
    site.publish(adapter, 1)
    message, hint = site.health.problems[PROBLEM]
    assert message == f"the mirror is behind: {site.folder} is not there"
    assert hint.startswith("mount it")
    assert not site.folder.exists()
    site.folder.mkdir()
    site.mirror.turn()
    assert (site.folder / adapter / "main" / WEIGHTS).is_file()
    assert PROBLEM not in site.health.problems


@pytest.mark.parametrize("name", ["main", "v1"])
def test_what_it_did_not_make_is_left_alone(site: Site, adapter: str, name: str) -> None:
    """A folder of somebody else's under the name of a channel or a version stays, and is a problem."""
    theirs = site.folder / adapter / name
    theirs.mkdir(parents=True)
    (theirs / "notes.txt").write_text("mine")
    site.publish(adapter, 1)
    assert (theirs / "notes.txt").read_text() == "mine"
    assert name in site.health.problems[PROBLEM][0]


def test_a_channel_that_is_gone_loses_its_link(site: Site, adapter: str, tmp_path: Path) -> None:
    """A link of ours to a version goes with its channel; another's link stays."""
    site.publish(adapter, 1)
    home = site.folder / adapter
    (home / "gone").symlink_to("v1")
    (home / "theirs").symlink_to(tmp_path)
    site.mirror.turn()
    assert {path.name for path in home.iterdir()} == {"main", "theirs", "v1"}


def test_without_a_mirror_the_lane_rests(world: World) -> None:
    """Nobody asked for one: it looks at nothing."""
    mirror = Mirror(lambda: world.host, Health("1", "publisher", 0.0, time.monotonic))
    assert mirror.turn() == 3600.0
