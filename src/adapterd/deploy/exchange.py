"""Exchange two directories in one step, so that a reader never finds the name empty."""

import ctypes
import errno
import os
from pathlib import Path

from adapterd.deploy.faults import OccupiedError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""renameat2(2), Linux 3.15."""

_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def exchange(one: Path, other: Path) -> None:
    """Let two directories of one file system change names. OccupiedError where the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        rename = library.renameat2
    except AttributeError:
        code = errno.ENOSYS
    else:
        arguments = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        code = ctypes.get_errno() if rename(*arguments) else 0
    if code in _UNABLE:
        raise OccupiedError(
            f"the file system of {other} cannot exchange two directories in one step",
            "pull into a new directory, then move a link to it",
        )
    if code:
        raise OSError(code, os.strerror(code), str(other))
