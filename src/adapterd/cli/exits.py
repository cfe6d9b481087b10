"""Exit codes, stable for ever, and which error means which."""

import errno
from enum import IntEnum

from adapterd.core.errors import AdapterdError


class Exit(IntEnum):
    """How a verb ended."""

    DONE = 0
    BUG = 1
    USAGE = 2
    REJECTED = 3
    STALLED = 4
    NOT_FOUND = 5
    DENIED = 6
    WAITING = 75
    CONFIGURATION = 78
    INTERRUPTED = 130


MEANING = {
    Exit.DONE: "done",
    Exit.BUG: "a fault of adapterd itself; please report it",
    Exit.USAGE: "the command line is wrong",
    Exit.REJECTED: "an adapter was rejected, or a verification failed",
    Exit.STALLED: "stalled: a person must act",
    Exit.NOT_FOUND: "not found",
    Exit.DENIED: "denied",
    Exit.WAITING: "waiting: try again later",
    Exit.CONFIGURATION: "the configuration or the installation is wrong",
    Exit.INTERRUPTED: "interrupted",
}

# By name, because most of these classes live behind imports that a small verb does without.
_BY_CLASS = {
    "UsageFaultError": Exit.USAGE,
    "ForeignPlaceError": Exit.USAGE,
    "VerificationError": Exit.REJECTED,
    "AlteredError": Exit.REJECTED,
    "NotFound": Exit.NOT_FOUND,
    "UnknownVersionError": Exit.NOT_FOUND,
    "Denied": Exit.DENIED,
    "Transient": Exit.WAITING,
    "Conflict": Exit.WAITING,
    "NoSuchDevice": Exit.CONFIGURATION,
    "DeviceTooSmall": Exit.STALLED,
    "DeviceBusy": Exit.WAITING,
    "LostLease": Exit.WAITING,
    "ConfigError": Exit.CONFIGURATION,
    "RegistryError": Exit.CONFIGURATION,
    "ServingFaultError": Exit.CONFIGURATION,
    "SetupError": Exit.CONFIGURATION,
    "MissingExtraError": Exit.CONFIGURATION,
}

_BY_ERRNO = {
    errno.ENOENT: Exit.NOT_FOUND,
    errno.ENOTDIR: Exit.NOT_FOUND,
    errno.EACCES: Exit.DENIED,
    errno.EPERM: Exit.DENIED,
    errno.EROFS: Exit.DENIED,
    errno.ENOSPC: Exit.WAITING,
    errno.EDQUOT: Exit.WAITING,
}


class UsageFaultError(AdapterdError):
    """An argument cannot be understood."""


class ServingFaultError(AdapterdError):
    """A server cannot have the port or the folder that it was given."""


class MissingExtraError(AdapterdError):
    """A library that the verb needs is not installed."""


def code_of(error: BaseException) -> Exit:
    """The exit code that an error means; BUG for one that nobody foresaw."""
    if isinstance(error, AdapterdError):
        own = getattr(error, "exit", None)
        if isinstance(own, int) and own in Exit.__members__.values():
            return Exit(own)
        return next((_BY_CLASS[c.__name__] for c in type(error).__mro__ if c.__name__ in _BY_CLASS), Exit.STALLED)
    if isinstance(error, OSError) and error.errno is not None:
        return _BY_ERRNO.get(error.errno, Exit.BUG)
    return Exit.BUG
