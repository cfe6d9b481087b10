"""One racer of `test_racing.py`, a process of its own: types commands one after the other, or reads what lies there.

It says that it is ready, waits for a line, runs, and answers with one line of JSON.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from adapterd.cli import main as adapterd
from adapterd.cli.verbs import deploying  # noqa: F401 - as of a shell that typed it before


def main() -> None:
    """Run what the command line orders."""
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    sys.stdin.readline()
    found = typed(order["commands"]) if "commands" in order else read(Path(order["place"]), Path(order["shelf"]))
    answers.write(json.dumps(found) + "\n")
    answers.flush()


def typed(commands: Sequence[Sequence[str]]) -> Mapping[str, int]:
    """Run the command line for each; how often each exit code came."""
    ends: Counter[str] = Counter()
    for command in commands:
        sys.argv = ["adapterd", *command]
        ends[str(adapterd())] += 1
    return ends


def read(place: Path, shelf: Path) -> Mapping[str, Any]:
    """Read the version in a place, and all that are to be seen on a shelf, until the next line; what was found."""
    over = Event()

    def wait() -> None:
        sys.stdin.readline()
        over.set()

    Thread(target=wait, daemon=True).start()
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    while not over.is_set():
        try:
            seen[str(number_in(place))] += 1
            for folder in shelf.iterdir() if shelf != place else ():
                # What was listed may be taken away before it is opened: whole, or not at all.
                with suppress(FileNotFoundError):
                    if not folder.name.startswith("."):
                        number_in(folder)
        except (OSError, ValueError) as error:
            wrong.append(repr(error))
    return {"seen": seen, "wrong": wrong[:5]}


def number_in(folder: Path) -> int:
    """Which version a folder holds, all read through one descriptor of it; 0 where it was taken away meanwhile."""
    with opened(folder) as directory:
        try:
            manifest = json.loads(content(directory, "adapterd.json"))
            for path, file in manifest["files"].items():
                data = content(directory, path)
                if (hashlib.sha256(data).hexdigest(), len(data)) != (file["sha256"], file["size"]):
                    raise ValueError(f"{path} is not that of v{manifest['number']}")
        except FileNotFoundError as error:
            there = os.fstat(directory)
            with suppress(FileNotFoundError):
                if folder.stat().st_ino == there.st_ino:
                    raise ValueError(f"half a version: {error}") from error
            return 0
        return int(manifest["number"])


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A descriptor of a directory, wherever its name leads next."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(directory: int, path: str) -> bytes:
    """Read one file of an opened directory."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=directory)) as file:
        return file.read()


if __name__ == "__main__":
    main()
