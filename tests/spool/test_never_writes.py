"""Nothing is ever written into a watched root, and a root may be read-only."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd import roots
from adapterd.core import adapter as ad
from adapterd.roots import SettleError
from adapterd.spool import Snapshot, Spool
from helpers.adapters import write_adapter

ADAPTER = "acme/support"
LIMITS = (10 * 1024**2, 100)
Freeze = Callable[[Path], Snapshot]


def state_of(root: Path) -> dict[str, tuple[int, ...]]:
    """Everything that a write would change, of every entry below a root."""
    return {
        str(path): (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_nlink)
        for path in [root, *sorted(root.rglob("*"))]
        for s in [path.lstat()]
    }


def use(root: Path, freeze: Freeze) -> None:
    """Do all that the daemon does with a root."""
    for folder in roots.walk(root, 4).folders:
        at = root / folder.path
        look = roots.look(at, roots.entries_of(at), checkpoint=True)
        roots.trainer_state(at, named=True)
        assert look.whole
        freeze(at)


@pytest.fixture
def root(open_path: Path) -> Path:
    """A root with a run and a checkpoint, vouched for."""
    made = open_path / "train"
    write_adapter(made / "run", seed=1)
    write_adapter(made / "run" / "checkpoint-5", seed=2)
    (made / ("run" + ad.MARKER_SUFFIX)).write_text("{}")
    return made


def test_using_a_root_changes_nothing_in_it(root: Path, freeze: Freeze) -> None:
    """Modes, inodes, sizes, mtimes and ctimes of the whole tree are the same afterwards."""
    before = state_of(root)
    use(root, freeze)
    assert state_of(root) == before


@pytest.fixture
def read_only(root: Path, tmp_path: Path) -> Iterator[Path]:
    """The root, mounted read-only; skipped where that cannot be."""
    target = tmp_path / "mounted"
    target.mkdir()
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", str(root), str(target)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(target)], check=True)
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_root_that_is_mounted_read_only(read_only: Path, freeze: Freeze) -> None:
    """Everything works on a read-only mount."""
    with pytest.raises(OSError, match="Read-only"):
        (read_only / "x").touch()
    use(read_only, freeze)


def test_a_root_without_write_permission(
    root: Path, open_path: Path, as_nobody: Callable[[str], "subprocess.CompletedProcess[str]"]
) -> None:
    """A user who may only read the root can freeze what lies there."""
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (open_path / "own").mkdir()
    (open_path / "own").chmod(0o777)
    done = as_nobody(
        f"root, spool = Path({str(root)!r}), Spool(Path({str(open_path)!r}) / 'own' / 'spool')\n"
        "spool.prepare()\n"
        "for folder in roots.walk(root, 4).folders:\n"
        "    at = root / folder.path\n"
        "    look = roots.look(at, roots.entries_of(at), checkpoint=True)\n"
        "    print(folder.path, look.whole, look.held, len(spool.freeze(at, 'a/b', lambda _: '', (10**6, 10)).files))\n"
        "os.access(root, os.W_OK) and print('writable')\n"
    )
    assert done.stdout.splitlines() == ["run True False 2", "run/checkpoint-5 True False 2"], done.stderr


def test_weights_of_another_user(root: Path, as_nobody: Callable[[str], "subprocess.CompletedProcess[str]"]) -> None:
    """Weights of mode 0600, as safetensors writes them, are told as unreadable to another user, not as broken."""
    if os.getuid() != 0:
        pytest.skip("needs two users")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (root / "run" / ad.WEIGHTS).chmod(0o600)
    (root / "run" / "checkpoint-5").chmod(0o744)
    done = as_nobody(
        f"root = Path({str(root)!r})\n"
        "print([folder.path for folder in roots.walk(root, 4).folders])\n"
        "for name in ('run', 'run/checkpoint-5'):\n"
        "    try:\n"
        "        print(roots.look(root / name, roots.entries_of(root / name), checkpoint=False))\n"
        "    except roots.SettleError as error:\n"
        "        print(error.code)\n"
        "    except OSError as error:\n"
        "        print(error.strerror)\n"
    )
    assert done.stdout.splitlines() == ["['run', 'run/checkpoint-5']", "source_unreadable", "Permission denied"], (
        done.stderr
    )


def test_a_root_that_cannot_be_entered(
    root: Path, as_nobody: Callable[[str], "subprocess.CompletedProcess[str]"]
) -> None:
    """A root of another user is unreadable, which is not the same as absent."""
    if os.getuid() != 0:
        pytest.skip("needs two users")
    root.chmod(stat.S_IRWXU)
    done = as_nobody(
        f"try:\n    roots.inode_of(Path({str(root)!r}))\nexcept roots.SettleError as error:\n    print(error.code)\n"
    )
    assert done.stdout.strip() == "root_unreadable", done.stderr


def test_the_source_stays_when_the_spool_fails(root: Path, tmp_path: Path) -> None:
    """A failed copy changes nothing in the root either."""
    (tmp_path / "file").touch()
    before = state_of(root)
    with pytest.raises(SettleError):
        Spool(tmp_path / "file").freeze(root / "run", ADAPTER, lambda _: "", LIMITS)
    assert state_of(root) == before
