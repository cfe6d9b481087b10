"""watch and sync: the line itself."""

from collections.abc import Sequence
from pathlib import Path

from adapterd.cli.say import line
from adapterd.cli.verbs.settings import path_of, seconds_of


def watch(config: Path | None, command: Sequence[str]) -> int:
    """Run the daemon; it ends with the exit code of the command, where there is one."""
    path = path_of(config)
    from adapterd import daemon  # noqa: PLC0415 - `sync` does without it

    return daemon.watch(path, tuple(command))


def sync(config: Path | None, directories: Sequence[Path], max_wait: str | None) -> int:
    """Work the line until nothing moves by itself any more."""
    path = path_of(config)
    seconds = None if max_wait is None else seconds_of(max_wait, "--max-wait")
    from adapterd.cli.exits import MEANING, Exit  # noqa: PLC0415 - beside its only use
    from adapterd.cli.verbs.progress import progress  # noqa: PLC0415 - rich, which a daemon does without
    from adapterd.drain import sync as drain  # noqa: PLC0415 - it brings the registry along

    with progress("looking at the roots") as say:
        code = drain(path, directories, seconds, say)
    line(MEANING[Exit(code)])
    return code
