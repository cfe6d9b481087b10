"""hub serve."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from adapterd.cli.exits import Exit, ServingFaultError, UsageFaultError
from adapterd.cli.say import complain
from adapterd.hub.server import Account, DataDirectoryError, FaultFile, FaultFileError, stored_token
from adapterd.hub.server import serve as run

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


def serve(data: Path, port: int, user: str, token: str | None, orgs: Sequence[str], faults: Path | None) -> int:
    """Serve until SIGTERM or SIGINT; one line says when it is ready."""
    for name in (user, *orgs):
        if not _NAME.fullmatch(name):
            raise UsageFaultError(f"{name!r} is no name for an account", "letters, digits, '.', '_' and '-'")
    if token is not None and not re.fullmatch(r"hf_[A-Za-z0-9]{1,128}", token):
        raise UsageFaultError("--token: not of the form hf_ and letters or digits", "leave it out to have one made")
    try:
        plan = FaultFile(faults, complain) if faults is not None else None
    except FaultFileError as error:
        raise UsageFaultError(f"--faults: {error.message}", error.hint) from error
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        run(data, port, [Account(user, token or stored_token(data), "write", tuple(orgs))], _announce, plan)
    except DataDirectoryError as error:
        raise ServingFaultError(error.message, error.hint) from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise ServingFaultError(
            f"port {port} cannot be used: {error.strerror}", "another --port, or 0 for a free one"
        ) from error
    return Exit.DONE


def _announce(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
