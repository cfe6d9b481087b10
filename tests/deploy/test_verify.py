"""verify: what lies in a directory is what was published, or it is said how it differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from adapterd.cli.exits import code_of
from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, Shelf, resolve, verify
from adapterd.ports import NotFound, Transient

if TYPE_CHECKING:
    from deploy.conftest import Repo

WEIGHTS = "adapter_model.safetensors"
Type = Callable[..., Result]


def put(repo: "Repo", directory: Path, layout: Layout = Layout.PLAIN, *numbers: int) -> Shelf:
    """Pull versions."""
    shelf = Shelf(directory, layout)
    for number in numbers or (1,):
        shelf.put(repo.hub, resolve(repo.hub, parse_reference(f"{repo.adapter}@v{number}")), lambda _: None)
    return shelf


@pytest.mark.parametrize("layout", list(Layout))
def test_what_was_pulled_is_whole(published: "Repo", tmp_path: Path, layout: Layout) -> None:
    """In every layout, with and without the Hub, from the directory and from one version's folder."""
    numbers = (1,) if layout is Layout.PLAIN else (1, 2)
    shelf = put(published, tmp_path / "it", layout, *numbers)
    for hub in (published.hub, None):
        found = verify(hub, shelf.directory)
        assert [each.held.number for each in found if each.held] == list(numbers)
        assert not any((*each.problems, *each.warnings) for each in found)
    (one,) = verify(published.hub, shelf.there()[published.manifests[1]["serving_name"]].path)
    assert not one.problems


def flip(path: Path) -> None:
    """Turn one bit."""
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder, _: flip(folder / WEIGHTS), "adapter_model.safetensors has the sha256"),
        (lambda folder, _: (folder / WEIGHTS).write_bytes(b"cut"), "adapter_model.safetensors has 3 bytes"),
        (lambda folder, _: (folder / WEIGHTS).unlink(), "adapter_model.safetensors cannot be read"),
        (lambda folder, _: (folder / "adapter_model.bin").touch(), "adapter_model.bin does not belong to it"),
        (lambda folder, _: (folder / "modeling.py").touch(), "modeling.py does not belong to it"),
        (
            lambda folder, other: (folder / "adapterd.json").write_bytes(other),
            "adapter_model.safetensors has the sha256",
        ),
        (lambda folder, _: (folder / "adapterd.json").write_bytes(b"{"), "is not JSON"),
    ],
)
def test_each_damage_is_named(
    published: "Repo", here: Type, tmp_path: Path, damage: Callable[[Path, bytes], object], said: str
) -> None:
    """A bit, a byte, a file too few or too many, another version's manifest: exit 3, and the file is named."""
    folder = put(published, tmp_path / "it").directory
    other = resolve(published.hub, parse_reference(f"{published.adapter}@v2")).manifest
    damage(folder, other)
    for more in ((), ("--offline",)):
        done = here("verify", folder, *more)
        assert done.exit_code == 3, done.output
        assert said in done.stdout


def test_a_manifest_that_the_tag_does_not_name_is_told(published: "Repo", tmp_path: Path) -> None:
    """Files and manifest that were changed together agree with each other, and not with the Hub."""
    folder = put(published, tmp_path / "it").directory
    path = folder / "adapterd.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert not verify(None, folder)[0].problems
    (found,) = verify(published.hub, folder)
    assert "manifest is not that of" in found.problems[0]


def test_what_happened_on_the_hub_is_told(repo: "Repo", tmp_path: Path) -> None:
    """A yanked version is whole, with a warning; an erased one, and one without its tag, is not."""
    for _ in range(3):
        repo.publish()
    shelf = put(repo, tmp_path / "it", Layout.VLLM, 1, 2, 3)
    stone = {"identity": repo.manifests[2]["identity"]["digest"], "number": 2, "reason": "leaked names"}
    repo.standing({"schema": 1, "yanks": [{"number": 1, "reason": "wrong data"}], "erasures": [stone]})
    repo.hub.delete_tag(repo.adapter, "v3")
    yanked, erased, untagged = verify(repo.hub, shelf.directory)
    assert (yanked.problems, len(yanked.warnings)) == ((), 1)
    assert "was erased: leaked names" in erased.problems[0]
    assert "no version v3" in untagged.problems[0]


def test_a_tag_that_moved_is_told(repo: "Repo", tmp_path: Path) -> None:
    """The same manifest under another commit is not the commit that was pulled."""
    repo.publish()
    folder = put(repo, tmp_path / "it").directory
    moved = repo.write("versions", "NOTES.txt", b"by hand")
    repo.hub.delete_tag(repo.adapter, "v1")
    repo.hub.create_tag(repo.adapter, "v1", moved)
    (found,) = verify(repo.hub, folder)
    assert f"names commit {moved[:12]}" in found.problems[0]


def test_what_an_engine_would_read_beside_the_versions_is_told(published: "Repo", tmp_path: Path) -> None:
    """An adapter that nobody pulled, a folder under another name and a link that leads nowhere are problems."""
    shelf = put(published, tmp_path / "it", Layout.VLLM)
    (name,) = shelf.there()
    (shelf.directory / "by-hand").mkdir()
    (shelf.directory / "by-hand" / "adapter_config.json").write_text("{}")
    (shelf.directory / "gone").symlink_to("acme-other@v1-0000000")
    (shelf.directory / name).rename(shelf.directory / "zzz")
    found = {each.path.name: each.problems for each in verify(None, shelf.directory)}
    assert found == {
        "by-hand": ("by-hand holds an adapter without a manifest",),
        "gone": ("the link gone leads nowhere",),
        "zzz": (f"zzz holds the manifest of {name}",),
    }


def test_the_document_has_each_version(published: "Repo", here: Type, tmp_path: Path) -> None:
    """--json writes one document, with a place, a name and problems for each."""
    shelf = put(published, tmp_path / "it", Layout.NIM, 1, 2)
    flip(shelf.there()[published.manifests[2]["serving_name"]].path / WEIGHTS)
    done = here("verify", shelf.directory, "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert [(each["number"], each["whole"]) for each in found["versions"]] == [(1, True), (2, False)]
    assert found["versions"][0]["commit"] == published.commits[1]


def test_a_directory_without_a_version_is_not_found(here: Type, tmp_path: Path) -> None:
    """Neither an empty directory nor one that is not there is whole; options that do not fit are told."""
    with pytest.raises(NotFound):
        verify(None, tmp_path)
    for arguments, code in (
        ((tmp_path / "nothing",), 5),
        (("acme/support", "--engine", "http://127.0.0.1:9", "--offline"), 2),
        (("acme/support", "--engine", "nonsense"), 2),
        ((tmp_path, "--name", "it"), 2),
    ):
        done = here("verify", *arguments)
        assert done.exception is not None
        assert code_of(done.exception) == code


def test_a_hub_that_is_away_is_waited_for(published: "Repo", here: Type, tmp_path: Path) -> None:
    """Without --offline nothing is said about what could not be asked."""
    folder = put(published, tmp_path / "it").directory
    done = here("verify", folder, "--endpoint", "http://127.0.0.1:9")
    assert isinstance(done.exception, Transient)
