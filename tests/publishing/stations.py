"""A publisher of a yard: its world, its hands, what was written below its root and what that comes to."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapterd.ports import ProbeRequest, ProbeResult, Registry
from adapterd.steps.settle import Rests
from helpers.adapters import weights
from helpers.hosts import GivenValidator, World
from publishing.hands import Hand

GOOD, DOUBTFUL, BAD = (0, 1, 2, 3), 4, 5
"""What trainings come to: good under every policy, as any further number is; good under the lax one alone; never."""

LOSSES = {**dict.fromkeys(GOOD, 2.0), DOUBTFUL: 4.5}
STRICT = "{limits: {max_loss: 4.0}}"
WEIGHTS = "adapter_model.safetensors"


class Judge(GivenValidator):
    """A validator that knows what each training came to, by the bytes that it is given."""

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Measure."""
        content = CONTENTS.get((Path(request.snapshot) / WEIGHTS).read_bytes(), GOOD[0])
        effect = 0.0 if content == BAD else 0.5
        measured = {**self.result.measurements, "effect": effect, "loss_adapter": LOSSES.get(content, 2.0)}
        return replace(self.result, measurements=measured)


CONTENTS = {weights(seed=1000 + content): content for content in (DOUBTFUL, BAD)}
"""What is not good, by its weights."""


class Witness:
    """A registry that remembers, outside of itself, which tree passed under which policy."""

    def __init__(self, registry: Registry, passed: set[tuple[str, str]]) -> None:
        """Stand before `registry`."""
        self._registry, self._passed = registry, passed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's attribute."""
        return getattr(self._registry, name)

    def advance(self, *args: Any, **facts: Any) -> object:  # noqa: ANN401 - whatever the port takes
        """Remember a report that passed, once it is recorded."""
        moved = self._registry.advance(*args, **facts)
        report = facts.get("validation")
        if report is not None and report.verdict == "passed":
            self._passed.add((report.tree, report.policy))
        return moved


@dataclass
class Station:
    """One publisher: its world, its hands by name, what was written below its root."""

    world: World
    hands: dict[str, Hand] = field(default_factory=dict)
    rests: Rests = field(default_factory=Rests)
    written: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Directory to what its training came to, and whether it is a final save."""
    asked: set[str] = field(default_factory=set)
    runs: int = 0

    def busy(self) -> Iterable[Hand]:
        """The hands that have something to do."""
        return [hand for hand in self.hands.values() if not hand.done]
