"""How the daemon's children step back behind training. In the child's own start: the daemon has threads."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_NICENESS = 10
_OOM_SCORE = "600"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IOPRIO_IDLE = 3 << 13
_HEADROOM = 4096
"""Processes and threads that a worker may add to those of its user: far more than any library starts."""
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
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError):  # Linux alone
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    running = tasks()
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if running is not None:
        known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_NPROC, (min([running + headroom, *known]), hard))


def tasks(proc: Path = Path("/proc")) -> int | None:
    """Processes and threads that this user has now; None where nobody says."""
    own, count = os.getuid(), 0
    try:
        names = [path.name for path in proc.iterdir() if path.name.isdecimal()]
    except OSError:
        return None
    for name in names:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if (proc / name).stat().st_uid == own:
                # 18 fields behind the name comes the number of threads; a name may hold blanks and brackets.
                count += int((proc / name / "stat").read_bytes().rpartition(b")")[2].split()[17])
    return count or None
