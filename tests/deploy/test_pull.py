"""What lies at the target is nothing, the old version whole, or the new one whole and verified."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.naming import parse_reference
from adapterd.deploy import OccupiedError, Resolved, VerificationError, pull, resolve
from adapterd.deploy.exchange import exchange
from adapterd.deploy.pulling import difference
from adapterd.hub.server import RunningHub
from adapterd.ports import Transient

if TYPE_CHECKING:
    from deploy.conftest import Repo

Pull = Callable[..., Path]


@pytest.fixture
def said() -> list[str]:
    """What a pull said."""
    return []


@pytest.fixture
def bring(published: "Repo", said: list[str], tmp_path: Path) -> Pull:
    """Pull a version to ``here`` in a folder of this test."""

    def do(at: str = "@v1", *, force: bool = False) -> Path:
        return pull(published.hub, version(published, at), tmp_path / "to" / "here", said.append, force=force)

    return do


def version(repo: "Repo", at: str = "@v1") -> Resolved:
    """One version of the repo."""
    return resolve(repo.hub, parse_reference(f"{repo.adapter}{at}"))


def test_a_pull_brings_payload_and_manifest(published: "Repo", bring: Pull) -> None:
    """Every byte is that of the version, its manifest is there, and nothing else lies in or beside the target."""
    target = bring()
    wanted = {**published.payloads[1], "adapterd.json": version(published).manifest}
    there = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert there == wanted
    assert list(target.parent.iterdir()) == [target]


def test_a_version_that_is_there_is_left(published: "Repo", bring: Pull, said: list[str], server: RunningHub) -> None:
    """Pulling twice downloads once; a file that no loader reads may lie beside it."""
    target = bring()
    (target / "NOTES.txt").write_text("ours")
    found = version(published)
    before = len(server.requests)
    assert pull(published.hub, found, target, said.append) == target
    assert len(server.requests) == before
    assert "already there" in said[-1]


@pytest.mark.parametrize("damage", ["other bytes", "missing", "longer", "a link", "foreign weights"])
def test_a_damaged_version_is_told_and_replaced_only_by_force(published: "Repo", bring: Pull, damage: str) -> None:
    """What a loader would read must be exactly the version, or the pull says what differs."""
    target = bring()
    weights = target / "adapter_model.safetensors"
    data = weights.read_bytes()
    match damage:
        case "other bytes":
            weights.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "missing":
            weights.unlink()
        case "longer":
            weights.write_bytes(data + b".")
        case "a link":
            weights.rename(target.parent / "elsewhere")
            weights.symlink_to(target.parent / "elsewhere")
        case "foreign weights":
            (target / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(OccupiedError, match=r"--force"):
        bring()
    bring(force=True)
    assert difference(version(published), target) == ""


def test_another_version_is_exchanged_only_by_force(published: "Repo", bring: Pull) -> None:
    """Without --force the old version stays untouched; with it the new one takes its place and the old one goes."""
    target = bring("@v1")
    with pytest.raises(OccupiedError, match="another version"):
        bring("@v2")
    assert difference(version(published, "@v1"), target) == ""
    bring("@v2", force=True)
    assert difference(version(published, "@v2"), target) == ""
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_version_is_never_replaced(bring: Pull, tmp_path: Path, force: bool) -> None:  # noqa: FBT001 - a parameter
    """A directory with a person's files, a file and a link are refused, with --force too."""
    place = tmp_path / "to" / "here"
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(OccupiedError):
        bring(force=force)
    assert (place / "thesis.txt").read_text() == "years of work"
    place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path / "moved")
    with pytest.raises(OccupiedError, match="a link"):
        bring(force=force)
    place.unlink()
    place.write_text("a file")
    with pytest.raises(OccupiedError, match="no directory"):
        bring(force=force)


def test_an_empty_directory_is_a_free_place(published: "Repo", bring: Pull, tmp_path: Path) -> None:
    """A directory that somebody made for it is filled."""
    (tmp_path / "to" / "here").mkdir(parents=True)
    assert difference(version(published), bring()) == ""


def test_bytes_that_are_not_the_manifests_are_never_put_in_place(repo: "Repo", tmp_path: Path) -> None:
    """A file whose sha256 is another fails the pull; the target stays as it was and keeps nothing of it."""
    repo.publish(change=lambda m: m["files"]["adapter_model.safetensors"].update(sha256="0" * 64))
    with pytest.raises(VerificationError, match=r"adapter_model\.safetensors has the sha256"):
        pull(repo.hub, version(repo), tmp_path / "to" / "here", lambda _: None)
    assert not (tmp_path / "to" / "here").exists()
    assert not list((tmp_path / "to").rglob("adapter_model.safetensors"))


def test_an_interrupted_pull_is_taken_up_again(
    published: "Repo", bring: Pull, server: RunningHub, tmp_path: Path
) -> None:
    """What lies aside from before is verified and kept; only the rest is downloaded, and foreign files go."""
    found = version(published)
    aside = tmp_path / "to" / f".here.adapterd-{found.commit[:12]}"
    aside.mkdir(parents=True)
    (aside / "adapter_model.safetensors").write_bytes(published.payloads[1]["adapter_model.safetensors"])
    (aside / "adapter_config.json").write_bytes(b"half")
    (aside / "adapter_model.bin").write_bytes(b"pickle")
    before = len(server.requests)
    target = bring()
    asked = [record.path for record in list(server.requests)[before:] if "/resolve/" in record.path]
    assert not any("safetensors" in path for path in asked)
    assert difference(found, target) == ""
    assert not (target / "adapter_model.bin").exists()


def test_two_pulls_to_one_place_do_not_meet(published: "Repo", bring: Pull, tmp_path: Path) -> None:
    """While one works, the other says so and ends, to be tried again."""
    aside = tmp_path / "to" / f".here.adapterd-{published.commits[1][:12]}"
    aside.mkdir(parents=True)
    descriptor = os.open(aside, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Transient, match="another pull"):
        bring()
    os.close(descriptor)
    assert bring().is_dir()


def test_an_exchange_swaps_two_directories(tmp_path: Path) -> None:
    """Both names stay in use, each for what the other was; a missing one is an error of the system."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one" / "two").exists()
    assert (tmp_path / "two" / "one").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "three")
