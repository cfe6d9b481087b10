"""A Hub whose rate limits are waited out: for long readings that a person waits for anyway."""

from collections.abc import Callable
from typing import Any, cast

from adapterd.ports import Hub, Transient

LONGEST = 900.0
"""Seconds of one wait, whatever the Hub says."""

UNNAMED = 60.0
"""Seconds to wait where the Hub names no time."""


class _Patient:
    """Answers as the Hub does, later."""

    def __init__(self, hub: Hub, pause: Callable[[float], object], say: Callable[[str], None]) -> None:
        self._hub, self._pause, self._say = hub, pause, say

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the port
        found = getattr(self._hub, name)
        if not callable(found):
            return found

        def call(*args: object, **kwargs: object) -> object:
            while True:
                try:
                    return found(*args, **kwargs)
                except Transient as error:
                    if not error.throttled:
                        raise
                    seconds = min(error.retry_after or UNNAMED, LONGEST)
                    self._say(f"the Hub's rate limit is used up; going on in {seconds:.0f} s")
                    self._pause(seconds)

        return call


def patient(hub: Hub, pause: Callable[[float], object], say: Callable[[str], None]) -> Hub:
    """The Hub, to be read: a call that meets a rate limit waits and is made again. Other errors pass through."""
    return cast("Hub", _Patient(hub, pause, say))
