"""What the probes look at: one adapter, as far as its examination has come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from adapterd.ports import ProbeRequest
from adapterd.worker.base import ResidentBase
from adapterd.worker.files import Weights
from adapterd.worker.outputs import Batch, Outputs


@dataclass
class Case:
    """One adapter under examination; each level fills in what the next one looks at.

    Attributes:
        expected: the tensors that the injected adapter has, by the names in a file.
        dirty: whether this adapter rightly changes the base, which is loaded anew afterwards.
        before, first, second: outputs of the bare base, and of two passes with the adapter.
        after: outputs of the bare base once the adapter is gone.
        token_limit: the largest token id that the adapter's own tokenizer can give, plus one.
    """

    request: ProbeRequest
    config: dict[str, Any]
    weights: Weights
    name: str
    measurements: dict[str, Any] = field(default_factory=dict)
    base: ResidentBase | None = None
    model: Any = None
    expected: dict[str, torch.Tensor] = field(default_factory=dict)
    dirty: bool = False
    batch: Batch | None = None
    token_limit: int = 0
    before: Outputs | None = None
    first: Outputs | None = None
    second: Outputs | None = None
    after: Outputs | None = None

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

    def outputs(self) -> tuple[Outputs, Outputs, Outputs, Batch]:
        """Before, first, second and the batch, once the passes have been made."""
        if self.before is None or self.first is None or self.second is None or self.batch is None:
            raise RuntimeError("no pass has been made yet")
        return self.before, self.first, self.second, self.batch
