"""The probes: one function each, and one line in one of the lists at the end.

A probe looks at a case, writes down what it measures, and yields the faults that it found. The lists run in order,
cheap before expensive; within a list every probe runs, so that all faults of one level are told at once.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.worker import attach
from adapterd.worker.base import CAUSAL_LM, FEATURES, SEQ_CLS
from adapterd.worker.case import Case
from adapterd.worker.effect import changes
from adapterd.worker.files import Weights
from adapterd.worker.outputs import largest_change, mean_cosine, mean_divergence, mean_loss

_SHOWN = 3
_FACTOR = re.compile(r"\.lora_(?:embedding_)?A(?:\.weight)?$")
_HEAD = re.compile(r"(?:^|\.)(?:classifier|score)\.(?:.*\.)?weight$")
_EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|lm_head|wte|word_embeddings|embed_in|embed_out|embeddings)\.weight$")


Probe = Callable[[Case], Iterable[Reason]]

# --- files ----------------------------------------------------------------------------------------------------------


def file_size(case: Case) -> Iterator[Reason]:
    """Count what the file holds."""
    tensors = case.weights.tensors.values()
    case.measurements |= {
        "tensors": len(tensors),
        "parameters": sum(tensor.elements for tensor in tensors),
        "bytes": case.weights.size,
    }
    if not tensors:
        yield reason("missing_keys", "the weights file holds no tensor at all")


def config_numbers(case: Case) -> Iterator[Reason]:
    """JSON as Python reads it allows NaN, and PEFT computes with it."""
    numbers = {key: value for key, value in case.config.items() if isinstance(value, float)}
    bad = [f"{key} = {value}" for key, value in numbers.items() if not math.isfinite(value)]
    if bad:
        yield reason("bad_config", f"adapter_config.json: {_some(bad)}")


def config_known(case: Case) -> Iterator[Reason]:
    """What PEFT does not know it drops with a warning, and loads another adapter than was trained."""
    unknown = attach.unknown_parts(case.config)
    if unknown:
        yield reason("unsupported_peft", f"the installed PEFT does not know {_some(unknown)}")


def ranks_agree(case: Case) -> Iterator[Reason]:
    """A rank that is not in the file is told before PEFT makes room for it: it may be any number."""
    factors = {name: t for name, t in case.weights.tensors.items() if _FACTOR.search(name) and t.elements}
    if not factors:
        return
    ranks = {tensor.shape[0] for tensor in factors.values()}
    case.measurements["rank"] = max(ranks)
    if case.config.get("peft_type") != "LORA" or case.config.get("target_parameters"):
        return
    allowed = {case.config.get("r"), *(case.config.get("rank_pattern") or {}).values()}
    wrong = sorted(name for name, tensor in factors.items() if tensor.shape[0] not in allowed)
    if wrong:
        named = ", ".join(str(rank) for rank in sorted(allowed, key=str))
        held = ", ".join(str(rank) for rank in sorted(ranks))
        text = f"the config says rank {named}, {len(wrong)} of {len(factors)} tensors have rank {held}: {_some(wrong)}"
        yield reason("shape_mismatch", text)


def tensors_not_empty(case: Case) -> Iterator[Reason]:
    """ZeRO-3 without gathering writes tensors of shape [0]."""
    empty = [tensor.name for tensor in case.weights.tensors.values() if not tensor.elements]
    if empty:
        total = len(case.weights.tensors)
        yield reason("empty_tensors", f"{len(empty)} of {total} tensors have no elements: {_some(empty)}")


def values_finite(case: Case) -> Iterator[Reason]:
    """Look at every value of the file."""
    bad = list(case.weights.non_finite())
    if bad:
        count, names = sum(number for _, number in bad), [tensor.name for tensor, _ in bad]
        text = f"{count} values in {len(bad)} of {len(case.weights.tensors)} tensors are NaN or Inf: {_some(names)}"
        yield reason("non_finite", text)


# --- the base is loaded ----------------------------------------------------------------------------------------------


def tokens_fit(case: Case) -> Iterator[Reason]:
    """A token that was added to the tokenizer has a row in the embedding."""
    rows = case.resident.rows
    if case.token_limit > rows:
        text = f"the adapter's tokenizer gives token ids up to {case.token_limit - 1}, the base has {rows} embeddings"
        yield reason("tokens_out_of_range", text)


# --- structure: injected, nothing loaded yet ------------------------------------------------------------------------


def keys_match(case: Case) -> Iterator[Reason]:
    """The file and the injected adapter have exactly the same tensors; PEFT drops what is too much without a word."""
    file = case.weights.tensors.keys()
    names = case.resident.names
    surplus = sorted(key for key in file - case.expected.keys() if not _own_embedding(case, key))
    of_base = [key for key in surplus if attach.base_name(key) in names]
    unexpected = [key for key in surplus if attach.base_name(key) not in names]
    missing = sorted(case.expected.keys() - file)
    if of_base:
        yield reason("base_keys", f"{len(of_base)} tensors are the base model's own: {_some(of_base)}")
    if unexpected:
        text = f"{len(unexpected)} of {len(file)} tensors have no place in the adapter: {_some(unexpected)}"
        yield reason("unexpected_keys", text)
    rest = [key for key in missing if not _HEAD.search(key) and not _HEAD.search(key.replace(".bias", ".weight"))]
    if rest:
        yield reason("missing_keys", f"{len(rest)} of {len(case.expected)} tensors are not in the file: {_some(rest)}")
    elif missing:
        yield reason("head_missing", f"{len(missing)} tensors of the head are not in the file: {_some(missing)}")


def head_present(case: Case) -> Iterator[Reason]:
    """A head that neither the base nor the file holds is random at each load."""
    if case.resident.key.task != SEQ_CLS or any(_HEAD.search(key) for key in case.weights.tensors):
        return
    lost = sorted(case.resident.random)
    if lost and not any(_HEAD.search(key) for key in case.expected):
        yield reason("head_missing", f"neither the base model nor the file holds {_some(lost)}")


def shapes_match(case: Case) -> Iterator[Reason]:
    """Each tensor has the shape that the base gives it."""
    tensors = case.weights.tensors
    wrong = [
        f"{key} is {list(tensors[key].shape)}, the base needs {list(tensor.shape)}"
        for key, tensor in sorted(case.expected.items())
        if key in tensors and tensors[key].shape != tuple(tensor.shape)
    ]
    if wrong:
        yield reason("shape_mismatch", f"{len(wrong)} of {len(tensors)} tensors do not fit: {_some(wrong, '; ')}")


# --- loaded ---------------------------------------------------------------------------------------------------------


def round_trip(case: Case) -> Iterator[Reason]:
    """What PEFT would save now is what is in the file, in the type that PEFT keeps it in."""
    held = attach.expected(case.model, case.name)
    differing = [
        key
        for key, entry in case.weights.tensors.items()
        if key in held and not torch.equal(held[key].cpu(), attach.tensor_of(case.weights, entry).to(held[key].dtype))
    ]
    if differing:
        text = f"{len(differing)} of {len(held)} tensors differ in memory from the file: {_some(differing)}"
        yield reason("roundtrip_differs", text)


def weight_change(case: Case) -> Iterator[Reason]:
    """How much each layer is changed; the verdict says whether that is enough."""
    found = list(changes(case.model, case.name, case.resident.norms))
    wrapped = [change.size for change in found if not change.saved]
    saved = [change.size for change in found if change.saved]
    case.measurements["modules"] = len(found)
    case.measurements["modules_without_effect"] = sum(change.size == 0 for change in found)
    if wrapped:
        case.measurements |= {"effect": max(wrapped), "effect_min": min(wrapped)}
    elif saved:
        case.measurements |= {"effect": max(saved), "effect_min": min(saved)}
    if saved:
        case.measurements["saved_effect"] = max(saved)
    return iter(())


# --- outputs --------------------------------------------------------------------------------------------------------


def outputs_finite(case: Case) -> Iterator[Reason]:
    """The outputs are numbers; if the base's own are not, that is not the adapter's fault."""
    before, first, _, _ = case.outputs()
    where = f"in {case.resident.dtype} on {case.resident.key.device}"
    if not before.finite:
        text = f"the base model itself gives NaN or Inf {where}, without any adapter"
        yield reason("base_not_at_hand", text, "choose another dtype under validation, then `adapterd retry`")
    elif not first.finite:
        bad = int((~torch.isfinite(first.values)).sum())
        yield reason("output_non_finite", f"{bad} of {first.values.numel()} outputs are NaN or Inf {where}")


def repeatable(case: Case) -> Iterator[Reason]:
    """Two passes give the same; the second one, warm, gives the latency."""
    before, first, second, batch = case.outputs()
    case.measurements |= {
        "tokens": batch.tokens,
        "texts": len(batch.ids),
        "deterministic": first.same(second),
        "latency_ms": round(second.seconds * 1000, 3),
        "latency_base_ms": round(before.seconds * 1000, 3),
    }
    return iter(())


def output_change(case: Case) -> Iterator[Reason]:
    """How far the outputs move, and where to."""
    before, first, _, batch = case.outputs()
    if before.finite and first.finite:
        case.measurements["max_dlogit"] = largest_change(before, first)
        if case.resident.key.task == CAUSAL_LM:
            targets = batch.targets()
            case.measurements |= {
                "loss_base": mean_loss(before, targets),
                "loss_adapter": mean_loss(first, targets),
                "kl": mean_divergence(before, first),
            }
        elif case.resident.key.task == FEATURES:
            case.measurements["cosine"] = mean_cosine(before, first)
    return iter(())


# --- removed --------------------------------------------------------------------------------------------------------


def base_unchanged(case: Case) -> Iterator[Reason]:
    """The base is what it was, bitwise; kinds that rightly change it had one of their own."""
    if case.dirty:
        case.measurements["base_restored"] = "reloaded"
        return
    written = not case.resident.standing.unchanged()
    moved = case.before is not None and case.after is not None and not case.after.as_before(case.before)
    case.measurements["base_restored"] = not (written or moved)
    if written:
        yield reason("base_changed", "parameters of the base model were written to")
    elif moved:
        yield reason("base_changed", "the outputs of the bare base model are not what they were")


FILES: Sequence[Probe] = (file_size, config_numbers, config_known, ranks_agree, tensors_not_empty, values_finite)
BASE: Sequence[Probe] = (tokens_fit,)
STRUCTURE: Sequence[Probe] = (keys_match, head_present, shapes_match)
LOADED: Sequence[Probe] = (round_trip, weight_change)
OUTPUTS: Sequence[Probe] = (outputs_finite, repeatable, output_change)
REMOVED: Sequence[Probe] = (base_unchanged,)


def look(case: Case, probes: Sequence[Probe]) -> list[Reason]:
    """Run every probe of a level, and give all that they found."""
    return [found for probe in probes for found in probe(case)]


def label_count(weights: Weights) -> int | None:
    """Give the number of labels of the classification head in the file, None where it holds none."""
    heads = [tensor for name, tensor in weights.tensors.items() if _HEAD.search(name) and len(tensor.shape) > 1]
    last = [tensor for tensor in heads if ".dense." not in tensor.name]
    return last[-1].shape[0] if last else None


def embedding_rows(weights: Weights) -> int | None:
    """Give the rows of an embedding that is saved whole beside the adapter, None where there is none."""
    found = [t for name, t in weights.tensors.items() if _EMBEDDING.search(attach.base_name(name)) and len(t.shape) > 1]
    return found[0].shape[0] if found else None


def _own_embedding(case: Case, key: str) -> bool:
    """Tell whether PEFT rightly saved this embedding of the base: resized, or unchanged beside trained factors."""
    name, base = attach.base_name(key), case.resident
    if not _EMBEDDING.search(name) or name not in base.names:
        return False
    held = base.model.get_parameter(name) if base.key.rows is None else None
    entry = case.weights.tensors[key]
    if held is None:
        return entry.shape[0] == base.key.rows
    return entry.shape == tuple(held.shape) and torch.equal(
        attach.tensor_of(case.weights, entry).to(held.device, held.dtype), held
    )


def _some(names: Sequence[str], between: str = ", ") -> str:
    """Name the first few."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return between.join(names[:_SHOWN]) + more
