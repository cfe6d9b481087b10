"""How versions lie in a directory, for whom: the layouts that engines read."""

from enum import StrEnum
from typing import Protocol

from adapterd.core.adapter import CONFIG, WEIGHTS
from adapterd.deploy.faults import VerificationError
from adapterd.deploy.manifest import is_safe
from adapterd.deploy.pulling import Files

_LONGEST = 200
"""Of a name, in bytes: file systems take 255, and names are made longer while a version is written."""


class Layout(StrEnum):
    """How versions lie in a directory."""

    PLAIN = "plain"
    """The directory is the version."""
    VLLM = "vllm"
    """A folder for each version, by its serving name, and links for names that move: vLLM's filesystem resolver."""
    NIM = "nim"
    """A folder for each version, by its serving name, with configuration and weights alone, and no links: NIM."""


class _Listing(Protocol):
    @property
    def adapter(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def files(self) -> Files: ...


def payload_of(layout: Layout, version: _Listing) -> Files:
    """The files of a version that the layout has.

    Raises:
        VerificationError: it lacks one that the layout needs.
    """
    if layout is not Layout.NIM:
        return version.files
    if missing := [path for path in (CONFIG, WEIGHTS) if path not in version.files]:
        raise VerificationError(
            f"{version.adapter}@v{version.number} has no {missing[0]}, which the layout nim needs",
            "use the layout plain",
        )
    return {path: version.files[path] for path in (CONFIG, WEIGHTS)}


def is_name(name: str) -> bool:
    """Whether it can be the name of a folder that engines see: one part of a path, not hidden."""
    return is_safe(name) and "/" not in name and not name.startswith(".") and len(name.encode()) <= _LONGEST


def demand_name(name: str) -> str:
    """The name; VerificationError where a folder cannot have it."""
    if not is_name(name):
        raise VerificationError(f"{name!r} cannot be the name of a folder", "tell the publisher of this repo")
    return name
