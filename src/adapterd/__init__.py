"""adapterd: from a training folder to a versioned, validated Hugging Face Hub repo.

What stands here is for whoever serves adapters from Python. Importing it costs next to nothing: each name loads what it
needs when it is first used, and only `attach` needs peft and transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapterd.api import pull, resolve
    from adapterd.attaching import AttachError, BaseMismatchError, attach
    from adapterd.core.errors import AdapterdError
    from adapterd.deploy import ErasedError, OccupiedError, Resolved, VerificationError
    from adapterd.ports import Denied, NotFound, Transient

__all__ = [
    "AdapterdError",
    "AttachError",
    "BaseMismatchError",
    "Denied",
    "ErasedError",
    "NotFound",
    "OccupiedError",
    "Resolved",
    "Transient",
    "VerificationError",
    "attach",
    "pull",
    "resolve",
]

_HOMES = {
    "adapterd.api": ("pull", "resolve"),
    "adapterd.attaching": ("AttachError", "BaseMismatchError", "attach"),
    "adapterd.core.errors": ("AdapterdError",),
    "adapterd.deploy": ("ErasedError", "OccupiedError", "Resolved", "VerificationError"),
    "adapterd.ports": ("Denied", "NotFound", "Transient"),
}
"""Module to the public names that it gives."""


def _load(name: str) -> object:
    """Load a public name when it is first asked for."""
    for module, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:  # a type checker that saw it would take every name for one of ours
    __getattr__ = _load


def __dir__() -> list[str]:
    """The public names, for those who explore."""
    return sorted({*globals(), *__all__})
