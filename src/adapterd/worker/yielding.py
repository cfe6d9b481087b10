"""How the daemon's children step back behind training. In the child's own start: the daemon has threads."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
from pathlib import Path

_NICENESS = 10
_OOM_SCORE = "600"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IOPRIO_IDLE = 3 << 13
_HEADROOM = 4096
"""Processes and threads that a worker may add to those of its user: far more than any library starts."""
_MOST_TASKS = 2**22
"""The kernel has no more process ids than these."""
_IOPRIO_CALLS = {"x86_64": 251, "aarch64": 30}


def yield_to_training(parent: int) -> None:
    """Die with the daemon, before it is too late to notice, and take what training leaves of this host.

    In the child's own start, not between fork and exec: the daemon has threads.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(AttributeError):  # Linux alone
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the daemon is gone")
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):  # first to go when memory is short
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    if sys.platform == "linux" and os.uname().machine in _IOPRIO_CALLS:
        libc.syscall(_IOPRIO_CALLS[os.uname().machine], 1, 0, _IOPRIO_IDLE)


def contain(headroom: int = _HEADROOM) -> None:
    """Leave no core file, keep what is started within reach, and let a fork bomb end before the host does.

    The kernel counts all processes and threads of the user, training's too; so the limit lies above what runs now.
    Before there is a second thread.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_NPROC, (min([tasks() + headroom, *known]), hard))


def tasks() -> int:
    """Processes and threads that count against this user now, by the kernel's own count; 0 where it does not count.

    They cannot be listed: a container does not see those outside of it, and they count all the same. So the lowest
    limit is searched under which one more thread can be started.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    low, high = 0, _MOST_TASKS if soft == resource.RLIM_INFINITY else min(soft, _MOST_TASKS)
    try:
        while low < high:
            middle = (low + high) // 2
            resource.setrlimit(resource.RLIMIT_NPROC, (middle, hard))
            low, high = (low, middle) if _one_more() else (middle + 1, high)
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
    return max(low - 1, 0)


def _one_more() -> bool:
    """Whether a thread can be started."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True
