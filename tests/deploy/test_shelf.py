"""A shelf holds versions of many adapters side by side: each whole or not there, under names that move in one step."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, OccupiedError, Resolved, Shelf, VerificationError, resolve
from adapterd.deploy.faults import AlteredError, ForeignPlaceError
from adapterd.hub.server import RunningHub
from adapterd.ports import NotFound

if TYPE_CHECKING:
    from deploy.conftest import Repo

NIM_FILES = {"adapter_config.json", "adapter_model.safetensors"}


@pytest.fixture
def said() -> list[str]:
    """What puts said."""
    return []


@pytest.fixture
def versions(published: "Repo") -> dict[int, Resolved]:
    """v1 and v2 of one adapter."""
    return {n: resolve(published.hub, parse_reference(f"{published.adapter}@v{n}")) for n in (1, 2)}


@pytest.fixture(params=list(Layout))
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """An empty shelf of each layout."""
    return Shelf(tmp_path / "adapters", request.param)


@pytest.fixture
def vllm(tmp_path: Path) -> Shelf:
    """An empty shelf as vLLM reads it."""
    return Shelf(tmp_path / "adapters", Layout.VLLM)


@pytest.fixture
def plain(tmp_path: Path) -> Shelf:
    """A directory that is to hold one version."""
    return Shelf(tmp_path / "adapters", Layout.PLAIN)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_version_lies_there_with_what_its_manifest_says(
    published: "Repo", versions: dict[int, Resolved], shelf: Shelf, said: list[str]
) -> None:
    """Whatever the layout, name, number, commit and place are told, the bytes are those, and a reader may read them."""
    place = shelf.put(published.hub, versions[1], said.append)
    held = shelf.there()[versions[1].serving_name]
    assert (held.adapter, held.number, held.commit) == (published.adapter, 1, published.commits[1])
    assert held.path == place
    assert held.altered == ""
    assert held.manifest == versions[1].manifest
    mask = os.umask(0)
    os.umask(mask)
    modes = {p.stat().st_mode & 0o777 for p in place.rglob("*") if p.is_file()}
    assert modes == {0o666 & ~mask}
    assert place.stat().st_mode & 0o777 == 0o777 & ~mask


def test_vllm_finds_the_configuration_under_the_serving_name(
    published: "Repo", versions: dict[int, Resolved], vllm: Shelf, said: list[str]
) -> None:
    """Each version has a folder of its own, whole with its manifest, and nothing else is to be seen."""
    for version in versions.values():
        vllm.put(published.hub, version, said.append)
    seen = {p.name for p in vllm.directory.iterdir() if not p.name.startswith(".")}
    assert seen == {version.serving_name for version in versions.values()}
    for number, version in versions.items():
        wanted = {**published.payloads[number], "adapterd.json": version.manifest}
        assert files(vllm.directory / version.serving_name) == wanted


def test_nim_finds_configuration_and_weights_alone(
    published: "Repo", versions: dict[int, Resolved], tmp_path: Path, said: list[str]
) -> None:
    """No manifest, no template, no link lies where NIM looks; the manifest is kept aside."""
    nim = Shelf(tmp_path / "adapters", Layout.NIM)
    place = nim.put(published.hub, versions[1], said.append)
    assert files(place).keys() == NIM_FILES
    with pytest.raises(OccupiedError, match="no links"):
        nim.link("support", versions[1].serving_name)


def test_nim_needs_safetensors(repo: "Repo", tmp_path: Path, said: list[str]) -> None:
    """A version without them is refused before anything is downloaded."""
    repo.publish(change=lambda m: m["files"].pop("adapter_model.safetensors"))
    version = resolve(repo.hub, parse_reference(f"{repo.adapter}@v1"))
    with pytest.raises(VerificationError, match="layout nim needs"):
        Shelf(tmp_path / "adapters", Layout.NIM).put(repo.hub, version, said.append)
    assert not (tmp_path / "adapters").exists()


def test_what_lies_there_is_not_downloaded_again(
    published: "Repo", versions: dict[int, Resolved], shelf: Shelf, said: list[str], server: RunningHub
) -> None:
    """A second put sends no request; so it is after the hidden folder was lost."""
    place = shelf.put(published.hub, versions[1], said.append)
    before = len(server.requests)
    assert shelf.put(published.hub, versions[1], said.append) == place
    shelf.room.path.rename(shelf.room.path.with_name(".lost"))
    assert shelf.put(published.hub, versions[1], said.append) == place
    assert len(server.requests) == before
    assert said[-1].endswith("already there; nothing to download")
    assert shelf.there()[versions[1].serving_name].commit == published.commits[1]


def test_an_altered_version_is_replaced_only_by_force(
    published: "Repo", versions: dict[int, Resolved], shelf: Shelf, said: list[str]
) -> None:
    """One bit that turned is told, and with force the version lies there whole again."""
    place = shelf.put(published.hub, versions[1], said.append)
    weights = place / "adapter_model.safetensors"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    assert "sha256" in shelf.there()[versions[1].serving_name].altered
    with pytest.raises(AlteredError):
        shelf.put(published.hub, versions[1], said.append)
    shelf.put(published.hub, versions[1], said.append, force=True)
    assert shelf.there()[versions[1].serving_name].altered == ""


def test_what_was_never_pulled_is_never_replaced(
    published: "Repo", versions: dict[int, Resolved], shelf: Shelf, said: list[str]
) -> None:
    """A person's folder in the place of a version stays, with force too."""
    place = shelf.directory if shelf.layout is Layout.PLAIN else shelf.directory / versions[1].serving_name
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(ForeignPlaceError, match="was never pulled"):
        shelf.put(published.hub, versions[1], said.append, force=True)
    assert (place / "thesis.txt").read_text() == "years of work"


def test_a_link_moves_to_another_version(
    published: "Repo", versions: dict[int, Resolved], vllm: Shelf, said: list[str]
) -> None:
    """It is relative, so that it holds wherever the directory is mounted, and it never names what is not there."""
    for version in versions.values():
        vllm.put(published.hub, version, said.append)
        vllm.link("support", version.serving_name)
        assert str((vllm.directory / "support").readlink()) == version.serving_name
    assert vllm.links() == {"support": versions[2].serving_name}
    with pytest.raises(NotFound):
        vllm.link("support", "acme-other@v1-0000000")
    with pytest.raises(OccupiedError, match="no link"):
        vllm.link(versions[1].serving_name, versions[2].serving_name)
    with pytest.raises(VerificationError):
        vllm.link("../support", versions[2].serving_name)


def test_what_a_link_names_is_not_removed(
    published: "Repo", versions: dict[int, Resolved], vllm: Shelf, said: list[str]
) -> None:
    """Another version goes whole, and removing it again does nothing."""
    for version in versions.values():
        vllm.put(published.hub, version, said.append)
    vllm.link("support", versions[1].serving_name)
    with pytest.raises(OccupiedError, match="support"):
        vllm.remove(versions[1].serving_name)
    for _ in range(2):
        vllm.remove(versions[2].serving_name)
    assert vllm.there().keys() == {versions[1].serving_name}


@pytest.mark.parametrize(("keep", "left"), [(0, {1, 4}), (1, {1, 3, 4}), (9, {1, 2, 3, 4})])
def test_the_newest_former_ones_are_kept(repo: "Repo", vllm: Shelf, said: list[str], keep: int, left: set[int]) -> None:
    """What is linked or in use stays and is not counted; of the others the oldest go."""
    found = {}
    for _ in range(4):
        number = repo.publish()
        found[number] = resolve(repo.hub, parse_reference(f"{repo.adapter}@v{number}"))
        vllm.put(repo.hub, found[number], said.append)
    vllm.link("support", found[1].serving_name)
    removed = vllm.tidy(keep, but=[found[4].serving_name])
    assert {held.number for held in vllm.there().values()} == left
    assert {*removed} == {found[n].serving_name for n in {1, 2, 3, 4} - left}


def test_a_plain_directory_goes_back_without_a_download(
    published: "Repo", versions: dict[int, Resolved], plain: Shelf, said: list[str], server: RunningHub
) -> None:
    """The former version waits beside it, hidden and verified, and comes back in one exchange."""
    for number in (1, 2):
        plain.put(published.hub, versions[number], said.append)
    assert files(plain.directory)["adapterd.json"] == versions[2].manifest
    assert plain.there().keys() == {version.serving_name for version in versions.values()}
    before = len(server.requests)
    plain.put(published.hub, versions[1], said.append)
    assert len(server.requests) == before
    assert files(plain.directory) == {**published.payloads[1], "adapterd.json": versions[1].manifest}
    assert plain.tidy(0) == (versions[2].serving_name,)
    assert plain.there().keys() == {versions[1].serving_name}


def test_a_former_version_that_was_altered_is_downloaded(
    published: "Repo", versions: dict[int, Resolved], plain: Shelf, said: list[str]
) -> None:
    """It is compared before it comes back."""
    for number in (1, 2):
        plain.put(published.hub, versions[number], said.append)
    (plain.there()[versions[1].serving_name].path / "adapter_model.safetensors").write_bytes(b"altered")
    plain.put(published.hub, versions[1], said.append)
    assert plain.there()[versions[1].serving_name].altered == ""


def test_a_switch_that_broke_off_half_way_is_ended(
    published: "Repo", versions: dict[int, Resolved], plain: Shelf, said: list[str], server: RunningHub
) -> None:
    """Killed after the exchange, the former version lies under another name; it is found by its manifest."""
    for number in (1, 2):
        plain.put(published.hub, versions[number], said.append)
    former = plain.room.path / versions[1].serving_name
    former.rename(plain.room.path / versions[2].serving_name)
    before = len(server.requests)
    plain.put(published.hub, versions[1], said.append)
    assert len(server.requests) == before
    assert plain.there().keys() == {version.serving_name for version in versions.values()}


def test_another_adapter_takes_a_plain_directory_only_by_force(
    published: "Repo", repo: "Repo", plain: Shelf, said: list[str]
) -> None:
    """Two adapters that were given one directory by mistake do not push each other out."""
    repo.publish()
    here, other = (resolve(r.hub, parse_reference(f"{r.adapter}@v1")) for r in (published, repo))
    plain.put(published.hub, here, said.append)
    with pytest.raises(OccupiedError, match="another version"):
        plain.put(repo.hub, other, said.append)
    plain.put(repo.hub, other, said.append, force=True)
    assert files(plain.directory)["adapterd.json"] == other.manifest


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "x" * 201, "a\nb"])
def test_a_serving_name_that_is_no_folder_is_refused(
    repo: "Repo", vllm: Shelf, said: list[str], name: str, tmp_path: Path
) -> None:
    """Whatever a manifest says, nothing is written outside the directory or where engines do not look."""
    repo.publish(change=lambda m: m.update(serving_name=name))
    with pytest.raises(VerificationError, match="name of a folder"):
        vllm.put(repo.hub, resolve(repo.hub, parse_reference(f"{repo.adapter}@v1")), said.append)
    assert list(tmp_path.iterdir()) == []
