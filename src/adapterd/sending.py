"""Commits to a repo are made side by side; while large objects of it are deleted for good, none is.

A commit leaves out an upload where the Hub has the bytes already. If they were deleted just then, a version would name
bytes that are nowhere.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Sending:
    """Who commits to which repo just now. Thread-safe."""

    def __init__(self) -> None:
        """Nobody does."""
        self._changed = threading.Condition()
        self._committing: Counter[str] = Counter()
        self._closed: set[str] = set()

    @contextmanager
    def commit(self, repo: str) -> Iterator[None]:
        """Commit to a repo within the block, beside others who do; waits while somebody deletes there."""
        with self._changed:
            self._changed.wait_for(lambda: repo not in self._closed)
            self._committing[repo] += 1
        try:
            yield
        finally:
            with self._changed:
                self._committing[repo] -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, repo: str) -> Iterator[None]:
        """Delete in a repo within the block: commits under way end first, and no other begins."""
        with self._changed:
            self._changed.wait_for(lambda: repo not in self._closed)
            self._closed.add(repo)
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._committing[repo])
            yield
        finally:
            with self._changed:
                self._closed.discard(repo)
                self._changed.notify_all()
