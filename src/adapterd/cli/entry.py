"""The console entry: runs a verb and turns whatever it raises into two lines and an exit code."""

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from adapterd.cli.app import app
from adapterd.cli.exits import Exit, MissingExtraError, code_of
from adapterd.cli.interrupting import ending
from adapterd.cli.say import ReaderGoneError, complain
from adapterd.core.errors import AdapterdError

DEBUG = "ADAPTERD_DEBUG"

_OPTIONAL = {
    "alembic": "host",
    "apscheduler": "host",
    "dulwich": "hub",
    "peft": "host",
    "prometheus_client": "host",
    "sqlalchemy": "host",
    "starlette": "host",
    "torch": "host",
    "transformers": "host",
    "uvicorn": "host",
    "watchdog": "host",
}
"""Libraries that come with an extra of the installation, by the name they are imported by."""


def main() -> int:
    """Run the command line of this process; the exit code."""
    try:
        with ending(_leave):
            code = int(app(prog_name="adapterd", standalone_mode=False) or 0)
        if code == Exit.INTERRUPTED:  # typer's word for Ctrl-C
            _leave()
        sys.stdout.flush()
    except TyperException as error:  # of the command line itself
        return misused(error)
    except (typer.Abort, KeyboardInterrupt):
        _leave()
    except (ReaderGoneError, BrokenPipeError):
        # Whoever read our output has seen enough; the interpreter must not flush into the closed pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - the one place where errors become words
        return report(error)
    return code


def _leave() -> NoReturn:
    """End at once after Ctrl-C.

    The interrupted call may have left a lock of its library held, on which the library's own clean-up would wait.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(Exit.INTERRUPTED)


def misused(error: TyperException) -> Exit:
    """Say what is wrong with the command line; without a verb, give the help."""
    said = error.format_message().replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    verb = context.command_path if context is not None else "adapterd"
    complain(said, "" if "\n" in said else f"{verb} --help")
    return Exit.USAGE


def report(error: Exception) -> Exit:
    """Say what happened and what to try; a traceback only where somebody asked for it."""
    if isinstance(error, ModuleNotFoundError):
        error = missing(error) or error
    code = code_of(error)
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    elif isinstance(error, AdapterdError):
        complain(error.message, error.hint)
    elif code is Exit.BUG:
        complain(
            f"adapterd has a fault: {type(error).__name__}: {error}",
            f"report it, with what {DEBUG}=1 shows; the registry and the Hub are as they were or one step further",
        )
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        complain(f"{place}{error.strerror}", "give it another place, or change that one")
    return code


def missing(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The words for a library that an extra would have brought; None where it is none of these."""
    library = error.name or ""
    extra = _OPTIONAL.get(library)
    if extra is None:
        return None
    if sys.argv[1:2] == ["hub"]:
        extra = "hub"
    return MissingExtraError(
        f"this verb needs {library}, which is not installed", f"pip install 'adapterd[{extra}]': it needs the extra"
    )
