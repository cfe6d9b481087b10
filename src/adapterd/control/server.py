"""The daemon's side of the control socket."""

import contextlib
import logging
import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from adapterd.control import listening as sockets
from adapterd.control import wire
from adapterd.control.wire import ControlError, Request
from adapterd.core.errors import AdapterdError

Handler = Callable[[Request], Mapping[str, object]]

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_BREATH = 0.1  # seconds before it tries to accept again

log = logging.getLogger(__name__)


class ControlServer:
    """Answers requests at a socket, each client in a thread of its own.

    A handler gives plain JSON values, or raises: an AdapterdError becomes the answer, with the exit code of its
    class or of its own `exit`; anything else is a bug, logged here and answered without its text.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        clients: int = 16,
        patience: float = 10.0,
        trusted: frozenset[int] | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            path: of the socket; its folder is made with mode 0700 where there is none.
            handlers: by what is asked for.
            clients: how many may be served at a time; one more is told to come back.
            patience: seconds in which a client sends its request, and takes its answer.
            trusted: uids that may speak; by default our own and root's.
        """
        self.path = path
        self._handlers = dict(handlers)
        self._room = threading.BoundedSemaphore(clients)
        self._patience = patience
        self._trusted = frozenset({0, os.geteuid()}) if trusted is None else trusted
        self._stopping = threading.Event()
        self._listening: socket.socket | None = None
        self._inode = (0, 0)
        self._serving: set[threading.Thread] = set()

    def start(self) -> Self:
        """Listen. AdapterdError where another daemon does, or where the socket cannot be made."""
        try:
            self._listening, self._inode = sockets.listen(self.path)
        except OSError as error:
            raise AdapterdError(
                f"the control socket {self.path} cannot be made: {error.strerror or error}",
                "let the user of adapterd write to its folder, or set another runtime_dir",
            ) from error
        self._thread = threading.Thread(target=self._accept, args=(self._listening,), name="control", daemon=True)
        self._thread.start()
        return self

    def stop(self, patience: float = 5.0) -> None:
        """Stop listening, and give what is in hand some seconds to end."""
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        self._stopping.set()
        # Gone first: whoever looks now sees that there is no daemon. A newer daemon's socket stays.
        with contextlib.suppress(OSError):
            if sockets.inode(self.path) == self._inode:
                self.path.unlink()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._thread.join(patience)
        listening.close()
        until = time.monotonic() + patience
        for thread in tuple(self._serving):
            thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _accept(self, listening: socket.socket) -> None:
        """Take clients until the socket is shut down."""
        while not self._stopping.is_set():
            try:
                client, _ = listening.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    # Out of descriptors, most likely: a client that ends gives one back.
                    log.warning("control_accept_failed: %s", error)
                    self._stopping.wait(_BREATH)
                continue
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        """Serve a client in a thread, or tell it that there is no room."""
        if not self._room.acquire(blocking=False):
            with client, contextlib.suppress(OSError):
                client.settimeout(0)
                client.sendall(
                    wire.line(wire.refusal("the daemon is busy with other requests", "again in a moment", wire.LATER))
                )
            return
        thread = threading.Thread(target=self._serve, args=(client,), name="control-client", daemon=True)
        self._serving.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            log.exception("control_client_refused")
            self._leave(thread)
            client.close()

    def _leave(self, thread: threading.Thread) -> None:
        """Make room."""
        self._serving.discard(thread)
        self._room.release()

    def _serve(self, client: socket.socket) -> None:
        """Answer one request; whatever the client does ends here."""
        try:
            with client:
                answer = self._answer(client)
                client.settimeout(self._patience)
                client.sendall(answer)
        except OSError:
            log.debug("control_client_gone")
        except Exception:  # a client must never end the server
            log.exception("control_client_failed")
        finally:
            self._leave(threading.current_thread())

    def _answer(self, client: socket.socket) -> bytes:
        """The line that answers a client. OSError where the client is gone, or too slow."""
        try:
            return self._do(self._hear(client))
        except AdapterdError as error:
            return wire.line(wire.refusal(error.message, error.hint, wire.exit_code(error)))

    def _hear(self, client: socket.socket) -> Request:
        """The client's request; ControlError where it may not speak, or makes no sense."""
        _, uid, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        user = _user(uid)
        if uid not in self._trusted:
            raise ControlError(
                f"the daemon takes no requests from {user}", "run it as the user of the daemon", exit=wire.DENIED
            )
        line = wire.read_line(client, wire.LONGEST_REQUEST, time.monotonic() + self._patience)
        return wire.request(line, uid, user)

    def _do(self, request: Request) -> bytes:
        """Let a handler do what is asked for; the line that answers."""
        handler = self._handlers.get(request.do)
        if handler is None:
            raise ControlError(
                f"the daemon does not know how to do {request.do!r}",
                "restart the daemon: it may be older than this adapterd",
                exit=wire.USAGE,
            )
        try:
            return wire.line({**handler(request), "schema": wire.SCHEMA, "ok": True})
        except AdapterdError:
            raise
        except Exception as error:
            log.exception("control_request_failed")
            raise ControlError(
                f"the daemon failed to do {request.do!r} by a fault of its own",
                "report it with the daemon's log",
                exit=wire.BUG,
            ) from error


def _user(uid: int) -> str:
    """The name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
