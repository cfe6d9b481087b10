"""Figure: wall time of `adapterd --help` against `python -c "import typer"`."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import figures

ROUNDS = 15
LIMIT = 2.0


def main() -> None:
    """Alternate, so that both see the same machine; compare the medians."""
    ours = [str(Path(sys.executable).with_name("adapterd")), "--help"]
    typer = [sys.executable, "-c", "import typer"]
    rounds = [(_seconds(ours), _seconds(typer)) for _ in range(ROUNDS + 1)][1:]
    help_, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"{1000 * help_:.0f} ms against {1000 * bare:.0f} ms"
    name = '`adapterd --help` against `python -c "import typer"`'
    figures.hand_over([figures.at_most(name, help_ / bare, LIMIT, "times", note=note)])


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
