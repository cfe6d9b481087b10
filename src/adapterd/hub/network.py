"""Sockets that know how much time a call has left.

A timeout of the library bounds one read or one write, so that a few bytes now and then keep a request alive for ever:
in its headers, in its answer, in an upload that is hardly taken. And looking up a name has no timeout at all. Here each
operation on the network gets at most what is left of its call.
"""

import ipaddress
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore2
import httpx2

_PIECE = 16 * 1024
"""Bytes that are written before the time is looked at again: one TLS record."""

Left = Callable[[], float | None]
"""Seconds that are left, None for no limit; raises where there are none."""

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, best first."""


def bound(client: httpx2.Client, left: Left) -> None:
    """Let every connection of a client end with its call."""
    # Of the three, only the innermost has a public way in, and taking that would mean to build the other two anew.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - as said
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = Backend(left)  # noqa: SLF001 - as said


class Backend(httpcore2.NetworkBackend):
    """Connects, each connection bounded."""

    def __init__(self, left: Left, resolve: Resolve | None = None) -> None:
        """Use the system's sockets and, unless told otherwise, its names."""
        self._left = left
        self._resolve = resolve or addresses
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Try the addresses of a host one after the other."""
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        options = list(socket_options or ())
        for address in self._lookup(host, port, _least(timeout, self._left())):
            try:
                stream = self._inner.connect_tcp(address, port, _least(timeout, self._left()), local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
            else:
                return Stream(stream, self._left)
        raise failed

    def _lookup(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        """Find the addresses of a host in time: the system's own call can not be interrupted, and takes minutes."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        found: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

        def look() -> None:
            try:
                found.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                found.put(error if isinstance(error, OSError) else OSError(str(error)))

        threading.Thread(target=look, name="hub-names", daemon=True).start()
        try:
            answer = found.get(timeout=seconds)
        except queue.Empty:
            raise httpcore2.ConnectTimeout(f"the name {host} was not looked up in time") from None
        if isinstance(answer, OSError):
            raise httpcore2.ConnectError(f"the name {host} is not known: {answer.strerror or answer}") from None
        return answer


class Stream(httpcore2.NetworkStream):
    """A connection, each of whose operations takes at most what is left."""

    def __init__(self, inner: httpcore2.NetworkStream, left: Left) -> None:
        """Stand before a connection."""
        self._inner = inner
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it."""
        return self._inner.read(max_bytes, _least(timeout, self._left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE):
            self._inner.write(view[start : start + _PIECE], _least(timeout, self._left()))  # type: ignore[arg-type] # as good as bytes

    def close(self) -> None:
        """End the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Speak TLS from here on."""
        return Stream(
            self._inner.start_tls(ssl_context, server_hostname, _least(timeout, self._left())),
            self._left,
        )

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's signature
        """Say what is known of the connection."""
        return self._inner.get_extra_info(info)


def addresses(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _least(timeout: float | None, left: float | None) -> float | None:
    given = [seconds for seconds in (timeout, left) if seconds is not None]
    return min(given) if given else None
