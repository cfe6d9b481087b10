"""Whose outputs are these: the adapter's, the bare base's, or can it not be told? Pure.

Kernels, types and devices differ in the last digits, so nothing is compared for equality: what counts is the distance
to the two recorded sides, against a tolerance and against how far the two are apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapterd.core import golden
from adapterd.core.golden import BadGoldenError, Golden, Reply

ADAPTER, BASE, INCONCLUSIVE = golden.ADAPTER, golden.BASE, "inconclusive"

_OF_DISTANCE = 1 / 8
"""On another device, type or library the share of the distance between adapter and base that is near enough."""
_CLEARLY = 2.0
"""So many times nearer to the one than to the other."""
_APART = 1 + 1 / _CLEARLY
"""Times the tolerance that the two must be apart, so that rounding cannot turn an answer over."""
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a comparison came to: ``adapter``, ``base`` or ``inconclusive``, and why, in a sentence.

    Attributes:
        distances: from what was observed to the recorded `adapter` and `base`; how far these are `apart`; what is
            `near` enough; how far the bare base here is from the recorded one (`base_here`). Mean differences of
            log-probabilities in nats, or of values. Empty where there is nothing to compare.
        greedy: tokens of the adapter's recorded continuations that came again, of how many; None for none.
    """

    answer: str
    why: str
    distances: Mapping[str, float] = field(default_factory=dict)
    greedy: tuple[int, int] | None = None


def compare(recorded: object, observed: object) -> Answer:
    """Say whose outputs were observed; both are documents of golden outputs, as `core.golden.document` gives them.

    The observed ones are those of the adapter as it was loaded here; their own base side only explains.
    """
    try:
        ours, here = golden.parse(recorded), golden.parse(observed)
    except BadGoldenError as error:
        return Answer(INCONCLUSIVE, str(error))
    if different := _not_the_same(ours, here):
        return Answer(INCONCLUSIVE, different)
    distances = _distances(ours, here)
    return Answer(*_decided(distances), distances, _greedy(ours.adapter, here.adapter))


def _not_the_same(ours: Golden, here: Golden) -> str:
    """Why the two were not asked the same; empty where they were."""
    if ours.task != here.task:
        return f"the recorded outputs are of the task {ours.task}, those here of {here.task}"
    if [prompt.ids for prompt in ours.prompts] != [prompt.ids for prompt in here.prompts]:
        return "the token ids of the prompts differ: the tokenizer here is another one than the recorded"
    for one, other in zip((*ours.adapter, *ours.base), (*here.adapter, *here.base), strict=True):
        if len(one.numbers) != len(other.numbers) or bool(one.ids) != bool(other.ids):
            return f"the recorded outputs are {_shape(one)}, those here {_shape(other)}"
    for one, other in zip(ours.adapter, ours.base, strict=True):
        if len(one.numbers) != len(other.numbers) or bool(one.ids) != bool(other.ids):
            return "the recorded outputs of adapter and base are not of one kind"
    return ""


def _shape(reply: Reply) -> str:
    return f"{len(reply.ids)} likeliest tokens" if reply.ids else f"{len(reply.numbers)} values"


def _distances(ours: Golden, here: Golden) -> dict[str, float]:
    apart = distance(ours.adapter, ours.base)
    tolerance = max(ours.tolerance, here.tolerance)
    return {
        "adapter": distance(here.adapter, ours.adapter),
        "base": distance(here.adapter, ours.base),
        "apart": apart,
        "near": tolerance if _alike(ours, here) else max(tolerance, apart * _OF_DISTANCE),
        "tolerance": tolerance,
        "base_here": distance(here.base, ours.base),
    }


def _alike(ours: Golden, here: Golden) -> bool:
    """Whether both were made on one kind of device, in one type, by the same libraries."""
    same_versions = all(ours.versions.get(name) == here.versions.get(name) for name in _LIBRARIES)
    same_type = (ours.dtype, ours.quantization) == (here.dtype, here.quantization)
    return same_versions and same_type and _kind(ours.device) == _kind(here.device)


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _decided(distances: Mapping[str, float]) -> tuple[str, str]:
    """The answer, and the sentence for it."""
    adapter, base, apart, near = (distances[name] for name in ("adapter", "base", "apart", "near"))
    tolerance = distances["tolerance"]
    told = f"{adapter:.3g} from the adapter's and {base:.3g} from the base's; these are {apart:.3g} apart"
    if apart <= _APART * tolerance:
        return INCONCLUSIVE, f"adapter and base are {apart:.3g} apart, and {tolerance:.3g} of it may be rounding"
    closer, nearest, farther = (ADAPTER, adapter, base) if adapter <= base else (BASE, base, adapter)
    if nearest > near:
        other = distances["base_here"] > near
        because = "; the bare base here answers otherwise than the recorded one, too" if other else ""
        return INCONCLUSIVE, f"the outputs are like neither: {told}, and {near:.3g} is near{because}"
    if farther < _CLEARLY * nearest:
        return INCONCLUSIVE, f"the outputs are between the two: {told}"
    return closer, f"the outputs are {told}, and {near:.3g} is near"


def distance(one: Sequence[Reply], other: Sequence[Reply]) -> float:
    """How far two sets of replies to the same prompts are apart: the mean over their numbers, then over the prompts."""
    each = [_between(a, b) for a, b in zip(one, other, strict=True)]
    return sum(each) / len(each)


def _between(one: Reply, other: Reply) -> float:
    if not one.ids:
        return sum(abs(a - b) for a, b in zip(one.numbers, other.numbers, strict=True)) / len(one.numbers)
    here = dict(zip(one.ids, one.logprobs, strict=True))
    there = dict(zip(other.ids, other.logprobs, strict=True))
    # A token that is not among the likeliest of the other side is at most as likely there as the last of them.
    floors = min(one.logprobs), min(other.logprobs)
    total = 0.0
    every = here.keys() | there.keys()
    for token in sorted(every):
        if token in here and token in there:
            total += abs(here[token] - there[token])
        elif token in here:
            total += max(here[token] - floors[1], 0.0)
        else:
            total += max(there[token] - floors[0], 0.0)
    return total / len(every)


def _greedy(ours: Sequence[Reply], here: Sequence[Reply]) -> tuple[int, int] | None:
    """Tokens of the recorded continuations that came again before the first other one, and all of them."""
    met = total = 0
    for one, other in zip(ours, here, strict=True):
        if one.greedy is None or other.greedy is None:
            return None
        total += len(one.greedy)
        for a, b in zip(one.greedy, other.greedy, strict=False):
            if a != b:
                break
            met += 1
    return met, total
