"""Converts the pickle in a private copy, in a process of its own that has no token and no network to use it on."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from adapterd.core.adapter import PICKLE, WEIGHTS
from adapterd.ports import GateFailed, GateRequest
from adapterd.roots import SettleError
from adapterd.worker.gates import GateRunner

REFUSED = 3
"""Exit code of the process for a file that holds something else than tensors by name."""
COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "adapterd.worker.convert", "{snapshot}")


class Converter:
    """Runs the conversion as gates are run: bounded in time and output, and killed with all that it started."""

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        """Start nothing yet; `environ` is the environment to choose from, the process's own where None."""
        self._runner = GateRunner(environ=environ)

    def __call__(self, folder: Path, seconds: float) -> None:
        """Put ``adapter_model.safetensors`` in the place of ``adapter_model.bin``, within so many seconds.

        Raises:
            SettleError: `conversion_failed` where the file holds no plain tensors, `conversion_stalled` where the
                process came to no answer: it died, or did not end in time.
        """
        try:
            answer = self._runner.ask(GateRequest(COMMAND, str(folder), "", seconds))
        except GateFailed as error:
            name = Path(COMMAND[0]).name
            text = f"the process that converts {PICKLE} {error.message.removeprefix(f'gate {name} ')}"
            raise SettleError("conversion_stalled", text) from error
        if answer.exit:
            told = answer.tail.splitlines()[-1] if answer.tail else f"exit code {answer.exit}"
            code = "conversion_failed" if answer.exit == REFUSED else "conversion_stalled"
            raise SettleError(code, f"{PICKLE} cannot be converted: {told}")
        made = folder / WEIGHTS
        made.chmod(0o600)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            (folder / PICKLE).unlink()

    def close(self) -> None:
        """End the one that runs."""
        self._runner.close()
