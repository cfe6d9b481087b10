"""What stands behind the verbs, each room loaded when it is first used.

The command line's grammar is read for every `--help`; what stands behind it imports whole libraries.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapterd.cli.verbs import (
        auditing,
        browsing,
        changing,
        comparing,
        configuring,
        deploying,
        fetching,
        flagging,
        following,
        keeping,
        listing,
        moving,
        serving,
        showing,
        standing,
        tidying,
        validating,
        verifying,
        watching,
    )

__all__ = [
    "auditing",
    "browsing",
    "changing",
    "comparing",
    "configuring",
    "deploying",
    "fetching",
    "flagging",
    "following",
    "keeping",
    "listing",
    "moving",
    "serving",
    "showing",
    "standing",
    "tidying",
    "validating",
    "verifying",
    "watching",
]


def __getattr__(name: str) -> ModuleType:
    """Load the room of this name."""
    if name not in __all__:
        raise AttributeError(f"{__name__} has no {name}")
    return import_module(f"adapterd.cli.verbs.{name}")
