"""Measurements against limits give a verdict; the report says all of it as plain JSON. Pure.

The worker finds faults and measures; it decides nothing. What a fault does stands in the table of reasons, what a
number may be stands in the limits, and both are part of the policy under which a verdict holds.

Measurements, each absent where it was not taken, and stable by name:

| name | meaning |
|---|---|
| `tensors`, `parameters`, `bytes` | of the adapter's weights file |
| `rank` | the largest rank among its LoRA factors |
| `modules` | layers of the base that the adapter wraps, or saves in full |
| `modules_without_effect` | how many of these change nothing |
| `effect`, `effect_median`, `effect_min` | largest, median, smallest relative weight change of the wrapped layers |
| `effects` | the same by the layers' own names: layers, how many unchanged, smallest, largest |
| `saved_effect` | largest relative change over the layers that are saved in full |
| `texts`, `tokens` | probe examples, and tokens of all of them that were used |
| `tokens_trained`, `tokens_touched` | token ids that were trained or added, and those that generated probes touched |
| `loss_base`, `loss_adapter` | mean nats per target on the probes (language models; classifiers with labels) |
| `kl` | mean Kullback-Leibler divergence per token, base to adapter (language models) |
| `vocabulary` | outputs per position of a language model |
| `noise_floor` | what a null adapter of the same shape, or the base itself a second time, moves the outputs by |
| `max_dlogit` | largest absolute change of an output: a logit, or a hidden state (FEATURE_EXTRACTION) |
| `cosine` | mean cosine of the last hidden states with and without (FEATURE_EXTRACTION) |
| `modules_idle` | wrapped layers that no pass came through |
| `head_in_file` | whether the file holds a head of its own (tasks with labels, QUESTION_ANS) |
| `deterministic` | whether two passes over a part of the probes were bitwise equal with the adapter |
| `latency_ms`, `latency_base_ms` | one pass over this part, warm, with and without |
| `base_restored` | whether the base was bitwise the same after removal; `reloaded` for kinds that change it |
| `task`, `labels` | task type that was exercised; label count of a classification head |
| `peak_rss`, `peak_device_bytes` | highest memory of the worker so far |
| `gate.NAME` | the number NAME among the metrics of a gate of the operator's own |
| `seconds`, `seconds_base` | the whole request; the part that loaded the base model, 0 where it was warm |
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from adapterd.core.expected import FAR, Expected, against_expected, number
from adapterd.core.reasons import BY_CODE, WAIVABLE, Severity, reason
from adapterd.core.version import Reason

VALIDATOR_VERSION = 2
"""Grows with every change to the probes that can change a verdict; it is part of the policy."""

REPORT_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a measurement may be; None means that it is only recorded.

    `max_loss_increase` is in nats over the base's own loss. An adapter must change some layer by more than `min_effect`
    and the median layer by no more than `max_effect`, relative to their size. `expected_loss_tolerance` is in nats.
    """

    max_loss: float | None = None
    max_loss_increase: float | None = None
    min_effect: float = 0.0
    max_effect: float = 10.0
    expected_loss_tolerance: float = 0.25


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that a verdict belongs to. Two policies with the same id mean the same.

    Attributes:
        texts: digest of the probe examples (`core.examples.digest`).
        variant: how the base is quantised and spread, empty for neither.
        trained_on: digests of the adapters that are merged into the base first.
        gates: the commands that must say yes.
        engines: the serving engines that must take it.
        structural: whether keys and shapes are enough where no device can hold the base.
    """

    base: str
    revision: str
    texts: str
    tokens: int
    limits: Limits = field(default_factory=Limits)
    devices: tuple[str, ...] = ("auto",)
    dtype: str = "auto"
    validator: int = VALIDATOR_VERSION
    variant: str = ""
    trained_on: tuple[str, ...] = ()
    gates: tuple[tuple[str, ...], ...] = ()
    engines: tuple[str, ...] = ()
    structural: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision: ``passed``, ``rejected`` or ``stalled``, and why; what rejects stands first."""

    verdict: str
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()


class Measured(Protocol):
    """What a report takes from the worker's result, `ports.ProbeResult`."""

    @property
    def measurements(self) -> Mapping[str, Any]:
        """Numbers and short strings by name."""
        ...

    @property
    def device(self) -> str:
        """Where the forward passes ran."""
        ...

    @property
    def dtype(self) -> str:
        """In which type."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Library name to version."""
        ...

    @property
    def base_fingerprint(self) -> str:
        """Digest of the base's config and weights."""
        ...

    @property
    def log_tail(self) -> str:
        """The last of the worker's output."""
        ...

    @property
    def level(self) -> str:
        """``full`` or ``structural``."""
        ...

    @property
    def golden(self) -> Mapping[str, Any] | None:
        """Golden outputs, or None."""
        ...


def policy_id(policy: Policy) -> str:
    """Sixteen hex digits that name the policy."""
    return hashlib.sha256(_canonical(asdict(policy)).encode()).hexdigest()[:16]


def decide(
    findings: Sequence[Reason],
    measurements: Mapping[str, Any],
    limits: Limits,
    expected: Expected | None = None,
    waived: Collection[str] = (),
) -> Verdict:
    """Weigh what was found, hold what was measured against the limits, and against what something recorded expects.

    A rejection outweighs a stall: whatever a person might settle, these bytes stay refused under this policy. Codes
    in `waived` that may be waived count as warnings.
    """
    found = [*findings, *_against_limits({f.code for f in findings}, measurements, limits)]
    if expected is not None:
        found += against_expected(measurements, expected, limits.expected_loss_tolerance)
    aside = WAIVABLE.intersection(waived)
    warning = [f for f in found if BY_CODE[f.code].severity is Severity.WARN or f.code in aside]
    rejecting = [f for f in found if BY_CODE[f.code].severity is Severity.REJECT and f not in warning]
    others = [f for f in found if f not in rejecting and f not in warning]
    decision = "rejected" if rejecting else "stalled" if others else "passed"
    return Verdict(decision, (*rejecting, *others), tuple(warning))


def first_of(reasons: Sequence[Reason]) -> Reason:
    """The one reason that stands for all of them: the first, with the codes of the others."""
    first = reasons[0]
    others = dict.fromkeys(other.code for other in reasons[1:] if other.code != first.code)
    also = f"; also: {', '.join(others)}" if others else ""
    return Reason(first.code, first.message + also, first.hint)


def report(
    verdict: Verdict,
    policy: Policy,
    measured: Measured,
    *,
    engines: Mapping[str, Any] | None = None,
    waivers: Sequence[Mapping[str, Any]] = (),
    gates: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that was found, measured and decided, as plain JSON without NaN or Inf."""
    document: dict[str, Any] = jsonable(
        {
            "schema": REPORT_SCHEMA,
            "verdict": verdict.verdict,
            "level": measured.level,
            "reasons": [asdict(r) for r in verdict.reasons],
            "warnings": [asdict(w) for w in verdict.warnings],
            "waivers": list(waivers),
            "measurements": measured.measurements,
            "limits": asdict(policy.limits),
            "policy": policy_id(policy),
            "policy_terms": asdict(policy),
            "base_fingerprint": measured.base_fingerprint,
            "device": measured.device,
            "dtype": measured.dtype,
            "versions": measured.versions,
            "log_tail": measured.log_tail,
            "golden": measured.golden,
            "engines": engines,
            "gates": list(gates),
        }
    )
    return document


def jsonable(value: Any) -> Any:  # noqa: ANN401 - any JSON value in, any JSON value out
    """Give the value with tuples as lists, keys as strings, and NaN, Inf and -Inf by name: JSON has no such numbers."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _against_limits(found: set[str], measurements: Mapping[str, Any], limits: Limits) -> list[Reason]:
    """What the numbers say that no probe has said yet."""
    reasons: list[Reason] = []
    effect, change = number(measurements, "effect"), number(measurements, "max_dlogit")
    floor = 2 * (number(measurements, "noise_floor") or 0.0)
    moved = f"by {change or 0:.3g}, the noise alone by {floor / 2:.3g}" if floor else "by nothing"
    if effect is not None and effect <= limits.min_effect:
        reasons.append(_no_effect(effect, measurements, limits))
    elif change is not None and change <= floor:
        if effect is None:  # a kind without a weight change of its own: its outputs must move
            reasons.append(reason("no_effect", f"the outputs on all probe texts move {moved}"))
        else:
            text = f"the weights change by {effect:.3g}, the outputs on the probe texts {moved}"
            reasons.append(reason("logits_unchanged", text))
    reasons += _sizes(measurements, limits)
    reasons += _losses(measurements, limits)
    return [r for r in reasons if r.code not in found]


def _no_effect(effect: float, measurements: Mapping[str, Any], limits: Limits) -> Reason:
    """Say how little the adapter does."""
    modules = measurements.get("modules", 0)
    if effect > 0:
        text = (
            f"the largest relative weight change over {modules} layers is {effect:.3g}, limit {limits.min_effect:.3g}"
        )
        return reason("no_effect", text, "train longer, or lower validation.limits.min_effect")
    return reason("no_effect", f"not one of the {modules} layers that the adapter wraps is changed by it")


def _sizes(measurements: Mapping[str, Any], limits: Limits) -> list[Reason]:
    """Say that it changes the layers too much, or some of them not at all."""
    middle, layers = number(measurements, "effect_median"), measurements.get("modules", 0)
    without = measurements.get("modules_without_effect", 0)
    reasons = []
    base, loss = number(measurements, "loss_base"), number(measurements, "loss_adapter")
    better = base is not None and loss is not None and loss < base  # a large change that helps is no fault
    if middle is not None and middle > limits.max_effect and not better:
        text = f"the median change over {layers} layers is {middle:.3g} times their size, limit {limits.max_effect:g}"
        reasons.append(reason("effect_too_large", text))
    if 0 < without < layers:
        reasons.append(reason("modules_without_effect", f"{without} of {layers} layers are not changed"))
    return reasons


def _losses(measurements: Mapping[str, Any], limits: Limits) -> list[Reason]:
    """Hold the loss on the probe texts against the limits, and against the base's own."""
    base, loss = number(measurements, "loss_base"), number(measurements, "loss_adapter")
    if loss is None:
        return []
    reasons = []
    if limits.max_loss is not None and loss > limits.max_loss:
        reasons.append(reason("loss_too_high", f"the loss is {loss:.3f} nats per token, limit {limits.max_loss:g}"))
    if base is None:
        return reasons
    rise = loss - base
    vocabulary = number(measurements, "vocabulary")
    if vocabulary and loss > math.log(vocabulary) + FAR and rise > FAR:
        chance = math.log(vocabulary)
        text = f"the loss is {loss:.3f} nats per token; guessing among {vocabulary:.0f} tokens has {chance:.3f}"
        reasons.append(reason("loss_worse_than_chance", text))
    if limits.max_loss_increase is not None and rise > limits.max_loss_increase:
        text = f"the loss rises by {rise:.3f} nats per token to {loss:.3f}, limit {limits.max_loss_increase:g}"
        reasons.append(reason("loss_too_high", text))
    if not reasons and rise >= 0:
        reasons.append(reason("loss_not_lower", f"the loss goes from {base:.3f} to {loss:.3f} nats per token"))
    return reasons


def _canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """One spelling for one meaning."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
