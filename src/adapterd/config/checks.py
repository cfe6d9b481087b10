"""What values must be to one another: no two of a kind, no root inside a root, no own file in a root."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from adapterd.config.kinds import Conflict, channel_fault, conflicting
from adapterd.config.units import format_duration

if TYPE_CHECKING:
    from adapterd.config.model import BaseModelEntry, Root

T = TypeVar("T")
OUTSIDE = "a place outside every root, such as /var/lib/adapterd"


def _raise_if(conflicts: list[Conflict]) -> None:
    """Report all conflicts of one kind at once."""
    if conflicts:
        raise conflicting(conflicts)


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names the same thing twice."""
    _raise_if(
        [
            Conflict((index,), f"{value} is listed twice", "each one once")
            for index, value in enumerate(values)
            if value in values[:index]
        ]
    )
    return values


def contains(outer: Path, inner: Path) -> bool:
    """Tell whether a path is another or lies below it, by their names alone."""
    return outer == inner or outer in inner.parents


def separate_roots(roots: "tuple[Root, ...]") -> "tuple[Root, ...]":
    """Refuse roots that are equal or lie in one another: an adapter directory has one root."""
    first: dict[Path, int] = {}
    for index, root in enumerate(roots):
        first.setdefault(root.path, index)
    conflicts = []
    for index, root in enumerate(roots):
        if (other := first[root.path]) != index:
            text = f"{root.path} is already roots[{other}]"
        elif outer := next((parent for parent in root.path.parents if parent in first), None):
            text = f"{root.path} lies inside roots[{first[outer]}], {outer}"
        else:
            continue
        conflicts.append(Conflict((index, "path"), text, "only one of the two, or their sub-folders side by side"))
    _raise_if(conflicts)
    return roots


def _spelling(name: str) -> str:
    """Fold an id, as the Hub does; a path stays as it is."""
    return name if name.startswith(("/", "~", ".")) else name.casefold()


def distinct_bases(bases: "tuple[BaseModelEntry, ...]") -> "tuple[BaseModelEntry, ...]":
    """Refuse a base model that is listed twice, and a spelling that could mean two of them."""
    ids: dict[str, int] = {}
    conflicts = []
    for index, base in enumerate(bases):
        first = ids.setdefault(base.id.casefold(), index)
        if first != index:
            conflicts.append(
                Conflict((index, "id"), f"{base.id} is already base_models[{first}]", "one entry per base model")
            )
    owners = dict(ids)
    for index, base in enumerate(bases):
        for place, name in enumerate(base.written_as):
            owner = owners.setdefault(_spelling(name), index)
            if owner != index and ids[base.id.casefold()] != owner:
                text = f"{name} already means base_models[{owner}], {bases[owner].id}"
                conflicts.append(Conflict((index, "written_as", place), text, "each spelling under one base model"))
    _raise_if(conflicts)
    return bases


def channel_names(channels: Mapping[str, T]) -> Mapping[str, T]:
    """Refuse names that cannot be channels, and two that differ only in case."""
    seen: dict[str, str] = {}
    conflicts = []
    for name in channels:
        if fault := channel_fault(name):
            hint = "a plain word such as stable: letters, digits, '-', '_' and '.', at most 64"
            conflicts.append(Conflict((name,), f"{name!r} {fault}", hint))
        elif (other := seen.setdefault(name.casefold(), name)) != name:
            text = f"{name!r} differs from {other!r} only in case"
            conflicts.append(Conflict((name,), text, "two names that cannot be taken for one another"))
    _raise_if(conflicts)
    return channels


def backoff_order(first: float, longest: float) -> None:
    """Refuse a first wait that is longer than the longest."""
    if first > longest:
        text = f"{format_duration(longest)} is shorter than backoff, {format_duration(first)}"
        _raise_if([Conflict(("backoff_max",), text, "a backoff_max of at least backoff")])


def root_conflict(roots: Sequence[Path], own: Path) -> str:
    """Say how a place of the daemon's own collides with the roots; empty when it does not."""
    for index, root in enumerate(roots):
        if contains(root, own):
            return f"{own} lies inside roots[{index}], {root}, which is watched and never written"
    return ""


def outside_roots(roots: Sequence[Path], own: Iterable[tuple[tuple[str, ...], Path | None]]) -> None:
    """Refuse any of the daemon's own places that lies in a root."""
    found = ((at, root_conflict(roots, path)) for at, path in own if path is not None)
    _raise_if([Conflict(at, text, OUTSIDE) for at, text in found if text])
