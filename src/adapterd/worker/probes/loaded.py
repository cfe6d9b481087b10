"""The base is there, and the adapter in it: head, tokens, what is in memory, where it lies, what it changes."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import torch

from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.worker import attach
from adapterd.worker.architecture import FEATURES
from adapterd.worker.case import Case
from adapterd.worker.effect import Change, changes
from adapterd.worker.placement import placement
from adapterd.worker.probes.names import EMBEDDING, some

_KINDS = 64
"""Names of layers that effects are told by, at the most."""


def head_held(case: Case) -> Iterator[Reason]:
    """What neither the base nor the file holds is random at each load."""
    if case.task == FEATURES:
        return
    in_file = {attach.base_name(key) for key in case.held}
    lost = sorted(name for name in case.resident.random if name not in in_file)
    if lost:
        yield reason("head_missing", f"neither the base model nor the file holds {some(lost)}")


def tokens_fit(case: Case) -> Iterator[Reason]:
    """A token that was added to the tokenizer has a row in the embedding."""
    rows = case.resident.rows
    if rows and case.token_limit > rows:
        text = f"the adapter's tokenizer gives token ids up to {case.token_limit - 1}, the base has {rows} embeddings"
        yield reason("tokens_out_of_range", text)


def embeddings_are_the_bases(case: Case) -> Iterator[Reason]:
    """PEFT saves an embedding of the base as it is beside trained factors; with other values it would overwrite it."""
    if case.resident.key.rows is not None:
        return
    wrong = []
    for key in case.held.keys() - case.shape().expected.keys():
        name = attach.base_name(key)
        if not EMBEDDING.search(name) or name not in case.resident.shapes or key not in case.weights.tensors:
            continue
        here = case.resident.model.get_parameter(name)
        if not torch.equal(attach.tensor_of(case.weights, case.weights.tensors[key]).to(here.device, here.dtype), here):
            wrong.append(key)
    if wrong:
        text = f"{len(wrong)} embeddings of the base model stand in the file with other values: {some(sorted(wrong))}"
        yield reason("base_keys", text)


def round_trip(case: Case) -> Iterator[Reason]:
    """What PEFT would save now is what is in the file, in the type that PEFT keeps it in."""
    held = attach.expected(case.model, case.name)
    differing = [
        key
        for key, tensor in case.tensors.items()
        if key in case.shape().expected
        and (key not in held or not torch.equal(held[key].cpu(), tensor.to(held[key].dtype)))
    ]
    if differing:
        text = f"{len(differing)} of {len(held)} tensors differ in memory from the file: {some(differing)}"
        yield reason("roundtrip_differs", text)


def placed(case: Case) -> Iterator[Reason]:
    """Nothing of the adapter lies on `meta`, or on another device than the layer that it wraps."""
    wrong = placement(case.model, case.name)
    if wrong:
        yield reason("misplaced", f"{len(wrong)} parameters do not lie with their layer: {some(wrong)}")


def weight_change(case: Case) -> Iterator[Reason]:
    """How much each layer is changed; the verdict says whether that is enough, or too much."""
    found = list(changes(case.model, case.name, case.resident.norms, case.begun))
    wrapped = [change.size for change in found if not change.saved]
    saved = [change.size for change in found if change.saved]
    case.measurements["modules"] = len(found)
    case.measurements["modules_without_effect"] = sum(change.size == 0 for change in found)
    sizes = wrapped or saved
    if sizes:
        case.measurements |= {"effect": max(sizes), "effect_min": min(sizes), "effect_median": median(sizes)}
        case.measurements["effects"] = _by_kind(found)
    if saved:
        case.measurements["saved_effect"] = max(saved)
    return iter(())


def _by_kind(found: Sequence[Change]) -> dict[str, dict[str, Any]]:
    """The changes of layers of one name, as in all `q_proj`, together."""
    kinds: dict[str, list[float]] = {}
    for change in found:
        named = change.module.removesuffix(".base_layer")  # a parameter of a layer that holds several
        kinds.setdefault(named.rsplit(".", 1)[-1], []).append(change.size)
    return {
        kind: {"layers": len(sizes), "zero": sum(s == 0 for s in sizes), "min": min(sizes), "max": max(sizes)}
        for kind, sizes in sorted(kinds.items())[:_KINDS]
    }
