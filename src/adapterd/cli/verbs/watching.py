"""watch and sync: the line itself."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from adapterd.cli.say import complain, line
from adapterd.cli.verbs.settings import path_of, seconds_of

NOT_EXECUTABLE, NO_COMMAND = 126, 127
"""What a shell says where it cannot start a command; the command's own codes are handed on as they are."""


def watch(config: Path | None, command: Sequence[str]) -> int:
    """Run the daemon; it ends with the exit code of the command, where there is one."""
    path = path_of(config)
    if command and shutil.which(command[0]) is None:
        there = Path(command[0]).exists() and "/" in command[0]
        complain(
            f"{command[0]!r} {'cannot be executed' if there else 'is no command here'}", "check the command after `--`"
        )
        return NOT_EXECUTABLE if there else NO_COMMAND
    from adapterd import daemon  # noqa: PLC0415 - `sync` does without it

    return daemon.watch(path, tuple(command))


def sync(config: Path | None, directories: Sequence[Path], max_wait: str | None) -> int:
    """Work the line until nothing that was asked for moves by itself any more, and say what became of it."""
    path = path_of(config)
    seconds = None if max_wait is None else seconds_of(max_wait, "--max-wait")
    from adapterd.cli.verbs.progress import progress  # noqa: PLC0415 - rich, which a daemon does without
    from adapterd.drain import sync as drain  # noqa: PLC0415 - it brings the registry along

    with progress("looking at the roots") as say:
        done = drain(path, directories, seconds, say)
    for what, hint in done.lines:
        line(what)
        if hint:
            line(f"  Try: {hint}")
    return done.code
