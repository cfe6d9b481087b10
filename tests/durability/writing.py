"""A writer as a process of its own: a directory for each line on its standard input, and a line in the journal for it.

`python -m durability.writing TRAIN JOURNAL SEED`. It knows nothing of adapterd.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from durability import wares

SERIES = ("support", "sql", "billing")
BROKEN_EVERY, SAME_EVERY = 6, 5
"""One in so many is broken on purpose; one in so many final saves equals the last checkpoint."""


@dataclass(frozen=True, slots=True)
class Written:
    """One directory of the journal; `broken` says how, and is empty where it is good."""

    path: str
    adapter: str
    sha256: str
    final: bool
    broken: str


def plan(seed: int) -> Iterator[tuple[Written, bytes]]:
    """What is written, in order, without an end: runs of each series in turn, some checkpoints each, then the final."""
    dice = random.Random(seed)  # noqa: S311 - test data
    number = 0
    for run in range(1, 1_000_000):
        series = SERIES[run % len(SERIES)]
        data, folder = b"", f"{series}-{run}"
        steps = dice.randrange(4)
        for step in [*range(1, steps + 1), None]:
            number += 1
            broken = dice.choice(sorted(wares.BROKEN)) if dice.randrange(BROKEN_EVERY) == 0 else ""
            same = step is None and data and not broken and dice.randrange(SAME_EVERY) == 0
            made = seed * 1_000_000 + number
            fresh = data if same else wares.BROKEN[broken](made) if broken else wares.weights(made)
            data = b"" if broken else fresh
            path = folder if step is None else f"{folder}/checkpoint-{step * 50}"
            digest = hashlib.sha256(fresh).hexdigest()
            yield Written(path, series, digest, step is None, broken), fresh


def journal(path: Path) -> list[Written]:
    """Everything that was written so far."""
    return [Written(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


class Writer:
    """The writer's process, as the harness has it."""

    def __init__(self, train: Path, path: Path, seed: int) -> None:
        """Start it; it writes nothing yet."""
        self.path = path
        command = [sys.executable, "-m", "durability.writing", str(train), str(path), str(seed)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environ)

    def ask(self) -> None:
        """Have one more directory written."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Let it finish what it was asked for."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main(arguments: Sequence[str]) -> None:
    """Write as long as there are lines to read."""
    train, path, seed = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    with path.open("a") as notes:
        for _, (written, data) in zip(sys.stdin, plan(seed), strict=False):
            labels = train / written.path.partition("/")[0] / "adapterd.yaml"
            if not labels.exists():  # at the start of a run, as a training script does
                labels.parent.mkdir(parents=True, exist_ok=True)
                labels.write_text(f"adapter: {written.adapter}\n")
            wares.write(train / written.path, data)
            notes.write(json.dumps(asdict(written)) + "\n")
            notes.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
