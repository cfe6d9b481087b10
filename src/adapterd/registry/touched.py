"""What was written lately, so that whoever looks again and again need not read everything again."""

import threading
from collections import deque
from collections.abc import Iterable

MOST = 1000
"""How many written observations are remembered; whoever missed more reads all of them again."""

Place = tuple[str, str]
"""The root and the path of an observation."""


class Touched:
    """The writes of this process since it opened the registry: it is the only one that writes. Thread-safe.

    A write is told after it was committed: who reads it too early reads it again.
    """

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._lock = threading.Lock()
        self._places: deque[Place] = deque(maxlen=MOST)
        self._written = 0
        self._rows = 0

    def add(self, places: Iterable[Place], rows: int) -> None:
        """Remember one transaction: the observations that it wrote, and how many rows of any table it changed."""
        with self._lock:
            for place in places:
                self._places.append(place)
                self._written += 1
            self._rows += rows

    @property
    def rows(self) -> int:
        """How many rows were changed so far."""
        return self._rows

    def since(self, mark: int) -> tuple[int, frozenset[Place] | None]:
        """The mark of now, and the observations that were written since an earlier one; None where these are too many.

        No mark is below 0, so that -1 asks for everything.
        """
        with self._lock:
            missed = self._written - mark
            if mark < 0 or missed > len(self._places):
                return self._written, None
            recent = list(self._places)
            return self._written, frozenset(recent[len(recent) - missed :])
