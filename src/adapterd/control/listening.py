"""Making the control socket: for its owner alone, and never over a living daemon's."""

import os
import socket
import stat
from pathlib import Path

from adapterd.control.wire import demand_short
from adapterd.core.errors import AdapterdError


def listen(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket that only its owner can reach, and its inode."""
    demand_short(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.stat()
    if folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
        raise AdapterdError(
            f"the folder of the control socket, {path.parent}, can be written by others",
            f"`chmod 700 {path.parent}`, or set another runtime_dir",
        )
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(listening.fileno(), 0o600)  # before bind: Linux makes the file with this mode, umask or not
        listening.bind(os.fspath(path))
        path.chmod(0o600)
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    return listening, inode(path)


def _clear(path: Path) -> None:
    """Remove what a dead daemon left; AdapterdError where something else is there, or a daemon lives."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AdapterdError(f"{path} is in the way: it is no socket", "move it away, or set another runtime_dir")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(5.0)
        try:
            client.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except (TimeoutError, BlockingIOError):
            pass  # its queue is full: somebody listens
    raise AdapterdError(f"another daemon listens at {path}", "stop it first, or give this one another runtime_dir")


def inode(path: Path) -> tuple[int, int]:
    """Which file this is."""
    found = path.lstat()
    return found.st_dev, found.st_ino
