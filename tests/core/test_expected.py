"""What something recorded expects of an adapter, against what was measured: tables."""

import math
from dataclasses import replace
from typing import Any

import pytest

from adapterd.core.expected import Expected, against_expected, own_fingerprint
from adapterd.core.verdict import Limits, decide

HERE, THERE = "ab" * 32, "cd" * 32
FINE = {"effect": 0.01, "max_dlogit": 0.5, "loss_base": 3.0, "loss_adapter": 2.0}


def codes(expected: Expected, measurements: dict[str, Any] | None = None, tolerance: float = 0.25) -> list[str]:
    """The codes of what is said against the measurements."""
    return [found.code for found in against_expected(FINE | (measurements or {}), expected, tolerance)]


def test_what_expects_nothing_finds_nothing() -> None:
    """Most adapters come without any record; none of it is invented."""
    assert codes(Expected()) == []
    assert codes(Expected(fingerprint_here=HERE, own_probes=True), {"loss_adapter": 9.0}) == []


@pytest.mark.parametrize(
    ("label", "digits"),
    [
        (HERE, HERE),
        (f"adapterd:{HERE}", HERE),
        (HERE[:16], HERE[:16]),
        (f" ADAPTERD:{HERE[:20].upper()}", HERE[:20]),
        (HERE[:15], ""),
        (HERE + "0", ""),
        ("sha256:" + HERE, ""),
        ("commit 93efa2f", ""),
        ("", ""),
    ],
)
def test_a_label_is_one_of_our_fingerprints_or_another_digest(label: str, digits: str) -> None:
    """Sixteen hex digits or more, with our name before them or nothing; any other is only recorded."""
    assert own_fingerprint(label) == digits


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (Expected(fingerprint=HERE, fingerprint_here=HERE), []),
        (Expected(fingerprint=HERE[:16], fingerprint_here=HERE), []),
        (Expected(fingerprint=THERE, fingerprint_here=HERE), ["base_differs"]),
        (Expected(fingerprint=HERE[:16] + "00", fingerprint_here=HERE), ["base_differs"]),
        (Expected(fingerprint=THERE, fingerprint_here=""), []),
        (Expected(same_commit="v3", former_fingerprint=HERE, fingerprint_here=HERE), []),
        (Expected(same_commit="v3", former_fingerprint=THERE, fingerprint_here=HERE), ["base_differs"]),
        (Expected(same_commit="v3", former_fingerprint=THERE, fingerprint_here=""), []),
        (
            Expected(fingerprint=THERE, same_commit="v3", former_fingerprint=THERE, fingerprint_here=HERE),
            ["base_differs"],
        ),
        (Expected(composed=("sft",)), ["composition_unverified"]),
        (Expected(composed=("sft",), composed_here=True), []),
        (Expected(composed_here=True), []),
    ],
)
def test_the_base_is_the_one_that_was_trained_on(expected: Expected, found: list[str]) -> None:
    """By the label's digits, else by what the version before was measured in; a composition is configured or told."""
    assert codes(expected) == found
    assert codes(expected, {"loss_adapter": None}) == found, "the base matters where no loss was measured, too"


def test_both_fingerprints_are_told() -> None:
    """Sixteen digits of each are enough to see which is which."""
    (found,) = against_expected(FINE, Expected(fingerprint=THERE, fingerprint_here=HERE), 0.25)
    assert HERE[:16] in found.message
    assert THERE[:16] in found.message
    assert HERE not in found.message
    (found,) = against_expected(FINE, Expected(same_commit="v3", former_fingerprint=THERE, fingerprint_here=HERE), 0.25)
    assert all(text in found.message for text in (HERE[:16], THERE[:16], "v3"))
    assert "fetch" in found.hint


@pytest.mark.parametrize(
    ("expected", "measured", "found"),
    [
        (Expected(loss=2.0), {}, []),
        (Expected(loss=2.25), {}, []),
        (Expected(loss=1.75), {}, []),
        (Expected(loss=2.26), {}, ["loss_unlike_expected"]),
        (Expected(loss=1.74), {}, ["loss_unlike_expected"]),
        (Expected(loss=0.0), {}, ["loss_unlike_expected"]),
        (Expected(loss=0.0), {"loss_adapter": None}, []),
        (Expected(loss=0.0), {"loss_adapter": math.nan}, []),
        (Expected(loss=0.0), {"loss_adapter": "inf"}, []),
    ],
)
def test_the_loss_is_the_one_that_the_labels_expect(
    expected: Expected, measured: dict[str, Any], found: list[str]
) -> None:
    """At the tolerance it still is; a loss that was not measured, or has no value, is not compared."""
    assert codes(expected, measured) == found


@pytest.mark.parametrize(
    ("trained", "base", "loss", "found"),
    [
        (1.0, 3.0, 1.2, []),
        (1.0, 3.0, 2.0, []),  # half of the way from the base's loss to the trainer's
        (1.0, 3.0, 2.01, ["loss_above_training"]),
        (1.0, 3.0, 6.4, ["loss_above_training"]),
        (1.0, 6.57, 1.17, []),  # the right base
        (1.17, 6.88, 6.41, ["loss_above_training"]),  # the wrong one of the same shapes
        (2.6, 3.0, 3.2, []),  # the trainer itself came no further than chance goes
        (4.0, 3.0, 3.2, []),  # and here not even below the base
        (0.0, 3.0, 1.5, []),
        (1.0, None, 6.4, []),
    ],
)
def test_the_loss_is_near_the_trainers(trained: float, base: float | None, loss: float, found: list[str]) -> None:
    """On texts of the user's choice at least half of what training gained is there; on the built-in ones who knows."""
    measured = {"loss_base": base, "loss_adapter": loss}
    assert codes(Expected(trained_loss=trained, own_probes=True), measured) == found
    assert codes(Expected(trained_loss=trained), measured) == []


@pytest.mark.parametrize(("former", "found"), [(2.0, []), (1.5, []), (1.49, ["loss_above_former"]), (9.0, [])])
def test_the_loss_is_not_far_above_the_version_before(former: float, found: list[str]) -> None:
    """Half a nat more on the same probes is worth a word; less than before never is."""
    assert codes(Expected(former="v3", former_loss=former)) == found


def test_what_was_expected_counts_in_the_verdict() -> None:
    """The labels' loss refuses and can be waived; another base stalls and cannot; the rest warns."""
    expected = Expected(
        loss=1.0,
        trained_loss=0.5,
        own_probes=True,
        former="v3",
        former_loss=1.0,
        fingerprint=THERE,
        fingerprint_here=HERE,
        composed=("sft",),
    )
    decided = decide([], FINE | {"loss_adapter": 2.5}, Limits(), expected)
    assert [found.code for found in decided.reasons] == ["loss_unlike_expected", "base_differs"]
    warnings = ["composition_unverified", "loss_above_training", "loss_above_former"]
    assert [found.code for found in decided.warnings] == warnings
    waived = decide([], FINE | {"loss_adapter": 2.5}, Limits(), expected, ("loss_unlike_expected", "base_differs"))
    assert (waived.verdict, [found.code for found in waived.reasons]) == ("stalled", ["base_differs"])
    assert decide([], FINE, Limits(expected_loss_tolerance=1.0), replace(expected, fingerprint="")).verdict == "passed"
