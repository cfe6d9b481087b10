"""The Gates port: runs a command of the operator's own on a snapshot, without a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class GateRequest:
    """One gate and what it is about.

    Attributes:
        command: program and arguments; ``{snapshot}`` in an argument stands for the snapshot's folder.
        snapshot: folder of the frozen copy; it is in the gate's environment as ``ADAPTERD_SNAPSHOT`` too.
        base: folder of the base model; in the environment as ``ADAPTERD_BASE``.
        seconds: deadline.
        threads: CPU threads that the libraries in it are told to use; 0 leaves it to them.
    """

    command: tuple[str, ...]
    snapshot: str
    base: str
    seconds: float
    threads: int = 1


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """How a gate ended.

    Attributes:
        exit: its exit code; 0 is yes.
        metrics: the JSON object that it wrote to its standard output; empty where it wrote none.
        tail: the last lines of its output, bounded and without secrets.
    """

    seconds: float
    exit: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    tail: str = ""


class Gates(Protocol):
    """Runs gates, one at a time per instance."""

    def ask(self, request: GateRequest) -> GateAnswer:
        """Run a gate to its end. GateFailed where it came to none by itself: that is no answer."""
        ...

    def close(self) -> None:
        """End the one that runs, with its whole process group; its `ask` raises GateFailed."""
        ...
