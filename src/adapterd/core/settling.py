"""Has this directory come to rest? One rule, pure, on two looks at it.

`checkpoint-N` with a parsing `trainer_state.json`, or a directory with its marker, and a whole adapter pair is
copied at once, provided that the state file or marker itself is new: one that was there before the pair last changed,
or is older than a file of it, vouches for nothing. Anything else waits for the quiet time, a directory whose marker
vouches for something else for the patience, and what is not whole is given up after the patience.
"""

import math
from dataclasses import dataclass, replace

AGAIN = 1.0
"""The least time between two looks at a directory that is still being written, in seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an adapter directory showed.

    Attributes:
        fingerprint: of its payload files.
        whole: whether config and weights parse and their sizes are right.
        checkpoint: whether it is a ``checkpoint-N``, or lies in one.
        signal: identity (inode and mtime) of a parsing state file or of a vouching marker; empty where there is none.
        present: the identities of every state file and marker there is, whether they vouch for anything or not.
        early: whether that state file is older than a file that it lies beside: it was not written last.
        marked: whether a marker lies beside it that vouches for other files: its writer will say when it is done.
        held: whether some process has its weights open for writing.
        code: where it is not whole, the code of the reason that it has if it stays so; `fault` says why in words.
    """

    fingerprint: str
    whole: bool
    checkpoint: bool
    signal: str = ""
    present: frozenset[str] = frozenset()
    early: bool = False
    marked: bool = False
    held: bool = False
    code: str = "half_written"
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is remembered between two looks; times on the monotonic clock, in seconds.

    Attributes:
        since: when the present fingerprint was first seen.
        untouched: since when it is known to be so, over restarts too; only giving up counts from there.
        present: the signals that were there at the last look.
        stale: those that were there before the pair last changed, and so vouch for nothing.
    """

    fingerprint: str
    since: float
    present: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    untouched: float = math.inf


@dataclass(frozen=True, slots=True)
class Times:
    """The two numbers of settling, in seconds."""

    quiet: float
    patience: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Copy it now."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Look again in `seconds` at the latest; `code` is the reason's code."""

    seconds: float
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Broken:
    """It stays as it is and is no adapter: refused until it changes."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Former:
    """What the registry remembers of the directory from before a restart.

    Attributes:
        signals: that were there then; which of them had come after the pair's last change is not known any more.
        rested: whether it had come to rest then, and waits for something else.
        age: seconds since that fingerprint was first seen.
    """

    fingerprint: str
    signals: frozenset[str] = frozenset()
    rested: bool = False
    age: float = 0.0


def remember(rest: Rest | None, look: Look, now: float, former: Former | None = None) -> Rest:
    """What is remembered after this look; `former` counts where nothing is remembered of looks before it."""
    if rest is None:
        if former is None:
            return Rest(look.fingerprint, now, look.present)
        same = former.fingerprint == look.fingerprint
        since = -math.inf if former.rested and same else now
        untouched = now - max(0.0, former.age) if same else now
        return Rest(look.fingerprint, since, look.present, former.signals & look.present, untouched)
    if rest.fingerprint == look.fingerprint:
        return replace(rest, present=look.present)
    return Rest(look.fingerprint, now, look.present, (rest.stale | rest.present) & look.present)


def decide(look: Look, rest: Rest, now: float, times: Times) -> Finished | NotYet | Broken:
    """Apply the rule to the present look and what `remember` returned for it."""
    still = now - rest.since
    again = max(times.quiet, AGAIN)
    if look.held:
        return NotYet(again, "open_for_writing", "a process has the weights open for writing")
    if not look.whole:
        if max(still, now - rest.untouched) < max(times.quiet, times.patience):
            return NotYet(again, "half_written", look.fault)
        return Broken("abandoned" if look.code == "half_written" else look.code, look.fault)
    if look.marked and still < times.patience:
        left = times.patience - still
        return NotYet(left, "marker_outdated", f"its marker vouches for other files; {left:.0f} s of patience left")
    if look.signal and look.signal not in rest.stale and not look.early:
        return Finished()
    if look.checkpoint and not look.signal and still < times.patience:
        left = times.patience - still
        return NotYet(left, "state_file_missing", f"trainer_state.json is not there yet; {left:.0f} s of patience left")
    if still < times.quiet:
        left = times.quiet - still
        return NotYet(left, "quiet_time", f"unchanged for {still:.1f} s of {times.quiet:.0f} s")
    return Finished()
