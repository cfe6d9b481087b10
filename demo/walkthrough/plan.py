"""What one performance shall do: its base model, its trainings, its broken adapters, its time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walkthrough.home import Base

ROOTS: Mapping[str, str] = {"assistants": "all", "kitchen": "final"}
"""The watched roots, and which checkpoints become versions in each."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How the base model comes to be: a script with its arguments, and the words for what it reported."""

    script: str
    arguments: tuple[str, ...]
    told: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Training:
    """One adapter that is trained with checkpoints; its name is that of its run folder.

    `versions` is how many different adapters its directories hold, where the root asks for all: the final save is the
    last checkpoint once more.
    """

    name: str
    root: str
    text: Path
    arguments: tuple[str, ...]
    versions: int


@dataclass(frozen=True, slots=True)
class Broken:
    """One adapter that loads without an error and does nothing, and the reason that it must be refused for."""

    name: str
    root: str
    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of it.

    Attributes:
        probe_texts: what the daemon measures the loss on; held out from every training.
        seconds: for everything; whatever is not there by then has failed.
    """

    title: str
    base: Base
    preparation: Preparation | None
    trainings: tuple[Training, ...]
    broken: tuple[Broken, ...]
    probe_texts: tuple[str, ...]
    seconds: float


BROKEN = (
    Broken("saved-too-early", "kitchen", "untrained", "no_effect"),
    Broken("saved-compiled", "kitchen", "compiled", "key_prefix"),
)
