"""Progress of long work, on standard error: one line that changes on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from adapterd.cli.say import clean


@contextmanager
def progress(begin: str) -> Iterator[Callable[[str], None]]:
    """Say what is being done; the function given takes each next line."""
    if not sys.stderr.isatty():
        sys.stderr.write(clean(begin) + "\n")
        sys.stderr.flush()

        def plain(text: str) -> None:
            sys.stderr.write(clean(text) + "\n")
            sys.stderr.flush()

        yield plain
        return
    console = Console(stderr=True)
    with console.status(Text(clean(begin))) as shown:
        yield lambda text: shown.update(Text(clean(text)))
