"""Golden outputs as they stand in a manifest, and whose outputs others are."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import golden
from adapterd.core.golden import BadGoldenError, Golden, Prompt, Reply
from adapterd.core.likeness import compare

CPU = {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}


def said(*logprobs: float, greedy: tuple[int, ...] = (7,) * 8, first: int = 10) -> Reply:
    """The likeliest tokens from `first` on."""
    ids = tuple(range(first, first + len(logprobs)))
    return Reply(ids, tuple(n + 20 for n in logprobs), logprobs, greedy, "a b")


def made(adapter: Reply, base: Reply, **changes: Any) -> Golden:  # noqa: ANN401 - fields of Golden
    """Golden outputs on one prompt, in float32 on the CPU."""
    prompt = Prompt((1, 2, 3), "The ferry")
    plain = Golden("CAUSAL_LM", (prompt,), (adapter,), (base,), "cpu", "float32", 0.01, CPU)
    return replace(plain, **changes)


BARE = said(-0.1, -3.0, -4.0, -5.0, -6.0)
TRAINED = said(-2.1, -1.0, -2.0, -7.0, -8.0, greedy=(7, 7, 7, 7, 8, 8, 8, 8))
RECORDED = made(TRAINED, BARE)
FEATURES = made(Reply(values=(1.0, 2.0), norm=3.0), Reply(values=(2.0, 3.0), norm=4.0), task="FEATURE_EXTRACTION")


def moved(reply: Reply, by: float) -> Reply:
    """The same, a little off."""
    return replace(reply, logprobs=tuple(n + by for n in reply.logprobs), values=tuple(n + by for n in reply.values))


def document(of: Golden) -> dict[str, Any]:
    """As it stands in a manifest."""
    found = golden.document(of)
    assert found is not None
    again: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return again


@pytest.mark.parametrize("of", [RECORDED, FEATURES])
def test_a_document_is_read_as_it_was_written(of: Golden) -> None:
    """All of it is plain JSON, names its schema and its texts, and says where it was made."""
    found = document(of)
    assert golden.parse(found) == of
    assert (found["schema"], found["texts"], found["device"], found["dtype"]) == (
        1,
        golden.TEXTS_DIGEST,
        "cpu",
        "float32",
    )


def test_six_digits_are_kept() -> None:
    """More are noise on any other machine, and a manifest stays small."""
    found = document(made(replace(TRAINED, logits=(1.23456789, 0, 0, 0, 0)), BARE))
    assert found["prompts"][0]["adapter"]["logits"][0] == 1.23457


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_recorded(value: float) -> None:
    """An adapter that answers NaN is refused for it elsewhere; there is nothing golden about it."""
    assert golden.document(made(replace(TRAINED, logits=(value, 0, 0, 0, 0)), BARE)) is None


@pytest.mark.parametrize(
    ("dtype", "noise", "expected"),
    [
        ("float32", 0.0, 20 * 2e-5),
        ("float16", 0.0, 20 * 2**-11),
        ("bfloat16", 0.0, 20 * 2**-8),
        ("float8_e4m3fn", 0.0, 20 * 2**-8),
        ("float32", 0.5, 20 * 2e-5 + 2.0),
    ],
)
def test_the_tolerance_follows_from_type_size_and_noise(dtype: str, noise: float, expected: float) -> None:
    """An error of rounding grows with the step of the type and with the logits; repeated passes show the rest."""
    sides = [[replace(TRAINED, logits=(-20.0, 1.0))], [replace(BARE, logits=(3.0,))]]
    assert golden.tolerance(dtype, sides, noise) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("observed", "answer", "why"),
    [
        (RECORDED, "adapter", "0 from the adapter's"),
        (made(moved(TRAINED, 0.009), BARE), "adapter", "and 0.01 is near"),
        (made(BARE, BARE), "base", "0 from the base's"),
        (made(moved(BARE, 0.009), BARE), "base", ""),
        (made(moved(TRAINED, 0.1), BARE), "inconclusive", "like neither"),
        (made(moved(TRAINED, 0.1), BARE, dtype="bfloat16"), "adapter", ""),
        (made(moved(TRAINED, 0.1), BARE, device="cuda:0"), "adapter", ""),
        (made(moved(TRAINED, 0.1), BARE, device="cpu+cuda:0"), "adapter", ""),
        (made(moved(TRAINED, 0.1), BARE, quantization="nf4"), "adapter", ""),
        (made(moved(TRAINED, 0.1), BARE, versions=CPU | {"torch": "2.14.0"}), "adapter", ""),
        (made(moved(TRAINED, 0.9), BARE, dtype="bfloat16"), "inconclusive", "like neither"),
        (made(moved(TRAINED, 0.9), moved(BARE, 0.9)), "inconclusive", "the bare base here answers otherwise"),
        (made(TRAINED, BARE, tolerance=50.0), "inconclusive", "50 of it may be rounding"),
        (made(said(-1.1, -2.0, -3.0, -6.0, -7.0), BARE, tolerance=1.1), "inconclusive", "between the two"),
        (made(TRAINED, BARE, prompts=(Prompt((1, 2, 4)),)), "inconclusive", "the tokenizer here is another"),
        (made(TRAINED, BARE, task="SEQ_CLS"), "inconclusive", "of the task CAUSAL_LM"),
        (made(Reply(values=(1.0,)), Reply(values=(1.0,))), "inconclusive", "5 likeliest tokens, those here 1 values"),
    ],
)
def test_outputs_are_told_apart(observed: Golden, answer: str, why: str) -> None:
    """Near one side and clearly farther from the other is an answer; elsewhere a little more counts as near."""
    found = compare(document(RECORDED), document(observed))
    assert (found.answer, why in found.why) == (answer, True), found.why


def test_values_are_told_apart_too() -> None:
    """Classifiers and feature extractors have no likeliest tokens, but values."""
    base = made(FEATURES.base[0], FEATURES.base[0], task="FEATURE_EXTRACTION")
    assert compare(document(FEATURES), document(FEATURES)).answer == "adapter"
    found = compare(document(FEATURES), document(base))
    assert (found.answer, found.distances["adapter"], found.greedy) == ("base", 1.0, None)


def test_tokens_that_are_not_among_the_likeliest_count_for_what_is_known() -> None:
    """Of a token outside a list is known that it is at most as likely as the last one in it."""
    one, other = made(said(-1.0, -4.0), BARE), made(said(-1.0, -6.0, first=11), BARE)
    # 10 at -1 there at most at -6; 11 at -4 there at -1; 12 at -6 here at most at -4.
    assert compare(document(one), document(other)).distances["adapter"] == pytest.approx((5 + 3 + 0) / 3)


def test_continuations_are_counted_up_to_the_first_other_token() -> None:
    """After one other token everything may be other; it explains, and decides nothing."""
    assert compare(document(RECORDED), document(made(BARE, BARE))).greedy == (4, 8)


def broken(path: str, value: object) -> dict[str, Any]:
    """A document with one thing wrong in it."""
    found = document(RECORDED)
    at: Any = found
    *before, last = path.split(".")
    for key in before:
        at = at[int(key) if key.isdigit() else key]
    at[last] = value
    return found


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        broken("schema", 2),
        broken("schema", True),
        broken("task", 1),
        broken("tolerance", float("nan")),
        broken("tolerance", -1.0),
        broken("tolerance", 10**400),
        broken("versions", []),
        broken("prompts", []),
        broken("prompts", [{}] * 4),
        broken("prompts.0.ids", [1.5]),
        broken("prompts.0.ids", [-1]),
        broken("prompts.0.ids", list(range(65))),
        broken("prompts.0.text", "x" * 5000),
        broken("prompts.0.adapter", {}),
        broken("prompts.0.adapter.logprobs", [1.0]),
        broken("prompts.0.base.logits", ["1", 2, 3, 4, 5]),
        broken("prompts.0.base.values", [0.0] * 65),
        broken("prompts.0.adapter.greedy", "a b"),
        broken("prompts.0.adapter.greedy", {"ids": [1] * 65}),
    ],
)
def test_what_is_no_document_compares_with_nothing(found: object) -> None:
    """A manifest may come from anyone: what is wrong with it is said, and no answer is given."""
    with pytest.raises(BadGoldenError, match="the golden outputs"):
        golden.parse(found)
    assert compare(found, document(RECORDED)).answer == "inconclusive"


NUMBERS = st.floats(-30, 0)
REPLIES = st.builds(lambda logprobs: said(*logprobs), st.lists(NUMBERS, min_size=5, max_size=5))


@given(adapter=REPLIES, base=REPLIES)
def test_the_two_sides_are_never_mixed_up(adapter: Reply, base: Reply) -> None:
    """The adapter's own outputs are never taken for the base's, nor the base's for the adapter's."""
    recorded = document(made(adapter, base))
    own, bare = compare(recorded, recorded), compare(recorded, document(made(base, base)))
    apart = own.distances["apart"] > 1.5 * own.distances["tolerance"]
    assert (own.answer, bare.answer) == (("adapter", "base") if apart else ("inconclusive", "inconclusive"))


@given(adapter=REPLIES, base=REPLIES, noise=st.lists(st.floats(-0.0099, 0.0099), min_size=5, max_size=5))
def test_noise_within_the_tolerance_never_gives_the_other_answer(
    adapter: Reply, base: Reply, noise: list[float]
) -> None:
    """What another kernel changes in the last digits may leave it open, but never turns it over."""
    off = tuple(n + by for n, by in zip(adapter.logprobs, noise, strict=True))
    observed = replace(adapter, logprobs=off)
    assert compare(document(made(adapter, base)), document(made(observed, base))).answer != "base"
