"""Who may copy into a spool of limited size. Pure.

Copies are admitted in the order in which they ask. One that does not fit is first in line; from then on what is
removed from the spool is kept for it, until it fits. Others may still use the room that was free before it came, which
was too little for it anyway, so that it holds up nobody who fits, and nobody who is small can hold it up for ever: it
waits until as many bytes as it needs have been removed, and no longer.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Line:
    """Who is first in line, how many bytes it needs, and how many are kept for it since it came."""

    first: str = ""
    needs: int = 0
    kept: int = 0


EMPTY = Line()


@dataclass(frozen=True, slots=True)
class Answer:
    """The line afterwards, and why the copy must wait; empty where it may go."""

    line: Line
    why: str = ""


def admit(line: Line, who: str, needs: int, used: int, most: int) -> Answer:
    """Whether `who` may copy `needs` bytes now into a spool that holds `used` of at most `most`."""
    if needs > most:
        # Kept out of the line: nothing that is removed would ever be enough.
        return Answer(line, f"{who} has {needs} bytes, more than spool.max_size itself: {most}")
    first = line.first in ("", who)
    kept = 0 if first else line.kept
    if used + needs + kept <= most:
        return Answer(EMPTY if line.first == who else line)
    held = f", and keeps {kept} free for {line.first}" if kept else ""
    said = f"the spool holds {used} of {most} bytes{held}; {who} needs {needs}"
    if not first:
        return Answer(line, said)
    return Answer(replace(line, first=who, needs=needs), said)


def removed(line: Line, size: int) -> Line:
    """So many bytes went from the spool."""
    return replace(line, kept=min(line.needs, line.kept + size)) if line.first else line
