"""What a channel asks of a version beside its rule: tables of what is known, and what follows."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from adapterd.core import rules
from adapterd.core.channels import Rule
from adapterd.core.rules import Known, Present, Terms, Wish
from adapterd.core.version import AdapterVersion, Stage

HOUR = 3600.0
NOW = 100 * HOUR
BASE = {"base": "acme/tiny", "revision": "r1", "texts": "t1", "tokens": 64}


@dataclass(frozen=True)
class Row:
    """A report with one measurement."""

    verdict: str
    report: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of a history."""

    at: float
    kind: str
    detail: dict[str, Any] = field(default_factory=dict)


def version(number: int) -> AdapterVersion:
    """A published final; its number is its row too."""
    return AdapterVersion(
        number, "acme/a", "i" * 64, "t" * 64, number, Stage.PUBLISHED, number=number, commit="c" * 40, final=True
    )


def measured(loss: object = None, verdict: str = "passed", **terms: object) -> Row:
    """A report of a loss; of none where it is None."""
    numbers = {} if loss is None else {"loss_adapter": loss, "gate.accuracy": loss}
    return Row(
        verdict, {"measurements": numbers, "policy_terms": {**BASE, **terms}, "reasons": [{"code": "no_effect"}]}
    )


def decide(
    terms: Terms,
    known: dict[int, Known],
    present: Present | None = None,
    standing: dict[str, Any] | None = None,
) -> Wish:
    """Decide about the versions that are known, newest first."""
    at = present or Present("main", None, standing=standing or {})
    return rules.wish(terms, at, [version(n) for n in sorted(known, reverse=True)], known, NOW)


LOSS = Terms(Rule.FINALS, metric="loss_adapter", better="lower", tolerance=0.1)
ACCURACY = Terms(Rule.FINALS, metric="gate.accuracy", better="higher")


@pytest.mark.parametrize(
    ("terms", "mine", "theirs", "why"),
    [
        (LOSS, measured(2.0), measured(2.0), ""),
        (LOSS, measured(1.0), measured(2.0), ""),
        (LOSS, measured(2.1), measured(2.0), ""),
        (LOSS, measured(2.2), measured(2.0), "loss_adapter is 2.2, that of v1, which main holds, 2; lower is better"),
        (ACCURACY, measured(0.9), measured(0.8), ""),
        (ACCURACY, measured(0.8), measured(0.9), "higher is better"),
        (ACCURACY, measured(0.9, texts="other"), measured(0.8), ""),
        (LOSS, measured(), measured(2.0), "no loss_adapter was measured"),
        (LOSS, measured("nan"), measured(2.0), "no loss_adapter was measured"),
        (LOSS, measured(2.0), measured(), "none was measured here"),
        (LOSS, measured(1.0, texts="other"), measured(2.0), "in another base or on other probes"),
        (LOSS, measured(1.0, revision="r2"), measured(2.0), "in another base or on other probes"),
    ],
)
def test_a_metric_must_not_be_worse_than_that_of_the_version_held(
    terms: Terms, mine: Row, theirs: Row, why: str
) -> None:
    """Equal within the tolerance is enough; what was not measured, or not alike, is never taken for better."""
    found = decide(terms, {2: Known([mine])}, Present("main", 1, Known([theirs])))
    if why:
        assert found.version is None
        assert [(back.reason.code, why in back.reason.message) for back in found.back] == [("channel_gated", True)]
    else:
        assert found == Wish(version(2))


def test_a_channel_that_holds_nothing_compares_nothing() -> None:
    """There is nothing that a first version could be worse than."""
    assert decide(LOSS, {2: Known([measured(9.0)])}).version == version(2)


def test_what_was_measured_anew_like_the_other_can_be_compared() -> None:
    """A later report of the version held, under the new probes, ends that it cannot be compared."""
    mine, theirs = measured(2.0, texts="new"), [measured(1.0), measured(2.5, texts="new")]
    assert decide(LOSS, {2: Known([mine])}, Present("main", 1, Known(theirs))).version == version(2)


def test_an_older_version_goes_where_a_newer_one_is_held_back() -> None:
    """Of several that suit the rule the newest that nothing speaks against is taken; those before it are named."""
    known = {2: Known([measured(2.0)]), 3: Known([measured(3.0)])}
    found = decide(LOSS, known, Present("main", 1, Known([measured(2.0)])))
    assert (found.version, [back.version.number for back in found.back]) == (version(2), [3])


def entered(hours: float, channel: str = "canary") -> Line:
    """A line that says that a channel holds it."""
    return Line(hours * HOUR, rules.ENTERED, {"channel": channel})


def left(hours: float, to: int | None) -> Line:
    """A line that says that the canary holds another one."""
    return Line(hours * HOUR, rules.LEFT, {"channel": "canary", "to": to})


@pytest.mark.parametrize(
    ("history", "why", "until"),
    [
        ([entered(76)], "", None),
        ([entered(77)], "since", 101 * HOUR),
        ([entered(101)], "since", 125 * HOUR),
        ([], "never there", None),
        ([entered(10, "other")], "never there", None),
        ([entered(10), left(40, 3)], "", None),
        ([entered(90), left(95, 3)], "for 5 h only", None),
        ([entered(10), left(40, 1)], "taken back from v2 to v1", None),
        ([entered(10), left(40, 1), entered(90)], "", None),
        ([entered(10), left(11, 1), entered(90)], "since", 114 * HOUR),
        ([Line(1.0, "published"), entered(70)], "", None),
    ],
)
def test_a_soak_is_time_in_another_channel(history: list[Line], why: str, until: float | None) -> None:
    """It must have been held there for that long at a stretch, and not have been taken back since."""
    found = decide(Terms(Rule.FINALS, soak_in="canary", soak_for=24 * HOUR), {2: Known([], history)})
    if why:
        (back,) = found.back
        assert (found.version, back.reason.code, back.until) == (None, "channel_soaking", until)
        assert why in back.reason.message
    else:
        assert found == Wish(version(2))


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([], ""),
        ([measured(2.0)], ""),
        ([measured(2.0), measured(2.0, "rejected")], "revalidation_failed"),
        ([measured(2.0), measured(2.0, "rejected"), measured(2.0)], ""),
    ],
)
def test_what_failed_when_it_was_validated_again_goes_nowhere(reports: list[Row], code: str) -> None:
    """The last report decides; the reason names what it found."""
    found = decide(Terms(Rule.FINALS), {2: Known(reports)})
    assert [back.reason.code for back in found.back] == ([code] if code else [])
    assert (found.version is None) == bool(code)
    assert all("no_effect" in back.reason.message for back in found.back)


@pytest.mark.parametrize(("channel", "code"), [("main", "channel_held"), ("other", "")])
def test_a_held_channel_takes_nothing_and_says_what_it_would_take(channel: str, code: str) -> None:
    """Only the version that it would take is named, and another channel's hold is no matter."""
    known = {2: Known([measured(2.0)]), 3: Known([measured(2.0)])}
    found = decide(Terms(Rule.FINALS), known, standing={"holds": [{"channel": channel}]})
    assert [(back.version.number, back.reason.code) for back in found.back] == ([(3, code)] if code else [])
    assert (found.version is None) == bool(code)


def test_every_direction_that_is_known_is_of_something_that_is_measured() -> None:
    """The table names measurements and one of two directions."""
    assert set(rules.BETTER.values()) <= {rules.LOWER, rules.HIGHER}
