"""Every good adapter passes, every faulty one is refused for what is wrong with it, and the corpus is what it says."""

import pytest

from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.verdict import Verdict
from corpus.catalogue import FAULTS, GOODS, KNOWABLE, UNKNOWABLE, base_of
from corpus.faults import Faulty, Grounds
from corpus.faulty_files import WAS_RUN
from corpus.good import Good
from corpus.table import Outcome, Table

ONES: list[Good] = sorted(GOODS.values(), key=lambda good: good.base)
TOLD: list[Faulty] = sorted(KNOWABLE, key=base_of)
UNTOLD: list[Faulty] = sorted(UNKNOWABLE, key=base_of)


def _name(variant: Faulty | Good) -> str:
    return f"{variant.group}: {variant.name}" if isinstance(variant, Faulty) else variant.name


@pytest.mark.parametrize("good", ONES, ids=_name)
def test_a_good_adapter_passes(good: Good, grounds: Grounds) -> None:
    """Whatever kind it is, whatever base it is for, and however odd its save looks."""
    outcome = Outcome(good, grounds.verdict_on_good(good))
    if not outcome.right:
        pytest.fail(outcome.told, pytrace=False)


@pytest.mark.parametrize("fault", TOLD, ids=_name)
def test_a_faulty_adapter_is_refused_for_its_fault(fault: Faulty, grounds: Grounds) -> None:
    """The code that stands first says what is wrong."""
    outcome = Outcome(fault, grounds.verdict_on(fault))
    if not outcome.right:
        pytest.fail(outcome.told, pytrace=False)


@pytest.mark.parametrize("fault", UNTOLD, ids=_name)
def test_what_cannot_be_known_is_not_guessed(fault: Faulty, grounds: Grounds) -> None:
    """Without anything recorded a wrong scale or a wrong base of the same shapes passes: to refuse it were luck."""
    assert grounds.verdict_on(fault).verdict == "passed"


def test_the_corpus_is_large_and_names_each_variant_once() -> None:
    """At least 40 good ones and 120 faulty ones; each faulty one has a twin that says what was wrong with it."""
    assert len(GOODS) >= 40
    assert len(KNOWABLE) >= 120
    assert len({(fault.group, fault.name) for fault in FAULTS}) == len(FAULTS)
    assert {fault.source for fault in FAULTS if isinstance(fault.source, str)} <= GOODS.keys()


def test_every_expected_code_refuses() -> None:
    """A warning would let the fault through."""
    static = {"no_adapter", "full_model", "sharded_state"}
    codes = {code for fault in KNOWABLE for code in fault.codes} - static
    assert not {code for code in codes if BY_CODE[code].severity is Severity.WARN}


def test_no_malicious_pickle_was_run(grounds: Grounds) -> None:
    """Nothing of the corpus was ever unpickled by the validator."""
    for fault in (fault for fault in KNOWABLE if "malicious" in fault.name):
        grounds.verdict_on(fault)
    assert not (grounds.shop.home / WAS_RUN).exists()


def test_the_table_counts_and_names_what_is_wrong() -> None:
    """A missed fault, a wrong code and a false alarm each stand below it, and in its last line."""
    fault, good = KNOWABLE[0], next(iter(GOODS.values()))
    other = Verdict("rejected", (reason("bug", "by chance"),))
    table = Table.of(
        [
            Outcome(fault, Verdict("rejected", (reason(next(iter(fault.codes)), "as it should be"),))),
            Outcome(fault, other),
            Outcome(fault, Verdict("passed")),
            Outcome(good, other),
            Outcome(UNKNOWABLE[0], Verdict("passed")),
        ]
    )
    assert len(table.wrong) == 3
    assert f"good: {good.name}: expected passed, got bug (by chance)" in table.text()
    assert table.text().endswith(
        "2 of 3 faulty variants caught, 1 with the right code; 1 false alarms over 1 good adapters; 1 cannot be known."
    )
