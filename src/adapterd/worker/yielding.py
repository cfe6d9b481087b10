"""How the daemon's children step back behind training. In the child's own start: the daemon has threads."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_NICENESS = 10
_OOM_SCORE = "600"
_PR_SET_PDEATHSIG = 1
_IOPRIO_IDLE = 3 << 13
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
