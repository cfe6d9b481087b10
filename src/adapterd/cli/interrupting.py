"""Ctrl-C that always ends a verb: the clean-up of an interrupted library may wait for a lock that nobody gives back."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 2.0
"""Seconds that a verb has to end by itself after Ctrl-C; what it leaves lying is taken up again, as after a crash."""


@contextmanager
def ending(leave: Callable[[], object], patience: float = PATIENCE) -> Iterator[None]:
    """Raise KeyboardInterrupt as ever, and `leave` where the verb has not ended `patience` seconds later.

    A lock is the danger: an interrupt between taking it and the block that gives it back leaves it held, and the
    library waits for it on its way out. Verbs with handlers of their own are not touched.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, patience)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    alarm = signal.signal(signal.SIGALRM, lambda *_: leave())
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGALRM, alarm)
