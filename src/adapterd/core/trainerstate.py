"""What a ``trainer_state.json`` says of the training: its step, and the losses that it measured last. Pure."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST_STEP = 2**53
"""What any reader of JSON takes as a whole number."""

_LOSSES = ("loss", "eval_loss")
_OTHER_AIMS = ("rewards/", "logps/", "logits/", "objective/", "policy/", "reward", "kl")
"""Keys that preference and reinforcement trainers log: their `loss` is no nats per token."""


@dataclass(frozen=True, slots=True)
class TrainerState:
    """The step, None where it is not told; `losses` are the last `loss` and `eval_loss`, in nats per token."""

    step: int | None = None
    losses: Mapping[str, float] = field(default_factory=dict)


def parse_state(data: bytes) -> TrainerState:
    """Read the bytes of the file; what is not there, or is not what it should be, is left out."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return TrainerState()
    if not isinstance(document, dict):
        return TrainerState()
    step = document.get("global_step")
    whole = isinstance(step, int) and not isinstance(step, bool) and 0 <= step < LARGEST_STEP
    return TrainerState(step if whole else None, _losses(document.get("log_history")))


def _losses(history: object) -> dict[str, float]:
    lines: list[dict[str, Any]] = (
        [line for line in history if isinstance(line, dict)] if isinstance(history, list) else []
    )
    if any(_other_aim(str(key)) for line in lines for key in line):
        return {}
    found: dict[str, float] = {}
    for line in lines:
        found |= {name: line[name] for name in _LOSSES if name in line}
    return {name: float(value) for name, value in found.items() if is_loss(value)}


def is_loss(value: object) -> bool:
    """Whether this is a loss: a finite number that is not negative."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _other_aim(key: str) -> bool:
    """Whether a key belongs to a trainer with another aim than the next token."""
    key = key.removeprefix("eval_").removeprefix("train_")
    return any(key == aim or (aim.endswith("/") and key.startswith(aim)) for aim in _OTHER_AIMS)
