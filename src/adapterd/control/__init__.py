"""The daemon's Unix socket, and the command line's side of it.

One line of JSON each way, then the connection ends. A request: ``{"schema": 1, "do": "retry", "arguments": {...},
"reason": "..."}``. An answer: ``{"schema": 1, "ok": true, ...}``, or ``{"schema": 1, "ok": false, "exit": 4,
"message": "...", "hint": "..."}`` with an exit code of the command line. Who asks, the kernel says.
"""

from adapterd.control.client import call
from adapterd.control.server import ControlServer, Handler
from adapterd.control.wire import ControlError, NoDaemonError, Request, exit_code

__all__ = ["ControlError", "ControlServer", "Handler", "NoDaemonError", "Request", "call", "exit_code"]
