"""The command line: ``adapterd``. What a verb needs is imported when the verb is used."""

from adapterd.cli.entry import main

__all__ = ["main"]
