"""The last of what a process printed, however much it prints."""

import os
import threading

LINES = 200
BYTES = 64 * 1024


class LogTail:
    """Drains a pipe in a thread of its own and keeps its end, so that a flood neither blocks nor fills memory."""

    def __init__(self, fd: int, keep: int = BYTES) -> None:
        """Take over `fd` and begin to read; it is closed at its end of file. The last `keep` bytes are kept."""
        self._keep = keep
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._drain, args=(fd,), name="worker-log", daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """Forget what was printed so far: the next request begins."""
        with self._lock:
            self._kept.clear()

    def text(self, wait: float = 0.0) -> str:
        """Give the last lines; waits up to `wait` seconds for the end of the stream."""
        return "\n".join(self.whole(wait).splitlines()[-LINES:])

    def whole(self, wait: float = 0.0) -> str:
        """Give all that is kept, however many lines."""
        self._thread.join(wait)
        with self._lock:
            return self._kept.decode(errors="replace")

    def _drain(self, fd: int) -> None:
        """Read until the last writer is gone."""
        try:
            while chunk := os.read(fd, BYTES):
                with self._lock:
                    self._kept += chunk
                    del self._kept[: -self._keep]
        finally:
            os.close(fd)
