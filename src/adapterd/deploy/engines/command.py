"""An engine that adapterd does not know: a command of the operator's own is told what to load and what to unload.

It is started without a shell, as ``CMD... load`` or ``CMD... unload``, with the rest in variables
(`docs/following.md`). What it said yes to is remembered on disk, and counts as loaded.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from adapterd.deploy.engines.contract import EngineRefusedError, Order
from adapterd.ports import Transient

LATER = 75
"""Its exit code for: not now, ask again."""
DEADLINE = 600.0
_TAIL = 400
_SECRET = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET")
"""What is none of its business."""

Told = Mapping[str, str]


class CommandEngine:
    """Runs the command for each version that comes or goes."""

    def __init__(
        self,
        command: Sequence[str],
        told: Callable[[], Told],
        keep: Callable[[Told], None],
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Remember the command; nothing is started.

        Args:
            command: program and arguments.
            told: gives what was kept last.
            keep: keeps what the command said yes to, so that it outlives this process.
            deadline: longest run in seconds.
        """
        self.key = " ".join(command)
        self._command = tuple(command)
        self._told, self._keep, self._deadline = told, keep, deadline

    def listed(self) -> Mapping[str, str]:
        """What the command has said yes to."""
        return dict(self._told())

    def load(self, order: Order) -> None:
        """Have it load a version."""
        self._run("load", order, (order.serving, str(order.folder)), (order.other, str(order.other_folder or "")))
        self._keep({**self._told(), order.serving: str(order.folder)})

    def unload(self, order: Order) -> None:
        """Have it let a version go."""
        self._run("unload", order, (order.other, str(order.other_folder or "")), (order.serving, str(order.folder)))
        self._keep({name: folder for name, folder in self._told().items() if name != order.serving})

    def _run(self, event: str, order: Order, new: tuple[str, str], old: tuple[str, str]) -> None:
        environ = {name: value for name, value in os.environ.items() if name not in _SECRET} | {
            "ADAPTERD_EVENT": event,
            "ADAPTERD_ADAPTER": order.adapter,
            "ADAPTERD_NAME": order.name,
            "ADAPTERD_NEW": new[0],
            "ADAPTERD_NEW_PATH": new[1],
            "ADAPTERD_OLD": old[0],
            "ADAPTERD_OLD_PATH": old[1],
        }
        what = f"{self.key} {event} {order.serving}"
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                [*self._command, event],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineRefusedError(
                f"{self._command[0]} cannot be started: {error.strerror}", "the path of a program after --exec"
            ) from None
        try:
            output, _ = process.communicate(timeout=self._deadline)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Transient(f"{what} did not end within {self._deadline:g} s and was killed", code="engine") from None
        words = " ".join(output.decode("utf-8", "replace").split())[-_TAIL:]
        tail = f": {words}" if words else ""
        if process.returncode == LATER:
            raise Transient(f"{what} asks to wait{tail}", code="engine")
        if process.returncode:
            raise EngineRefusedError(f"{what} ended with exit code {process.returncode}{tail}", "the command by hand")
