"""What a base model's files are: their fingerprint, and the digests that are kept of them."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from adapterd.fingerprints import Digests, base_files, fingerprint, sketch, weight_bytes


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base model, as far as files tell."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def _rewrite(path: Path, data: bytes) -> None:
    """Write other bytes of the same length, as at another time."""
    path.write_bytes(data)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def test_content_counts_and_not_the_place(base: Path, tmp_path: Path) -> None:
    """A copy elsewhere is the same base, whatever lies beside it; another config or one other byte is another base."""
    copy = shutil.copytree(base, tmp_path / "copy")
    (copy / "notes.txt").write_text("mine")
    (copy / "adapter.bin").write_bytes(b"no weights of it, since safetensors are there")
    original = fingerprint(base, {})
    assert len(original) == 64
    assert fingerprint(copy, {}) == original
    _rewrite(copy / "model.safetensors", b"Weights")
    assert fingerprint(copy, {}) != original
    _rewrite(copy / "model.safetensors", b"weights")
    (copy / "config.json").write_text("{}")
    assert fingerprint(copy, {}) != original


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["model.safetensors", "consolidated.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "other.safetensors"], [0, 1]),
        (["pytorch_model.bin", "training_args.bin", "model.Q4.gguf"], ["pytorch_model.bin"]),
        (["odd.safetensors"], ["odd.safetensors"]),
        (["model.Q4.gguf"], ["model.Q4.gguf"]),
        (["notes.txt"], []),
    ],
)
def test_the_weights_are_those_that_are_loaded(tmp_path: Path, there: list[str], chosen: list[str | int]) -> None:
    """A second form of the same weights beside them changes neither fingerprint nor size."""
    for name in there:
        (tmp_path / name).write_bytes(bytes(4))
    names = [there[each] if isinstance(each, int) else each for each in chosen]
    assert [path.name for path in base_files(tmp_path)] == names
    assert weight_bytes(tmp_path) == 4 * len(names)


def test_a_folder_that_is_gone_has_no_weights_and_is_like_no_other(base: Path, tmp_path: Path) -> None:
    """Its size is 0 and it has no sketch; nor has a folder with a config alone."""
    assert weight_bytes(tmp_path / "gone") == 0
    assert sketch(tmp_path / "gone") is None
    assert sketch(base) is not None
    (base / "model.safetensors").unlink()
    assert sketch(base) is None


def test_a_file_is_read_once_even_by_the_next_process(base: Path, tmp_path: Path) -> None:
    """Digests are kept by device, inode, size and time, in a file for the owner alone."""
    path = tmp_path / "hashes.json"
    first = Digests(path).of(base)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_bytes())
    assert len(kept["sha256"]) == 2
    path.write_text(json.dumps({"schema": 1, "sha256": dict.fromkeys(kept["sha256"], "0" * 64)}))
    assert Digests(path).of(base) != first, "what is kept was not believed"
    assert Digests().of(base) == first


def test_a_file_that_changed_is_read_again(base: Path, tmp_path: Path) -> None:
    """Other bytes of the same size at another time are another file."""
    digests = Digests(tmp_path / "hashes.json")
    first = digests.of(base)
    assert digests.of(base) == first
    _rewrite(base / "model.safetensors", b"Weights")
    assert digests.of(base) != first


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"sha256": 7}',
        b'{"sha256": {"1:2:3:4": 7}}',
        b'{"sha256": {"../x": "' + b"0" * 64 + b'"}}',
        b'{"sha256": {"1:2:3:4": "short"}}',
        b" " * (1024 * 1024 + 1),
    ],
)
def test_a_damaged_file_says_nothing(base: Path, tmp_path: Path, damage: bytes) -> None:
    """Files are read again, and the damaged file is written over."""
    path = tmp_path / "hashes.json"
    path.write_bytes(damage)
    digests = Digests(path)
    assert digests.known() == {}
    assert digests.of(base) == fingerprint(base, {})
    assert Digests(path).known() == digests.known() != {}


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Beyond a thousand files the oldest digests go; what was learned again is young again."""
    path = tmp_path / "hashes.json"
    digests = Digests(path)
    digests.learn({f"1:{n}:3:4": f"{n:064x}" for n in range(1024)})
    digests.learn({"1:0:3:4": "f" * 64, "1:9999:3:4": "e" * 64})
    known = Digests(path).known()
    assert known == digests.known()
    assert len(known) == 1024
    assert (known["1:0:3:4"], known["1:9999:3:4"], "1:1:3:4" in known) == ("f" * 64, "e" * 64, False)


def test_a_disk_that_takes_nothing_costs_only_a_second_reading(base: Path, tmp_path: Path) -> None:
    """The fingerprint is right all the same, and known until the process ends."""
    digests = Digests(tmp_path / "none" / "hashes.json")
    assert digests.of(base) == fingerprint(base, {})
    assert len(digests.known()) == 2
    assert not (tmp_path / "none").exists()
