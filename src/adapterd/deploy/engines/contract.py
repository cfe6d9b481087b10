"""What a follower needs of an engine, and how an engine says no."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapterd.core.errors import AdapterdError


class EngineRefusedError(AdapterdError):
    """The engine answers, and will not do it."""

    exit = 3


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be loaded or unloaded, of which adapter.

    Attributes:
        name: the stable name.
        serving, folder: the version.
        other, other_folder: where it is loaded, what the name means until then; where it is unloaded, what it means
            instead. Empty and None where there is no such version.
    """

    adapter: str
    name: str
    serving: str
    folder: Path
    other: str = ""
    other_folder: Path | None = None


class Engine(Protocol):
    """One engine. Every call ends within its deadline, and may be made again: it asks for a state, not for a step.

    Raises Transient where it does not answer, Denied where it wants another key, EngineRefusedError where it says no.
    """

    key: str
    """What it is called in logs, in the status and in the configuration: its address, or its command."""

    def listed(self) -> Mapping[str, str]:
        """Everything that is loaded: name to the folder that it was loaded from, as this host calls that folder."""
        ...

    def load(self, order: Order) -> None:
        """Load a version; nothing to do where it is loaded."""
        ...

    def unload(self, order: Order) -> None:
        """Let a version go; nothing to do where it is not loaded."""
        ...
