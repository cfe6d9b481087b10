"""Converts the pickle in a private copy, in a process of its own that has no token and no network to use it on."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapterd.core.adapter import PICKLE
from adapterd.ports import GateFailed, GateRequest
from adapterd.roots import SettleError
from adapterd.worker.gates import GateRunner

REFUSED, FULL, UNWRITABLE = 3, 4, 5
"""Exit codes of the process: the file holds no plain tensors; they could not be written."""
COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "adapterd.worker.convert")

_CODES = {REFUSED: "conversion_failed", FULL: "spool_full", UNWRITABLE: "spool_unwritable"}


class Converter:
    """Runs the conversion as gates are run: bounded in time and output, and killed with all that it started.

    Calls belong to one thread; `close` may be called from any, and is for good.
    """

    def __init__(self, *, command: Sequence[str] = COMMAND, environ: Mapping[str, str] | None = None) -> None:
        """Start nothing yet.

        Args:
            command: the process, to which the folder and the most bytes are added.
            environ: the environment to choose from; the process's own where None.
        """
        self._command = tuple(command)
        self._runner = GateRunner(environ=environ)
        self._closed = False

    def __call__(self, folder: Path, seconds: float, most: int) -> None:
        """Write ``adapter_model.safetensors`` beside ``adapter_model.bin``: see the port.

        Raises:
            SettleError: `conversion_failed`, `spool_full`, `spool_unwritable`, `conversion_stalled`,
                `worker_restarted`.
        """
        try:
            answer = self._runner.ask(GateRequest((*self._command, str(folder), str(most)), str(folder), "", seconds))
        except GateFailed as error:
            if self._closed:
                raise SettleError("worker_restarted", f"{PICKLE} is not converted, since adapterd stops") from error
            name = Path(self._command[0]).name
            said = f"the process that converts {PICKLE} {error.message.removeprefix(f'gate {name} ')}"
            raise SettleError("conversion_stalled", said) from error
        if answer.exit:
            told = answer.tail.splitlines()[-1] if answer.tail else f"exit code {answer.exit}"
            said = f"{PICKLE} cannot be converted: {told.replace(f'{folder}{os.sep}', '')}"
            raise SettleError(_CODES.get(answer.exit, "conversion_stalled"), said)

    def close(self) -> None:
        """End the one that runs, and start no other."""
        self._closed = True
        self._runner.close()
