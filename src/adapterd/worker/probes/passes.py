"""The forward passes: finite, the same twice, different from the base's own, and the base as it was afterwards."""

from collections.abc import Iterator

import torch

from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.worker.architecture import FEATURES, LANGUAGE, SEQ_CLS
from adapterd.worker.case import Case
from adapterd.worker.outputs import largest_change, mean_cosine, mean_divergence, mean_loss
from adapterd.worker.probes.names import some


def outputs_finite(case: Case) -> Iterator[Reason]:
    """The outputs are numbers; if the base's own are not, that is not the adapter's fault."""
    before, first, _ = case.outputs()
    where = f"in {case.resident.dtype} on {case.resident.key.device}"
    if not before.finite:
        text = f"the base model itself gives NaN or Inf {where}, without any adapter"
        yield reason("base_not_at_hand", text, "choose another dtype under validation, then `adapterd retry`")
    elif not first.finite:
        bad = int((~torch.isfinite(first.values)).sum())
        yield reason("output_non_finite", f"{bad} of {first.values.numel()} outputs are NaN or Inf {where}")


def repeatable(case: Case) -> Iterator[Reason]:
    """Two passes over a part of the probes give the same; the second one, warm, gives the latency."""
    _, _, batch = case.outputs()
    case.measurements |= {"tokens": batch.tokens, "texts": batch.texts}
    if case.twice is not None and case.spot is not None:
        one, two = case.twice
        base = case.resident.outputs[case.spot.digest]
        case.measurements |= {
            "deterministic": one.same(two),
            "latency_ms": round(two.seconds * 1000, 3),
            "latency_base_ms": round(base.seconds * 1000, 3),
        }
    touched, trained = batch.touched
    if trained:
        case.measurements |= {"tokens_trained": trained, "tokens_touched": touched}
    return iter(())


def output_change(case: Case) -> Iterator[Reason]:
    """How far the outputs move, and where to."""
    before, first, batch = case.outputs()
    if not (before.finite and first.finite) or before.values.shape != first.values.shape:
        return iter(())
    case.measurements["max_dlogit"] = largest_change(before, first)
    if case.null is not None:
        case.measurements["noise_floor"] = max(largest_change(before, case.null), before.noise)
    elif before.noise:
        case.measurements["noise_floor"] = before.noise
    if case.task in LANGUAGE:
        case.measurements |= {"kl": mean_divergence(before, first), "vocabulary": before.values.shape[-1]}
    elif case.task == FEATURES:
        case.measurements["cosine"] = mean_cosine(before, first)
    if batch.targets is not None and case.task in LANGUAGE | {SEQ_CLS}:
        losses = {"loss_base": mean_loss(before, batch.targets), "loss_adapter": mean_loss(first, batch.targets)}
        case.measurements |= {name: loss for name, loss in losses.items() if loss is not None}
    return iter(())


def exercised(case: Case) -> Iterator[Reason]:
    """Say which layers no pass came through: a vision tower, a decoder that was not asked, rare experts."""
    if case.idle:
        modules = case.measurements.get("modules", 0)
        text = f"no pass came through {len(case.idle)} of the {modules} layers: {some(case.idle)}"
        case.measurements["modules_idle"] = len(case.idle)
        yield reason("not_exercised", text)


def base_unchanged(case: Case) -> Iterator[Reason]:
    """The base is what it was, bitwise; kinds that rightly change it had one of their own."""
    if case.dirty:
        case.measurements["base_restored"] = "reloaded"
        return
    written = not case.resident.standing.unchanged()
    was = case.resident.outputs.get(case.spot.digest) if case.spot is not None else None
    moved = was is not None and case.after is not None and not case.after.as_before(was)
    case.measurements["base_restored"] = not (written or moved)
    if written:
        yield reason("base_changed", "parameters of the base model were written to")
    elif moved:
        yield reason("base_changed", "the outputs of the bare base model are not what they were")
