"""What findings, measurements and limits decide; pure, as tables."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.examples import BUILT_IN, Example, digest
from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.verdict import (
    VALIDATOR_VERSION,
    Limits,
    Policy,
    decide,
    first_of,
    jsonable,
    policy_id,
    report,
)
from adapterd.core.version import Reason
from adapterd.ports import ProbeResult

FINE = {"effect": 0.01, "effect_min": 0.001, "modules": 8, "max_dlogit": 0.5, "loss_base": 3.0, "loss_adapter": 2.5}
POLICY = Policy("org/base", "0" * 40, digest(()), 64)


@pytest.mark.parametrize(
    ("changes", "limits", "decision", "reasons", "warnings"),
    [
        ({}, Limits(), "passed", [], []),
        ({"effect": 0.0}, Limits(), "rejected", ["no_effect"], []),
        ({"effect": 0.01}, Limits(min_effect=0.01), "rejected", ["no_effect"], []),
        ({"effect": 0.0101}, Limits(min_effect=0.01), "passed", [], []),
        ({"effect": None, "max_dlogit": 0.0}, Limits(), "rejected", ["no_effect"], []),
        ({"effect": None}, Limits(), "passed", [], []),
        ({"max_dlogit": 0.0}, Limits(), "passed", [], ["logits_unchanged"]),
        ({"loss_adapter": 3.5}, Limits(), "passed", [], ["loss_not_lower"]),
        ({"loss_adapter": 3.0}, Limits(), "passed", [], ["loss_not_lower"]),
        ({"loss_adapter": 3.5}, Limits(max_loss_increase=0.5), "passed", [], ["loss_not_lower"]),
        ({"loss_adapter": 3.6}, Limits(max_loss_increase=0.5), "rejected", ["loss_too_high"], []),
        ({"loss_adapter": 2.5}, Limits(max_loss=2.4), "rejected", ["loss_too_high"], []),
        ({"loss_base": None}, Limits(max_loss=2.4), "rejected", ["loss_too_high"], []),
        ({"loss_adapter": None}, Limits(max_loss=2.4), "passed", [], []),
        ({"loss_adapter": "nan", "loss_base": math.inf}, Limits(max_loss=2.4), "passed", [], []),
    ],
)
def test_limits_decide_over_numbers(
    changes: dict[str, Any], limits: Limits, decision: str, reasons: list[str], warnings: list[str]
) -> None:
    """A number at its limit is on the side that the documentation says; one that is not there decides nothing."""
    decided = decide([], FINE | changes, limits)
    assert decided.verdict == decision
    assert [found.code for found in decided.reasons] == reasons
    assert [found.code for found in decided.warnings] == warnings


def test_rejections_outweigh_stalls_and_stand_first() -> None:
    """Whatever a person might settle, the bytes stay refused."""
    stall, reject, warn = reason("base_unknown", "a"), reason("non_finite", "b"), reason("channel_held", "c")
    assert decide([stall, reject, warn], FINE, Limits()).verdict == "rejected"
    assert decide([stall, reject, warn], FINE, Limits()).reasons == (reject, stall)
    assert decide([stall], FINE, Limits()).verdict == "stalled"
    assert decide([warn], FINE, Limits()).warnings == (warn,)


@given(st.lists(st.sampled_from(sorted(BY_CODE)), max_size=6))
def test_every_finding_is_told_and_its_severity_rules(codes: list[str]) -> None:
    """Nothing that a probe found is dropped, and only a report without reject, stall and wait passes."""
    findings = [reason(code, f"finding {at}") for at, code in enumerate(codes)]
    decided = decide(findings, FINE, Limits())
    assert sorted(map(str, findings)) == sorted(map(str, (*decided.reasons, *decided.warnings)))
    kinds = {BY_CODE[code].severity for code in codes}
    expected = "rejected" if Severity.REJECT in kinds else "stalled" if kinds - {Severity.WARN} else "passed"
    assert decided.verdict == expected


def test_what_a_probe_found_is_not_told_twice() -> None:
    """A limit adds no second reason of the same code."""
    found = reason("no_effect", "said by a probe")
    assert decide([found], {"effect": 0.0}, Limits()).reasons == (found,)


def test_a_policy_is_named_by_everything_that_can_change_a_verdict() -> None:
    """Sixteen hex digits, the same for the same rules, another for any other."""
    variants = [
        POLICY,
        Policy("org/other", POLICY.revision, POLICY.texts, 64),
        Policy("org/base", "1" * 40, POLICY.texts, 64),
        Policy("org/base", POLICY.revision, digest((Example("other"),)), 64),
        Policy("org/base", POLICY.revision, POLICY.texts, 32),
        Policy("org/base", POLICY.revision, POLICY.texts, 64, Limits(max_loss=3.0)),
        Policy("org/base", POLICY.revision, POLICY.texts, 64, devices=("cpu",)),
        Policy("org/base", POLICY.revision, POLICY.texts, 64, dtype="float16"),
        Policy("org/base", POLICY.revision, POLICY.texts, 64, validator=VALIDATOR_VERSION + 1),
    ]
    names = [policy_id(policy) for policy in variants]
    assert len(set(names)) == len(variants)
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)
    assert policy_id(Policy("org/base", "0" * 40, digest(()), 64)) == names[0]


def test_no_texts_means_the_built_in_ones() -> None:
    """Naming them or leaving them out is the same policy; their wording is not in it."""
    assert digest(()) == digest(BUILT_IN)
    assert len({*BUILT_IN}) == len(BUILT_IN) >= 6


def test_the_report_is_plain_json_without_nan() -> None:
    """Everything found, measured and decided, and numbers that JSON has not by name."""
    result = ProbeResult(
        (), FINE | {"kl": math.nan, "effect": -math.inf}, "cpu", "float32", {"torch": "2"}, "ab", "tail"
    )
    decided = decide([reason("output_non_finite", "3 of 9 outputs")], FINE, Limits())
    document = json.loads(json.dumps(report(decided, POLICY, result, waivers=({"code": "x"},)), allow_nan=False))
    assert (document["schema"], document["verdict"], document["level"]) == (1, "rejected", "full")
    assert document["reasons"][0]["code"] == "output_non_finite"
    assert document["reasons"][0]["hint"]
    assert (document["measurements"]["kl"], document["measurements"]["effect"]) == ("nan", "-inf")
    assert (document["policy"], document["policy_terms"]["tokens"]) == (policy_id(POLICY), 64)
    assert (document["device"], document["dtype"], document["log_tail"]) == ("cpu", "float32", "tail")
    assert (document["waivers"], document["base_fingerprint"]) == ([{"code": "x"}], "ab")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_becomes_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Nothing that a probe may measure breaks the report, and finite numbers stay what they were."""
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == jsonable(value)


def test_one_reason_stands_for_all_of_them() -> None:
    """The first one's words and hint, and the codes of the others once each."""
    first = Reason("unexpected_keys", "lora_x is not placed (and 39 more)", "look at the prefix")
    assert first_of([first]) == first
    others = [Reason("unexpected_keys", "lora_y", ""), Reason("missing_keys", "a", ""), Reason("missing_keys", "b", "")]
    told = first_of([first, *others])
    assert told.message == "lora_x is not placed (and 39 more); also: missing_keys"
    assert (told.code, told.hint) == (first.code, first.hint)
