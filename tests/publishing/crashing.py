"""Ports that die at a chosen side effect, before or after it happened, as a process does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

HUB_EFFECTS = ("create_repo", "create_branch", "commit", "create_tag")
REGISTRY_EFFECTS = ("claim", "plan", "extend", "advance", "adopt", "wait", "stall", "save_repo", "save_channel")


class Crash(BaseException):
    """The process is gone; nothing of ours may catch this."""


class Places(Protocol):
    """Is told of each place before and after a side effect, and may end the process there."""

    def pass_by(self, place: str) -> None:
        """Be at one more place."""
        ...


@dataclass
class Fuse:
    """Counts the places before and after each side effect, and dies at the one that was chosen."""

    at: int | None = None
    count: int = 0
    places: list[str] = field(default_factory=list)

    def pass_by(self, place: str) -> None:
        """Be at one more place."""
        self.count += 1
        self.places.append(place)
        if self.count - 1 == self.at:
            raise Crash(place)


class Mortal:
    """Any port, whose side effects burn a fuse."""

    def __init__(self, port: object, effects: tuple[str, ...], fuse: Places) -> None:
        """Stand in for `port`."""
        self._port = port
        self._effects = effects
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's attribute; an effect with its two places."""
        attribute = getattr(self._port, name)
        return self._mortal(name, attribute) if name in self._effects else attribute

    def _mortal(self, name: str, effect: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **kwargs: object) -> object:
            self._fuse.pass_by(f"before {name}")
            done = effect(*args, **kwargs)
            self._fuse.pass_by(f"after {name}")
            return done

        return call
