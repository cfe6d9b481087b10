"""Golden outputs: what a version, and its base alone, answered on public texts, as they stand in the manifest. Pure.

Whoever loads the version later gives it the same prompts and compares (`core.likeness`).
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.core.probetexts import TEXTS

SCHEMA = 1
PROMPTS = 3
"""Built-in texts that are asked."""
TOKENS = 16
"""Longest prompt."""
TOP = 5
"""Most likely next tokens that are recorded."""
GREEDY = 4
"""Tokens of a continuation."""
MOST_IDS = 64
"""Token ids of a prompt or a continuation that are read: other releases may record more than this one."""
FEATURES = 16
"""Values of a hidden state that are recorded, beside its norm."""
MOST_VALUES = 64
"""Class logits, or positions, that are recorded."""
MAX_TEXT = 4096
"""Characters of a text; more are none of ours."""

TEXTS_DIGEST = hashlib.sha256(json.dumps(TEXTS[:PROMPTS], ensure_ascii=True).encode()).hexdigest()

_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_LEAST_SHARE = 2e-5
"""Of the largest logit: kernels of one type add up in different orders, which moves the mean by less than this."""
_OF_EPS = 0.5
"""The same for the step of a type. Measured on a model of 135 M: float32 to bfloat16 moves the mean log-probability of
the likeliest tokens by 0.11 to 0.25 of it, float32 to float16 by 0.2."""
_OF_NOISE = 4.0

ADAPTER, BASE = "adapter", "base"
"""The two sides of a prompt."""


class BadGoldenError(ValueError):
    """It is no document of golden outputs; the text says why."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids that a model is given; `text` gives them with the model's own tokenizer, None where none does."""

    ids: tuple[int, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answers on one prompt: its most likely next tokens, or values.

    Attributes:
        ids, logits, logprobs: the most likely next tokens, the likeliest first.
        greedy: the continuation, one likeliest token after the other; None where the model continues nothing.
        text: the continuation in words.
        values: class logits, start and end of an answer, or the first values of the mean hidden state.
        norm: of the mean hidden state.
    """

    ids: tuple[int, ...] = ()
    logits: tuple[float, ...] = ()
    logprobs: tuple[float, ...] = ()
    greedy: tuple[int, ...] | None = None
    text: str | None = None
    values: tuple[float, ...] = ()
    norm: float | None = None

    @property
    def numbers(self) -> tuple[float, ...]:
        """All values, the norm last."""
        return self.values if self.norm is None else (*self.values, self.norm)

    @property
    def finite(self) -> bool:
        """Whether there is no NaN and no Inf."""
        return all(map(math.isfinite, (*self.logits, *self.logprobs, *self.numbers)))


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden outputs, and where they were made.

    Attributes:
        adapter, base: a reply for each prompt.
        quantization: of the base, in the configuration's word; empty for none.
    """

    task: str
    prompts: tuple[Prompt, ...]
    adapter: tuple[Reply, ...]
    base: tuple[Reply, ...]
    device: str
    dtype: str
    tolerance: float
    versions: Mapping[str, str] = field(default_factory=dict)
    quantization: str = ""


def tolerance(dtype: str, sides: Iterable[Sequence[Reply]], noise: float = 0.0) -> float:
    """How far two correct implementations may be apart.

    Args:
        dtype: that the outputs were computed in.
        sides: the replies, for their size: an error of rounding grows with it.
        noise: largest difference between two passes of the same model here.
    """
    values = (abs(value) for side in sides for reply in side for value in (*reply.logits, *reply.values))
    largest = max(values, default=0.0)
    share = max(_LEAST_SHARE, _OF_EPS * _EPS.get(dtype, _EPS["bfloat16"]))
    return share * largest + _OF_NOISE * noise


def document(golden: Golden) -> dict[str, Any] | None:
    """As plain JSON, for the manifest; None where an output is no finite number, or there is none."""
    replies = (*golden.adapter, *golden.base)
    if not replies or not math.isfinite(golden.tolerance) or not all(reply.finite for reply in replies):
        return None
    return {
        "schema": SCHEMA,
        "texts": TEXTS_DIGEST,
        "task": golden.task,
        "device": golden.device,
        "dtype": golden.dtype,
        "quantization": golden.quantization or None,
        "versions": dict(golden.versions),
        "tolerance": _rounded(golden.tolerance),
        "prompts": [
            {"text": prompt.text, "ids": list(prompt.ids), ADAPTER: _reply(adapter), BASE: _reply(base)}
            for prompt, adapter, base in zip(golden.prompts, golden.adapter, golden.base, strict=True)
        ],
    }


def _reply(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if reply.ids:
        found["ids"] = list(reply.ids)
        found |= {"logits": _all_rounded(reply.logits), "logprobs": _all_rounded(reply.logprobs)}
    if reply.greedy is not None:
        found["greedy"] = {"ids": list(reply.greedy), "text": reply.text}
    if reply.values:
        found["values"] = _all_rounded(reply.values)
    if reply.norm is not None:
        found["norm"] = _rounded(reply.norm)
    return found


def _all_rounded(values: Sequence[float]) -> list[float]:
    return [_rounded(value) for value in values]


def _rounded(value: float) -> float:
    """Six digits: more are noise on any other machine."""
    return float(f"{value:.6g}")


def parse(found: object) -> Golden:
    """Read a document, which may come from anyone. BadGoldenError says what is wrong with it."""
    try:
        return _parsed(found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, BadGoldenError):
            raise
        what = f"lack {error}" if isinstance(error, KeyError) else "have a value of another type than schema 1 says"
        raise BadGoldenError(f"the golden outputs {what}") from None


def _parsed(found: Any) -> Golden:  # noqa: ANN401 - any JSON value
    schema = found["schema"]
    if not _is_whole(schema) or schema < 1:
        raise BadGoldenError("the golden outputs name no schema")
    if schema > SCHEMA:
        raise BadGoldenError(f"the golden outputs have schema {schema}; this adapterd knows {SCHEMA}")
    asked = found["prompts"]
    if not isinstance(asked, list) or not 0 < len(asked) <= PROMPTS:
        raise BadGoldenError("the golden outputs have no prompts, or too many")
    golden = Golden(
        task=_text(found["task"]),
        prompts=tuple(
            Prompt(_ids(one["ids"], MOST_IDS), None if one.get("text") is None else _text(one["text"])) for one in asked
        ),
        adapter=tuple(_read(one[ADAPTER]) for one in asked),
        base=tuple(_read(one[BASE]) for one in asked),
        device=_text(found["device"]),
        dtype=_text(found["dtype"]),
        tolerance=_numbers([found["tolerance"]], 1)[0],
        versions={_text(name): _text(version) for name, version in found["versions"].items()},
        quantization=_text(found.get("quantization") or ""),
    )
    if golden.tolerance < 0:
        raise BadGoldenError("the golden outputs have a tolerance below zero")
    return golden


def _read(found: Mapping[str, Any]) -> Reply:
    greedy = found.get("greedy")
    said = None if greedy is None else greedy.get("text")
    reply = Reply(
        ids=_ids(found.get("ids", []), TOP),
        logits=_numbers(found.get("logits", []), TOP),
        logprobs=_numbers(found.get("logprobs", []), TOP),
        greedy=None if greedy is None else _ids(greedy["ids"], MOST_IDS),
        text=None if said is None else _text(said),
        values=_numbers(found.get("values", []), MOST_VALUES),
        norm=None if found.get("norm") is None else _numbers([found["norm"]], 1)[0],
    )
    if not (len(reply.ids) == len(reply.logits) == len(reply.logprobs)) or not (reply.ids or reply.values):
        raise BadGoldenError("the golden outputs have a reply that is not whole")
    return reply


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ids(found: Sequence[Any], most: int) -> tuple[int, ...]:
    if not isinstance(found, list) or len(found) > most or not all(_is_whole(n) and 0 <= n < 2**31 for n in found):
        raise BadGoldenError("the golden outputs have token ids that are none")
    return tuple(found)


def _numbers(found: Sequence[Any], most: int) -> tuple[float, ...]:
    if not isinstance(found, list) or len(found) > most:
        raise BadGoldenError("the golden outputs have too many numbers")
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not abs(n) < 1e30 for n in found):  # noqa: PLR2004 - no output is
        raise BadGoldenError("the golden outputs have a number that is none")
    return tuple(float(n) for n in found)


def _text(found: object) -> str:
    if not isinstance(found, str) or len(found) > MAX_TEXT:
        raise BadGoldenError("the golden outputs have a text that is none")
    return found
