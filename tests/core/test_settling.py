"""Has this directory come to rest? The one rule, as a table of looks."""

import math

import pytest

from adapterd.core.settling import AGAIN, Broken, Finished, Former, Look, NotYet, Rest, Times, decide, remember

TIMES = Times(quiet=5.0, patience=120.0)
STATE, MARKER = "state:1:1", "marker:2:2"


def look(fingerprint: str = "a", signal: str = "", *present: str, checkpoint: bool = False, whole: bool = True) -> Look:
    """A look at a whole directory; what vouches for it is present."""
    there = frozenset({*present, signal} - {""})
    return Look(fingerprint, whole=whole, checkpoint=checkpoint, signal=signal, present=there)


def seen(*looks: tuple[float, Look], former: Former | None = None) -> Finished | NotYet | Broken:
    """What the rule says at the last of some looks, each at its second."""
    rest: Rest | None = None
    for now, at in looks:
        rest = remember(rest, at, now, former)
    assert rest is not None
    return decide(looks[-1][1], rest, looks[-1][0], TIMES)


def waits(code: str, outcome: object) -> bool:
    """Whether it is not finished for this reason."""
    return isinstance(outcome, NotYet) and outcome.code == code and outcome.seconds > 0


def test_a_checkpoint_with_its_state_file_is_finished_at_once() -> None:
    """The trainer writes trainer_state.json last: no quiet time."""
    assert seen((0.0, look(signal=STATE, checkpoint=True))) == Finished()


def test_a_directory_with_its_marker_is_finished_at_once() -> None:
    """A marker that vouches for these files needs no quiet time, for a final save either."""
    assert seen((0.0, look(signal=MARKER))) == Finished()


def test_a_final_save_waits_for_the_quiet_time() -> None:
    """Without marker, a directory must stay unchanged for the quiet time."""
    assert waits("quiet_time", seen((0.0, look())))
    assert waits("quiet_time", seen((0.0, look()), (4.9, look())))
    assert seen((0.0, look()), (5.0, look())) == Finished()


def test_every_change_begins_the_quiet_time_anew() -> None:
    """A fingerprint that moved within the quiet time starts it again."""
    assert waits("quiet_time", seen((0.0, look("a")), (4.0, look("b")), (8.0, look("b"))))
    assert seen((0.0, look("a")), (4.0, look("b")), (9.0, look("b"))) == Finished()


def test_a_checkpoint_without_state_file_waits_for_patience_and_the_quiet_time() -> None:
    """After `patience` a checkpoint without trainer_state.json counts as any other directory."""
    at = look(checkpoint=True)
    assert waits("state_file_missing", seen((0.0, at), (119.0, at)))
    assert seen((0.0, at), (120.0, at)) == Finished()


def test_a_state_file_that_appears_ends_the_wait() -> None:
    """The state file comes last and is new: the checkpoint is finished when it is there."""
    assert seen((0.0, look("a", checkpoint=True)), (1.0, look("a", STATE, checkpoint=True))) == Finished()
    assert seen((0.0, look("a", checkpoint=True)), (1.0, look("b", STATE, checkpoint=True))) == Finished()


@pytest.mark.parametrize(
    "between",
    [
        (),
        (look("b", "", STATE, checkpoint=True, whole=False),),
        (look("b", "", STATE, checkpoint=True, whole=False), look("c", STATE, checkpoint=True)),
    ],
)
def test_an_old_state_file_vouches_for_nothing_new(between: tuple[Look, ...]) -> None:
    """Overwritten in place: while the state file is still the old one, the quiet time applies, whatever was between."""
    first = Look("a", whole=True, checkpoint=True, signal=STATE, present=frozenset({STATE}), held=True)
    looks = [(float(n), at) for n, at in enumerate([first, *between])]
    last = float(len(looks))
    overwritten = look("z", STATE, checkpoint=True)
    assert waits("quiet_time", seen(*looks, (last, overwritten)))
    assert seen(*looks, (last, overwritten), (last + 5.0, overwritten)) == Finished()


def test_a_state_file_that_was_not_written_last_vouches_for_nothing() -> None:
    """It is older than a file that it lies beside: that may have come since, and more may come."""
    at = Look("a", whole=True, checkpoint=True, signal=STATE, present=frozenset({STATE}), early=True)
    assert waits("quiet_time", seen((0.0, at), (4.0, at)))
    assert seen((0.0, at), (5.0, at)) == Finished()


def test_a_marker_for_other_files_is_a_promise_of_one_for_these() -> None:
    """Whoever puts one there says when it is done: it is waited for while the patience lasts, whatever else vouches."""
    at = Look("a", whole=True, checkpoint=True, signal=STATE, present=frozenset({MARKER, STATE}), marked=True)
    assert waits("marker_outdated", seen((0.0, at), (119.0, at)))
    assert seen((0.0, at), (120.0, at)) == Finished()
    assert seen((0.0, at), (50.0, look("a", MARKER, checkpoint=True))) == Finished()


def test_a_state_file_that_was_written_again_vouches() -> None:
    """The new pair's own state file ends the wait at once."""
    old, new = look("b", STATE, checkpoint=True), look("b", "state:9:9", checkpoint=True)
    assert seen((0.0, look("a", STATE, checkpoint=True)), (1.0, old), (2.0, new)) == Finished()


def test_an_old_marker_does_not_hide_an_old_state_file() -> None:
    """Two signals may be there: each that was there before the change is stale."""
    before = look("a", MARKER, STATE, checkpoint=True)
    assert waits("quiet_time", seen((0.0, before), (1.0, look("b", STATE, MARKER, checkpoint=True))))


def test_after_a_restart_an_old_signal_is_doubted() -> None:
    """Which came first is not remembered over a restart: the quiet time decides, and a new signal still vouches."""
    former = Former("a", frozenset({STATE}))
    at = look("a", STATE, checkpoint=True)
    assert waits("quiet_time", seen((0.0, at), former=former))
    assert waits("quiet_time", seen((0.0, look("b", STATE, checkpoint=True)), former=former))
    assert seen((0.0, look("b", "state:9:9", checkpoint=True)), former=former) == Finished()


def test_what_had_rested_before_a_restart_needs_no_new_quiet_time() -> None:
    """A directory that only waits for a better name is not put back to waiting for quiet."""
    former = Former("a", frozenset(), rested=True)
    assert seen((0.0, look("a")), former=former) == Finished()
    assert seen((0.0, look("a", checkpoint=True)), former=former) == Finished()
    assert waits("quiet_time", seen((0.0, look("b")), former=former))
    assert remember(None, look("a"), 3.0, former).since == -math.inf


def test_open_for_writing_waits_whatever_vouches() -> None:
    """Somebody has the weights open for writing: no marker and no state file ends that wait."""
    at = Look("a", whole=True, checkpoint=True, signal=STATE, present=frozenset({STATE}), held=True)
    assert waits("open_for_writing", seen((0.0, at), (1000.0, at)))


def test_half_written_is_given_up_when_patience_ends() -> None:
    """A pair that is not complete and stays so was abandoned; every change of it begins the patience anew."""
    at, later = (Look(name, whole=False, checkpoint=False, fault="no weights") for name in "ab")
    assert waits("half_written", seen((0.0, at), (119.0, at)))
    assert seen((0.0, at), (120.0, at)) == Broken("abandoned", "no weights")
    assert waits("half_written", seen((0.0, at), (119.0, later), (238.0, later)))


def test_half_written_is_never_given_up_within_the_quiet_time() -> None:
    """A patience that is shorter than the quiet time is that long."""
    at = Look("a", whole=False, checkpoint=False)
    assert isinstance(decide(at, Rest("a", 0.0), 80.0, Times(quiet=90.0, patience=1.0)), NotYet)
    assert isinstance(decide(at, Rest("a", 0.0), 90.0, Times(quiet=90.0, patience=1.0)), Broken)


def test_patience_with_what_is_not_whole_goes_on_over_a_restart() -> None:
    """How long it lay there unchanged is remembered for giving up, and for nothing else."""
    at = Look("a", whole=False, checkpoint=False)
    assert isinstance(seen((0.0, at), former=Former("a", age=120.0)), Broken)
    assert waits("half_written", seen((0.0, at), former=Former("a", age=119.0)))
    assert waits("half_written", seen((0.0, at), former=Former("b", age=1e9)))
    assert waits("half_written", seen((0.0, at), former=Former("a", age=-1e9)))
    assert waits("quiet_time", seen((0.0, look()), former=Former("a", age=1e9)))


@pytest.mark.parametrize("code", ["bad_weights", "bad_config", "pickle_only", "not_regular", "sharded_state"])
def test_a_fault_counts_when_patience_ends(code: str) -> None:
    """What looks broken may be half written; after `patience` without a change it is refused, with its reason."""
    at = Look("a", whole=False, checkpoint=False, code=code, fault="so it is")
    assert waits("half_written", seen((0.0, at), (119.0, at)))
    assert seen((0.0, at), (120.0, at)) == Broken(code, "so it is")


def test_no_wait_is_nothing() -> None:
    """With a quiet time of zero a directory that is being written is not looked at in a busy loop."""
    at = Look("a", whole=False, checkpoint=False)
    assert decide(at, Rest("a", 0.0), 0.0, Times(0.0, 120.0)) == NotYet(AGAIN, "half_written", "")
