"""Which file system a path lies on (proc(5), mountinfo)."""

from pathlib import Path

KEEPING = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "tmpfs", "xfs", "zfs"})
"""Local file systems that move the change time (`st_ctime`) of a folder or file whenever anything about it changes."""

_POINT = 4
"""The mount point is the fifth field."""


def kind_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system of the longest mount point above a path; empty where that cannot be told."""
    best, kind, wanted = -1, "", str(path)
    try:
        lines = mountinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, types = left.split(), right.split()
        if len(fields) > _POINT and types:
            point = fields[_POINT].encode().decode("unicode_escape")
            inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
            # Of two mounts at one point the later one covers the earlier.
            if inside and len(point) >= best:
                best, kind = len(point), types[0]
    return kind


def keeps_change_times(path: Path) -> bool:
    """Whether nothing changes below a path without its change time; False where that is not known."""
    try:
        return kind_of(path.resolve()) in KEEPING
    except OSError:
        return False
