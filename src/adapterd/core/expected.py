"""What something recorded says about an adapter, and what the measurements say against it. Pure.

PEFT loads an adapter into any base of the same shapes, and with any scaling, without a word: only what was known before
can tell that base, scaling or composition are not those of the training.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapterd.core.reasons import reason
from adapterd.core.version import Reason

FAR = 0.5
"""Nats per token by which losses on the same texts differ when something is wrong, and not by chance."""

PREFIX = "adapterd:"
"""What a label may have before one of our fingerprints."""

_LABELS = "adapterd.yaml"
_SHORT = 16
_OWN = re.compile(rf"(?:{PREFIX})?([0-9a-f]{{16,64}})")


@dataclass(frozen=True, slots=True)
class Expected:
    """What to hold the measurements against; None or empty: nothing says it.

    Attributes:
        loss: what the run's ``adapterd.yaml`` expects on the probes (`expect.loss`), in nats per token.
        trained_loss: what the trainer measured last, from its ``trainer_state.json``.
        former: name of the version before, as in ``v3``; `former_loss` is what was measured of it on the same probes.
        own_probes: whether the probes are of the user's choice, so that a trainer's loss can be compared with them.
        fingerprint: of the base model that it was trained on, from the labels; `fingerprint_here` is that of the one
            that it was measured in.
        same_commit: name of a version before that was measured in the same base model at the same commit, and
            `former_fingerprint` what that one's was.
        composed: adapters that the labels say it was trained on top of.
        composed_here: whether adapters that it was trained on top of are configured.
    """

    loss: float | None = None
    trained_loss: float | None = None
    former: str = ""
    former_loss: float | None = None
    own_probes: bool = False
    fingerprint: str = ""
    fingerprint_here: str = ""
    same_commit: str = ""
    former_fingerprint: str = ""
    composed: tuple[str, ...] = ()
    composed_here: bool = False


def own_fingerprint(label: str) -> str:
    """The digits of one of our fingerprints in a label, 16 of them or more; empty where it is another digest."""
    found = _OWN.fullmatch(label.strip().casefold())
    return found[1] if found else ""


def against_expected(measurements: Mapping[str, Any], expected: Expected, tolerance: float) -> list[Reason]:
    """What was expected and is not so; `tolerance` is in nats, for the loss that the labels expect."""
    return [*_base(expected), *_losses(measurements, expected, tolerance)]


def _base(expected: Expected) -> list[Reason]:
    """Whether it was measured in what it was trained on."""
    found = []
    here = expected.fingerprint_here
    if here and not here.startswith(expected.fingerprint):
        text = (
            f"{_LABELS} says that it was trained on a base with fingerprint {expected.fingerprint[:_SHORT]}, the one "
            f"on this host has {here[:_SHORT]}"
        )
        found.append(reason("base_differs", text))
    elif here and expected.former_fingerprint not in ("", here):
        text = (
            f"the base model's fingerprint is {here[:_SHORT]}; for {expected.same_commit}, at the same commit, it was "
            f"{expected.former_fingerprint[:_SHORT]}: its files were changed or damaged"
        )
        found.append(reason("base_differs", text, "fetch the base model again, then `adapterd retry`"))
    if expected.composed and not expected.composed_here:
        text = f"it was trained on top of {', '.join(expected.composed)}, which is not merged into the base here"
        found.append(reason("composition_unverified", text))
    return found


def _losses(measurements: Mapping[str, Any], expected: Expected, tolerance: float) -> list[Reason]:
    """Whether it does as well as was said."""
    found: list[Reason] = []
    loss, base = number(measurements, "loss_adapter"), number(measurements, "loss_base")
    if loss is None:
        return found
    if expected.loss is not None and abs(loss - expected.loss) > tolerance:
        text = f"the loss is {loss:.3f} nats per token, {_LABELS} expects {expected.loss:.3f}, tolerance {tolerance:g}"
        found.append(reason("loss_unlike_expected", text))
    if expected.own_probes and expected.trained_loss is not None and base is not None:
        # Training texts are learnt by heart in part, so a higher loss on others is usual: half of the way is no alarm.
        reached, promised = base - loss, base - expected.trained_loss
        if promised > FAR and reached < promised / 2:
            text = (
                f"the trainer last measured {expected.trained_loss:.3f}; the probes give {loss:.3f}, the base alone "
                f"{base:.3f}"
            )
            found.append(reason("loss_above_training", text))
    if expected.former_loss is not None and loss > expected.former_loss + FAR:
        text = f"the loss is {loss:.3f} nats per token, that of {expected.former} was {expected.former_loss:.3f}"
        found.append(reason("loss_above_former", text))
    return found


def number(measurements: Mapping[str, Any], name: str) -> float | None:
    """Give a finite number, or None where it is absent or has no value: that is a finding of its own."""
    value = measurements.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
