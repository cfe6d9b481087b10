"""What the probes look at: one adapter, as far as its examination has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from adapterd.ports import ProbeRequest
from adapterd.worker.architecture import Loader
from adapterd.worker.base import ResidentBase
from adapterd.worker.files import Weights
from adapterd.worker.golden import Observed, Prompts
from adapterd.worker.inputs import Batch
from adapterd.worker.outputs import Outputs
from adapterd.worker.structure import Shape, Structure


@dataclass
class Case:
    """One adapter under examination; each level fills in what the next one looks at.

    Attributes:
        level: ``full``, or ``structural`` where no device can hold the base.
        structure: what the injected adapter and the bare base have.
        held: shapes of the file's tensors, by the names that PEFT takes them for.
        tensors: the file's tensors, by the same names, once the base is there.
        begun: values that the adapter began with, where these were taken out of the base's weights.
        dirty: whether this adapter rightly changes the base, which is not used again afterwards.
        batch: the probes; `before` and `first` are the outputs of bare base and adapter on all of them.
        spot: a part of the probes, on which passes are repeated.
        twice: outputs of two passes with the adapter on this part.
        after: outputs of the bare base on this part once the adapter is gone.
        null: outputs with the adapter in place, and its values at rest: the noise floor of "has an effect".
        prompts: of the golden outputs; `golden_base` is what the bare base answers, `golden` the document.
        token_limit: the largest token id that the adapter's own tokenizer can give, plus one.
        trained: token ids that the adapter trained or added.
        idle: wrapped layers that no pass came through.
    """

    request: ProbeRequest
    config: dict[str, Any]
    weights: Weights
    name: str
    level: str = "full"
    measurements: dict[str, Any] = field(default_factory=dict)
    loader: Loader | None = None
    structure: Structure | None = None
    held: Mapping[str, Shape] = field(default_factory=dict)
    base: ResidentBase | None = None
    model: Any = None
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    begun: Mapping[str, torch.Tensor] = field(default_factory=dict)
    dirty: bool = False
    batch: Batch | None = None
    spot: Batch | None = None
    prompts: Prompts | None = None
    golden_base: Observed | None = None
    golden: dict[str, Any] | None = None
    token_limit: int = 0
    trained: frozenset[int] = frozenset()
    idle: tuple[str, ...] = ()
    before: Outputs | None = None
    first: Outputs | None = None
    twice: tuple[Outputs, Outputs] | None = None
    after: Outputs | None = None
    null: Outputs | None = None

    @property
    def snapshot(self) -> Path:
        """Where the adapter lies."""
        return Path(self.request.snapshot)

    @property
    def resident(self) -> ResidentBase:
        """The base, once there is one."""
        if self.base is None:
            raise RuntimeError("no base model is loaded yet")
        return self.base

    @property
    def task(self) -> str:
        """The task that is exercised, once it is known."""
        return self.loader.task if self.loader else ""

    def shape(self) -> Structure:
        """The structure, once it is known."""
        if self.structure is None:
            raise RuntimeError("the structure is not known yet")
        return self.structure

    def outputs(self) -> tuple[Outputs, Outputs, Batch]:
        """Before, first and the batch, once the passes have been made."""
        if self.before is None or self.first is None or self.batch is None:
            raise RuntimeError("no pass has been made yet")
        return self.before, self.first, self.batch
