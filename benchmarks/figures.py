"""A figure: what was measured, against which goal."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `met` is None where there is no goal and the figure only explains another."""

    name: str
    measured: str
    goal: str = ""
    met: bool | None = None


def at_most(name: str, value: float, limit: float, unit: str, *, note: str = "") -> Figure:
    """A figure with a goal."""
    shown = str(value) if isinstance(value, int) else f"{value:.2f}" if limit < 10 else f"{value:.1f}"
    said = f"{shown} {unit}".strip() + (f" ({note})" if note else "")
    return Figure(name, said, f"at most {limit:g} {unit}".strip(), value <= limit)


def hand_over(figures: Sequence[Figure]) -> None:
    """Print the figures as the last line of a script, for `run.py`."""
    sys.stdout.write(json.dumps([asdict(figure) for figure in figures]) + "\n")


def take_over(output: str) -> list[Figure]:
    """Read what a script handed over."""
    return [Figure(**fields) for fields in json.loads(output.strip().splitlines()[-1])]


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    words = {True: "met", False: "**missed**", None: ""}
    lines = ["| figure | measured | goal | |", "|---|---|---|---|"]
    lines += [f"| {f.name} | {f.measured} | {f.goal} | {words[f.met]} |" for f in figures]
    return "\n".join(lines) + "\n"
