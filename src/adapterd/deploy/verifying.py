"""Compare what lies in a directory with its manifests, and these with the Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapterd.core.adapter import CONFIG
from adapterd.core.naming import Reference
from adapterd.core.publication import MANIFEST
from adapterd.deploy.faults import VerificationError
from adapterd.deploy.layout import Layout, is_name
from adapterd.deploy.manifest import parse_manifest
from adapterd.deploy.resolving import resolve
from adapterd.deploy.shelf import Held, Shelf
from adapterd.ports import Hub, NotFound


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found out about one folder.

    Attributes:
        held: the version; None where none is to be read there.
        problems: how it differs; empty where a loader would read exactly the version that was published.
        warnings: what else to know.
    """

    path: Path
    held: Held | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def verify(hub: Hub | None, directory: Path) -> tuple[Verified, ...]:
    """Check each version in a directory, of whatever layout; without a Hub, against its own manifest alone.

    Raises:
        NotFound: nothing that was pulled lies there.
        NewerSchemaError: a newer adapterd wrote it.
    """
    found = tuple(_with_hub(hub, each) for each in _local(directory))
    if not found:
        raise NotFound(
            f"{directory} holds no version of an adapter",
            "the folder that `adapterd pull` filled; of an ADAPTER that is served, add --engine URL",
        )
    return found


def _local(directory: Path) -> Iterator[Verified]:
    """Each folder of the directory, compared with its own manifest."""
    if (directory / MANIFEST).is_file():
        yield _one(Shelf(directory, Layout.PLAIN), directory)
        return
    above = Shelf(directory.parent, Layout.NIM)
    if above.room.manifest(directory.name).is_file():
        yield _one(above, directory)
        return
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.is_symlink():
            if not path.exists():
                yield Verified(path, None, (f"the link {path.name} leads nowhere",))
        elif is_name(path.name) and path.is_dir():
            nim = Shelf(directory, Layout.NIM)
            layout = Layout.NIM if nim.room.manifest(path.name).is_file() else Layout.VLLM
            if layout is Layout.NIM or (path / MANIFEST).is_file():
                yield _one(Shelf(directory, layout), path)
            elif (path / CONFIG).is_file():
                yield Verified(path, None, (f"{path.name} holds an adapter without a manifest",))


def _one(shelf: Shelf, folder: Path) -> Verified:
    held = shelf.held(folder)
    if held is not None:
        return Verified(folder, held, tuple(filter(None, (held.altered,))))
    data = shelf.manifest(folder).read_bytes()
    try:
        name = parse_manifest(data, str(folder)).serving_name
    except VerificationError as error:
        return Verified(folder, None, (error.message,))
    return Verified(folder, None, (f"{folder.name} holds the manifest of {name}",))


def _with_hub(hub: Hub | None, found: Verified) -> Verified:
    """The same, compared with what the Hub says about this version now."""
    held = found.held
    if hub is None or held is None:
        return found
    try:
        there = resolve(hub, Reference(held.adapter, number=held.number))
    except (NotFound, VerificationError) as error:  # erased, too
        return Verified(found.path, held, (*found.problems, error.message), found.warnings)
    problems = list(found.problems)
    if there.manifest != held.manifest:
        problems.append(f"its manifest is not that of {held.adapter}@{there.tag}, commit {there.commit[:12]}")
    elif held.commit not in ("", there.commit):
        problems.append(f"the tag {there.tag} names commit {there.commit[:12]}, and named {held.commit[:12]}")
    return Verified(found.path, held, tuple(problems), there.warnings)
