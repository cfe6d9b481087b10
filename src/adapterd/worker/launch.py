"""Becomes a gate: ``python -m adapterd.worker.launch PARENT FD COMMAND...``, started by `worker.gates` alone.

It steps back behind training, writes one byte to the inherited pipe, and becomes the command. With that the pipe
closes; where the command could not be started, the reason follows the byte.
"""

import contextlib
import os
import sys

from adapterd.worker.yielding import yield_to_training

NOT_STARTED = 127


def main(arguments: list[str]) -> None:
    """Step back, then become the command."""
    parent, fd, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    os.set_inheritable(fd, False)
    yield_to_training(parent)
    os.write(fd, b"+")
    try:
        os.execvp(command[0], command)  # noqa: S606 - the operator's own command, from the configuration
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(fd, (error.strerror or "it cannot be started").encode())
        os._exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
