"""pull brings what a name means now with few requests, takes up what broke off, and stays whole without the Hub."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.naming import parse_reference
from adapterd.deploy import Brought, Layout, Shelf, VerificationError, bring, verify
from adapterd.hub.client import HubClient
from adapterd.hub.server import FaultPlan, Rule, RunningHub
from adapterd.hub.server.faults import Say, Truncate
from adapterd.ports import NotFound, Transient

if TYPE_CHECKING:
    from deploy.conftest import Repo

WEIGHTS = "adapter_model.safetensors"
Bring = Callable[..., Brought]


@pytest.fixture(params=list(Layout))
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """An empty shelf of each layout."""
    return Shelf(tmp_path / "it", request.param)


@pytest.fixture
def said() -> list[str]:
    """What was said."""
    return []


@pytest.fixture
def get(said: list[str]) -> Bring:
    """Bring a version to a shelf."""

    def do(hub: HubClient, adapter: str, shelf: Shelf, at: str = "", now: float = 1000.0) -> Brought:
        return bring(hub, parse_reference(f"{adapter}{at}"), shelf, said.append, now=now)

    return do


@pytest.mark.parametrize("at", ["", "@candidate", "@v1", "@COMMIT", "@HEAD", "@id:IDENTITY"])
def test_what_lies_there_costs_two_requests(
    repo: "Repo", get: Bring, shelf: Shelf, server: RunningHub, at: str
) -> None:
    """The refs and the standing document, whatever names the version: tag, channel, yanks are asked for each time."""
    head = repo.promote(repo.publish())
    repo.promote(1, "candidate")
    repo.standing({"schema": 1, "yanks": [{"number": 7}]})
    identity = repo.manifests[1]["identity"]["digest"]
    at = at.replace("COMMIT", repo.commits[1]).replace("HEAD", head).replace("IDENTITY", identity[:10])
    get(repo.hub, repo.adapter, shelf)
    get(repo.hub, repo.adapter, shelf, at)
    before = list(server.requests)
    assert get(repo.hub, repo.adapter, shelf, at).held.number == 1
    asked = [record.path.rpartition("/")[2] for record in list(server.requests)[len(before) :]]
    assert asked == ["refs", "standing.json"]


def test_a_tag_that_moved_is_noticed_in_spite_of_what_is_known(repo: "Repo", get: Bring, shelf: Shelf) -> None:
    """A manifest is known by its commit alone, so that another commit is read anew."""
    repo.publish()
    get(repo.hub, repo.adapter, shelf, "@v1")
    moved = repo.write("versions", "adapterd.json", b"{}")
    repo.hub.delete_tag(repo.adapter, "v1")
    repo.hub.create_tag(repo.adapter, "v1", moved)
    with pytest.raises(VerificationError):
        get(repo.hub, repo.adapter, shelf, "@v1")


def test_a_manifest_that_was_altered_here_is_not_believed(published: "Repo", get: Bring, tmp_path: Path) -> None:
    """It is read from the Hub again, and what lies there is said to be another version."""
    shelf = Shelf(tmp_path / "it", Layout.PLAIN)
    place = get(published.hub, published.adapter, shelf, "@v1").held.path
    path = place / "adapterd.json"
    path.write_bytes(path.read_bytes().replace(b'"step": 500', b'"step": 900'))
    assert shelf.known() == {}
    assert get(published.hub, published.adapter, shelf, "@v1").resolved.number == 1
    assert verify(published.hub, place)[0].problems == ()


def test_a_download_that_broke_off_goes_on(
    repo: "Repo", get: Bring, shelf: Shelf, faults: FaultPlan, server: RunningHub
) -> None:
    """The next pull asks for the rest alone, and nothing was to be seen until it was whole."""
    repo.publish()
    path = f"*/{WEIGHTS}"
    faults.use(
        [
            Rule(fault=Truncate(20_000), method="GET", path=path, count=1),
            Rule(fault=Say(503), method="GET", path=path, nth=2),
        ]
    )
    with pytest.raises(Transient):
        get(repo.hub, repo.adapter, shelf, "@v1")
    assert shelf.there() == {}
    (part,) = shelf.room.path.glob(f"part-*/{WEIGHTS}.*")
    assert part.stat().st_size == 20_000
    faults.use([])
    before = len(list(server.requests))
    assert get(repo.hub, repo.adapter, shelf, "@v1").held.altered == ""
    answers = [record.status for record in list(server.requests)[before:] if record.path.endswith(WEIGHTS)]
    assert answers == [206]
    assert not list(shelf.room.path.glob("part-*"))


@pytest.mark.parametrize("at", ["@v1", "@COMMIT", "@id:IDENTITY"])
def test_an_exact_version_that_lies_there_needs_no_hub(
    published: "Repo", away: HubClient, get: Bring, shelf: Shelf, at: str
) -> None:
    """It is verified, and the warning says that the Hub is away."""
    identity = published.manifests[1]["identity"]["digest"]
    at = at.replace("COMMIT", published.commits[1]).replace("IDENTITY", identity[:10])
    get(published.hub, published.adapter, shelf, "@v1")
    found = get(away, published.adapter, shelf, at)
    assert (found.held.number, found.offline, found.resolved.commit) == (1, True, published.commits[1])
    assert "v1 lies here verified" in found.warnings[0]


def test_a_channel_means_without_the_hub_what_it_meant_last(
    published: "Repo", away: HubClient, get: Bring, shelf: Shelf
) -> None:
    """The warning says how old that is; each channel is remembered, and a former version comes back from here."""
    get(published.hub, published.adapter, shelf, "@candidate", now=1000.0)
    get(published.hub, published.adapter, shelf, "@main", now=5000.0)
    for channel, number, age in (("main", 1, "2 h"), ("candidate", 2, "3 h")):
        found = get(away, published.adapter, shelf, f"@{channel}", now=5000.0 + 7200)
        assert (found.held.number, found.offline) == (number, True)
        assert f"{channel} meant {published.adapter}@v{number} when it was last asked, {age} ago" in found.warnings[0]
        assert not verify(None, found.held.path)[0].problems


@pytest.mark.parametrize("at", ["@v2", "@stable", "@COMMIT"])
def test_without_the_hub_nothing_takes_the_place_of_what_was_asked(
    published: "Repo", away: HubClient, get: Bring, shelf: Shelf, at: str
) -> None:
    """Another version that lies there is no answer; the pull is to be tried again."""
    get(published.hub, published.adapter, shelf, "@v1")
    with pytest.raises(Transient) as error:
        get(away, published.adapter, shelf, at.replace("COMMIT", published.commits[2]))
    assert "does not lie in" in error.value.hint


def test_without_the_hub_what_was_altered_is_no_answer(
    published: "Repo", away: HubClient, get: Bring, shelf: Shelf
) -> None:
    """It is said what was altered."""
    place = get(published.hub, published.adapter, shelf, "@v1").held.path
    (place / WEIGHTS).write_bytes(b"altered")
    with pytest.raises(Transient) as error:
        get(away, published.adapter, shelf, "@v1")
    assert f"was altered: {WEIGHTS} has 7 bytes" in error.value.hint


def test_what_the_hub_denies_is_not_taken_from_here(published: "Repo", get: Bring, shelf: Shelf) -> None:
    """A repo that is gone, or hidden, is another thing than a Hub that is away."""
    get(published.hub, published.adapter, shelf, "@v1")
    with pytest.raises(NotFound):
        get(published.hub, "acme/nothing", shelf, "@v1")


def test_no_reader_ever_sees_half_a_version(published: "Repo", get: Bring, tmp_path: Path) -> None:
    """While two versions come, are linked, and go, each that is to be seen is whole, and the link names a whole one."""
    shelf = Shelf(tmp_path / "it", Layout.VLLM)
    with_link = shelf.directory / "support" / "adapterd.json"
    wrong: list[str] = []
    over = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not over.is_set():
            for name in [path.name for path in shelf.directory.glob("acme*")]:
                held = shelf.there().get(name)
                gone = held is None or not held.path.exists()
                if held is not None and (problem := held.altered) and not gone and held.path.exists():
                    wrong.append(problem)
            if (shelf.directory / "support").is_symlink():
                seen.add(with_link.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(12):
        held = get(published.hub, published.adapter, shelf, f"@v{1 + turn % 2}").held
        shelf.link("support", held.serving_name)
    over.set()
    reader.join()
    assert wrong == []
    assert len(seen) == 2


def test_a_plain_directory_is_never_missing(published: "Repo", get: Bring, tmp_path: Path) -> None:
    """While two versions change places in it, whoever opens a file of it finds one of the two."""
    shelf = Shelf(tmp_path / "it", Layout.PLAIN)
    get(published.hub, published.adapter, shelf, "@v1")
    over = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not over.is_set():
            seen.add((shelf.directory / WEIGHTS).read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(30):
        get(published.hub, published.adapter, shelf, f"@v{1 + turn % 2}")
    over.set()
    reader.join()
    assert seen == {published.payloads[number][WEIGHTS] for number in (1, 2)}
