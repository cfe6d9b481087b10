"""Whether the file holds exactly the tensors that config and base ask for, in both directions."""

import re
from collections.abc import Iterator, Sequence

from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.worker import attach
from adapterd.worker.architecture import LABELLED, QUESTION_ANS
from adapterd.worker.case import Case
from adapterd.worker.probes.names import EMBEDDING, HEAD, misspelt, some

_PLACES = ".shira_indices"
_LAYER = re.compile(r"\.(?:layers?|h|blocks?|albert_layer_groups)\.(\d+)\.")


def keys_match(case: Case) -> Iterator[Reason]:
    """The file and the injected adapter have exactly the same tensors; PEFT drops what is too much without a word."""
    expected, base = case.shape().expected, case.shape().base
    surplus = sorted(key for key in case.held.keys() - expected.keys() if not _embedding_of_base(case, key))
    missing = sorted(expected.keys() - case.held.keys())
    if how := misspelt(surplus, missing):
        text = f"{len(surplus)} of {len(case.held)} keys have no place, and all of them have {how}: {some(surplus)}"
        yield reason("key_prefix", text)
        return
    of_base = [key for key in surplus if attach.base_name(key) in base]
    unexpected = [key for key in surplus if attach.base_name(key) not in base]
    if of_base:
        yield reason("base_keys", f"{len(of_base)} tensors are the base model's own: {some(of_base)}")
    if unexpected:
        text = f"{len(unexpected)} of {len(case.held)} tensors have no place in the adapter: {some(unexpected)}"
        yield reason("unexpected_keys", text, _why_unexpected(case, unexpected))
    rest = [key for key in missing if not HEAD.search(key)]
    if rest:
        text = f"{len(rest)} of {len(expected)} tensors are not in the file: {some(rest)}"
        yield reason("missing_keys", text, _why_missing(case, rest))
    elif missing:
        yield reason("head_missing", f"{len(missing)} tensors of the head are not in the file: {some(missing)}")


def head_expected(case: Case) -> Iterator[Reason]:
    """A task with labels needs a head, from the base or from the file; the base is asked once it is loaded."""
    if case.task in LABELLED | {QUESTION_ANS}:
        case.measurements["head_in_file"] = any(HEAD.search(key) and ".lora_" not in key for key in case.held)
    return iter(())


def shapes_match(case: Case) -> Iterator[Reason]:
    """Each tensor has the shape that the base gives it."""
    wrong = [
        f"{key} is {list(case.held[key].sizes)}, the base needs {list(shape.sizes)}"
        for key, shape in sorted(case.shape().expected.items())
        if key in case.held and case.held[key].sizes != shape.sizes
    ]
    if wrong:
        yield reason("shape_mismatch", f"{len(wrong)} of {len(case.held)} tensors do not fit: {some(wrong, '; ')}")


def kinds_match(case: Case) -> Iterator[Reason]:
    """Whole numbers stand where the adapter has whole numbers, fractions where it has fractions."""
    wrong = [
        key
        for key, shape in sorted(case.shape().expected.items())
        if key in case.held and case.held[key].fractions != shape.fractions
    ]
    if wrong:
        dtypes = sorted({t.dtype for name, t in case.weights.tensors.items() if name in wrong})
        text = f"{len(wrong)} of {len(case.held)} tensors are of another kind ({', '.join(dtypes)}): {some(wrong)}"
        yield reason("dtype_mismatch", text)


def places_exist(case: Case) -> Iterator[Reason]:
    """Indices into a layer (SHiRA) are within it: PEFT writes wherever they point to."""
    wrong = []
    for key, tensor in case.weights.tensors.items():
        if not key.endswith(_PLACES) or not tensor.elements or case.held[key].fractions:
            continue
        layer = case.shape().base.get(f"{attach.base_name(key).removesuffix(_PLACES)}.weight")
        places = attach.tensor_of(case.weights, tensor)
        if layer and places.dim() == len(layer) == len(places):
            low, high = [int(row.min()) for row in places], [int(row.max()) for row in places]
            if min(low) < 0 or any(place >= size for place, size in zip(high, layer, strict=True)):
                wrong.append(f"{key} reaches from {low} to {high}, the layer is {list(layer)}")
    if wrong:
        yield reason("shape_mismatch", f"{len(wrong)} tensors point out of their layer: {some(wrong, '; ')}")


def _embedding_of_base(case: Case, key: str) -> bool:
    """Tell whether PEFT may have saved this embedding of the base: resized, or as it is beside trained factors.

    In the latter case its values are compared with the base's once that is loaded.
    """
    name = attach.base_name(key)
    known = case.shape().base.get(name)
    return bool(EMBEDDING.search(name)) and known is not None and case.held[key].sizes == known


def _why_unexpected(case: Case, keys: Sequence[str]) -> str:
    """The likely cause, where the names tell it; else the table's."""
    if all("magnitude" in key for key in keys):
        return "the file holds DoRA's magnitudes and the config does not say use_dora: save config and weights together"
    return _depth(case, keys, "has no such layers: it was trained on a deeper base")


def _why_missing(case: Case, keys: Sequence[str]) -> str:
    if all("magnitude" in key for key in keys):
        return "the config says use_dora and the file holds no magnitudes: save config and weights together"
    return _depth(
        case, keys, "has more layers than the file: it was trained on a shallower base, or part of it is lost"
    )


def _depth(case: Case, keys: Sequence[str], told: str) -> str:
    """Say that the layers differ, where all the keys are of layers that only one side has."""
    here = {int(found[1]) for key in case.shape().base if (found := _LAYER.search(f".{key}"))}
    file = {int(found[1]) for key in case.held if (found := _LAYER.search(key))}
    of = {int(found[1]) for key in keys if (found := _LAYER.search(key))}
    only = (file - here) | (here - file)
    if of and of <= only:
        return f"the base has {len(here)} layers and {told}"
    return ""
