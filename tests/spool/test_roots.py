"""Watched roots are only looked at: walking, opening, and telling what lies there."""

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd import roots
from adapterd.core import adapter as ad
from adapterd.roots import SettleError
from helpers.adapters import write_adapter


def paths(root: Path, depth: int = 4) -> list[str]:
    """The adapter folders that a walk finds."""
    return [folder.path for folder in roots.walk(root, depth).folders]


def test_walk_finds_every_layout(tmp_path: Path) -> None:
    """Run root, checkpoints, named adapters and the root itself are found, and what else lies there is not."""
    for path in (".", "run", "run/checkpoint-5", "run/checkpoint-5/policy", "team/other/policy"):
        write_adapter(tmp_path / path)
    (tmp_path / "logs").mkdir()
    assert paths(tmp_path) == [".", "run", "run/checkpoint-5", "run/checkpoint-5/policy", "team/other/policy"]
    assert paths(tmp_path, depth=1) == [".", "run"]


def test_walk_finds_what_is_only_half_there(tmp_path: Path) -> None:
    """A config alone, weights alone or a pickle alone are part of an adapter that may come."""
    for name in (ad.CONFIG, ad.WEIGHTS, ad.PICKLE):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).touch()
    assert len(paths(tmp_path)) == 3


def test_walk_follows_no_links_and_enters_no_hidden_folders(tmp_path: Path) -> None:
    """A link may lead anywhere, and hidden folders are a tool's own."""
    write_adapter(tmp_path / "elsewhere" / "run")
    root = tmp_path / "root"
    write_adapter(root / ".cache" / "run")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert paths(root) == []


@pytest.mark.parametrize("name", [b"run-\xff", b"run\nx"])
def test_walk_leaves_out_names_that_are_no_text(tmp_path: Path, name: bytes) -> None:
    """A folder whose name no registry can hold hides nothing else."""
    write_adapter(tmp_path / "run")
    write_adapter(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    assert paths(tmp_path) == ["run"]


@pytest.mark.parametrize("trace", ["checkpoint-0/", "checkpoint-7/", "training_args.bin", ad.CONFIG])
def test_traces_of_a_run(tmp_path: Path, trace: str) -> None:
    """A folder with checkpoints, training arguments or an adapter of its own is a run's."""
    run = tmp_path / "run"
    run.mkdir()
    if trace.endswith("/"):
        (run / trace).mkdir()
    else:
        (run / trace).touch()
    assert "run" in roots.walk(tmp_path, 4).runs


def test_root_is_told_by_its_inode(tmp_path: Path) -> None:
    """A root that is absent, or is a file, is none; one that is made again is another one."""
    root = tmp_path / "root"
    assert roots.inode_of(root) is None
    root.touch()
    assert roots.inode_of(root) is None
    root.unlink()
    root.mkdir()
    first = roots.inode_of(root)
    root.rename(tmp_path / "old")
    root.mkdir()
    assert first is not None
    assert roots.inode_of(root) not in (None, first)


def test_templates_in_a_sub_folder_are_listed(tmp_path: Path) -> None:
    """Chat templates that lie in a folder of their own belong to the payload."""
    folder = write_adapter(tmp_path / "run")
    (folder / roots.TEMPLATES).mkdir()
    (folder / roots.TEMPLATES / "tool.jinja").touch()
    names = {entry.name for entry in roots.entries_of(folder)}
    assert f"{roots.TEMPLATES}/tool.jinja" in names


def make_fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """A socket in the file system."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    "make",
    [make_fifo, make_socket, Path.mkdir, lambda path: path.symlink_to("/etc/hostname")],
    ids=["pipe", "socket", "directory", "link"],
)
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What is no regular file is told, never followed, and never blocks."""
    make(tmp_path / "odd")
    with pytest.raises(SettleError) as told:
        roots.open_regular(tmp_path, "odd")
    assert told.value.code == "not_regular"


def test_a_pipe_does_not_see_a_reader(tmp_path: Path) -> None:
    """A writer that waits for a reader of its pipe keeps waiting: we never open it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettleError):
        roots.read_small(tmp_path, "pipe", 10)
    with pytest.raises(OSError, match="No such device"):
        os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)


def test_what_vanished_and_what_is_too_large(tmp_path: Path) -> None:
    """A file that is gone is `source_gone`; one above the limit is not read."""
    with pytest.raises(SettleError) as told:
        roots.read_small(tmp_path, "nothing", 10)
    assert told.value.code == "source_gone"
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(ValueError, match="more than 10"):
        roots.read_small(tmp_path, "large", 10)
    assert roots.read_if_there(tmp_path, "large", 10) is None
    assert roots.read_small(tmp_path, "large", 11) == bytes(11)


def test_held_while_somebody_writes(tmp_path: Path) -> None:
    """While a process has the weights open for writing the directory is held; reading it holds nothing."""
    folder = write_adapter(tmp_path / "run")

    def held() -> bool:
        return roots.look(folder, roots.entries_of(folder), checkpoint=False).held

    with (folder / ad.WEIGHTS).open("rb"):
        assert held() is False
    with (folder / ad.WEIGHTS).open("r+b"):
        assert held() is True
    assert held() is False


def test_a_writer_is_not_kept_out(tmp_path: Path) -> None:
    """The lease by which writers are seen is given back: opening for writing after a look does not wait."""
    folder = write_adapter(tmp_path / "run")
    roots.look(folder, roots.entries_of(folder), checkpoint=False)
    with (folder / ad.WEIGHTS).open("r+b") as file:
        assert fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_UNLCK


def test_look_at_what_is_whole(tmp_path: Path) -> None:
    """A parsing state file vouches for a checkpoint, and for a named adapter in one."""
    checkpoint = write_adapter(tmp_path / "run" / "checkpoint-5")
    named = write_adapter(checkpoint / "policy")
    for folder in (checkpoint, named):
        look = roots.look(folder, roots.entries_of(folder), checkpoint=True)
        assert look.whole
        assert look.signal.startswith("state:")
        assert look.present == {look.signal}


@pytest.mark.parametrize("text", ["", "[]", '{"global_step":', "\\"])
def test_a_state_file_that_does_not_parse_vouches_for_nothing(tmp_path: Path, text: str) -> None:
    """A state file that is being written is present, and does not vouch."""
    folder = write_adapter(tmp_path / "checkpoint-5")
    (folder / ad.STATE).write_text(text)
    look = roots.look(folder, roots.entries_of(folder), checkpoint=True)
    assert look.signal == ""
    assert len(look.present) == 1


def test_a_final_save_has_no_state_file(tmp_path: Path) -> None:
    """Trainer.save_state writes into the run's folder while the adapter may still be written: it does not count."""
    folder = write_adapter(tmp_path / "run")
    (folder / ad.STATE).write_text("{}")
    assert roots.look(folder, roots.entries_of(folder), checkpoint=False).signal == ""


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        (ad.CONFIG, b"{", "bad_config"),
        (ad.CONFIG, b" " * (ad.MAX_CONFIG_BYTES + 1), "bad_config"),
        (ad.WEIGHTS, b"short", "bad_weights"),
        (ad.INDEX, b"[]", "bad_weights"),
        (ad.INDEX, b'{"weight_map": {"a": "adapter_model-00001-of-00001.safetensors"}}', "bad_weights"),
        (ad.INDEX, b" " * (ad.MAX_CONFIG_BYTES + 1), "bad_weights"),
    ],
)
def test_look_at_what_is_broken(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    """A look says what is wrong with a pair instead of raising."""
    folder = write_adapter(tmp_path / "run")
    (folder / name).write_bytes(data)
    look = roots.look(folder, roots.entries_of(folder), checkpoint=False)
    assert (look.whole, look.code) == (False, code)
    assert look.fault


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ('{"global_step": 7}', 7),
        ('{"global_step": true}', None),
        ('{"global_step": -1}', None),
        ('{"global_step": 1e3}', None),
        ('{"global_step": 99999999999999999999}', None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_trainers_step(tmp_path: Path, text: str, step: int | None) -> None:
    """The step is a whole number that a registry can hold, or none."""
    folder = write_adapter(tmp_path / "run" / "policy")
    (tmp_path / "run" / ad.STATE).write_text(text)
    assert roots.trainer_state(folder, named=True).step == step
    assert roots.trainer_state(folder, named=False).step is None


def test_walk_while_folders_vanish(tmp_path: Path) -> None:
    """A rotation in the middle of a walk costs what vanished, and nothing else."""
    write_adapter(tmp_path / "stays")
    stop = threading.Event()

    def rotate() -> None:
        while not stop.is_set():
            folder = write_adapter(tmp_path / "run" / "checkpoint-1")
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    trainer = threading.Thread(target=rotate)
    trainer.start()
    try:
        found = [paths(tmp_path) for _ in range(50)]
    finally:
        stop.set()
        trainer.join()
    assert all("stays" in seen for seen in found)
