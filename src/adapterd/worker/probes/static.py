"""What the files say by themselves: no base, no model, no library but numpy and PEFT's own tables."""

import math
from collections.abc import Iterator

from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.worker import attach, values
from adapterd.worker.case import Case
from adapterd.worker.probes.names import FACTOR, some


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
        yield reason("bad_config", f"adapter_config.json: {some(bad)}")


def config_known(case: Case) -> Iterator[Reason]:
    """What PEFT does not know it drops with a warning, and loads another adapter than was trained."""
    unknown = attach.unknown_parts(case.config)
    if unknown:
        yield reason("unsupported_peft", f"the installed PEFT does not know {some(unknown)}")


def ranks_agree(case: Case) -> Iterator[Reason]:
    """A rank that is not in the file is told before PEFT makes room for it: it may be any number."""
    factors = {name: t for name, t in case.weights.tensors.items() if FACTOR.search(name) and t.elements}
    if not factors:
        return
    ranks = {tensor.shape[0] for tensor in factors.values()}
    case.measurements["rank"] = max(ranks)
    if case.config.get("peft_type") != "LORA" or case.config.get("target_parameters"):
        return
    pattern = case.config.get("rank_pattern")
    allowed = {case.config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())}
    wrong = sorted(name for name, tensor in factors.items() if tensor.shape[0] not in allowed)
    if wrong:
        named = ", ".join(str(rank) for rank in sorted(allowed, key=str))
        held = ", ".join(str(rank) for rank in sorted(ranks))
        text = f"the config says rank {named}, {len(wrong)} of {len(factors)} tensors have rank {held}: {some(wrong)}"
        yield reason("shape_mismatch", text)


def tensors_not_empty(case: Case) -> Iterator[Reason]:
    """ZeRO-3 without gathering writes tensors of shape [0]."""
    empty = [tensor.name for tensor in case.weights.tensors.values() if not tensor.elements]
    if empty:
        total = len(case.weights.tensors)
        yield reason("empty_tensors", f"{len(empty)} of {total} tensors have no elements: {some(empty)}")


def values_in_range(case: Case) -> Iterator[Reason]:
    """Look at every value of the file."""
    total = len(case.weights.tensors)
    found = list(values.extremes(case.weights))
    bad = [(tensor.name, count) for tensor, count, _ in found if count]
    if bad:
        count, names = sum(number for _, number in bad), [name for name, _ in bad]
        text = f"{count} values in {len(bad)} of {total} tensors are NaN or Inf: {some(names)}"
        yield reason("non_finite", text)
    huge = [(tensor.name, largest) for tensor, count, largest in found if not count]
    if huge:
        names, most = [name for name, _ in huge], max(largest for _, largest in huge)
        text = f"{len(huge)} of {total} tensors hold values up to {most:.3g}: {some(names)}"
        yield reason("absurd_values", text)


def pages_written(case: Case) -> Iterator[Reason]:
    """Pages that were never written are zero from one page boundary to another."""
    runs = values.zeroed_pages(case.weights)
    if runs:
        names = list(dict.fromkeys(name for _, within in runs for name in within))
        pages = sum(count for count, _ in runs)
        text = f"{pages} pages of {values.PAGE} bytes are all zero, within {len(names)} tensors: {some(names)}"
        yield reason("zeroed_pages", text)


def rows_whole(case: Case) -> Iterator[Reason]:
    """One rank's rows, and zeros for those of the others."""
    found = values.partial_rows(case.weights)
    if found is not None:
        modules, zero, rows = found
        yield reason("partial_rows", f"{zero} of {rows} rows of lora_B are zero, the same share in {modules} modules")
