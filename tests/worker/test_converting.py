"""The Converter, with its real process: tensors and nothing else, within bounds, and no verdict where it dies."""

import pickle
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapterd.core import adapter as ad
from adapterd.roots import SettleError
from adapterd.worker.converting import FULL, UNWRITABLE, Converter
from helpers.pickles import DIES, Bomb, tensors, write_pickled

MOST = 1024 * 1024
Refused = Callable[..., SettleError]


@pytest.fixture
def convert() -> Iterator[Converter]:
    """The real converter."""
    converter = Converter()
    yield converter
    converter.close()


@pytest.fixture
def refused(convert: Converter, tmp_path: Path) -> Refused:
    """Convert some content, which fails; the error."""

    def do(content: object, most: int = MOST) -> SettleError:
        with pytest.raises(SettleError) as caught:
            convert(write_pickled(tmp_path / "adapter", content), 60.0, most)
        assert not (tmp_path / "adapter" / ad.WEIGHTS).exists()
        return caught.value

    return do


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte; skipped where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_tensors_are_those_of_the_pickle(convert: Converter, tmp_path: Path, *, legacy: bool) -> None:
    """Shared, transposed, parameters and half precision alike, from archives and from files before torch 1.6."""
    odd = {
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "turned": torch.arange(6.0).view(2, 3).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "none": torch.zeros(0, 4),
    }
    content = OrderedDict(tensors() | odd)
    folder = write_pickled(tmp_path / "adapter", content, legacy=legacy)
    convert(folder, 60.0, MOST)
    held = load_file(folder / ad.WEIGHTS)
    assert held.keys() == content.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in content.items())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "it holds a list"),
        ({}, "not tensors by name"),
        ({1: torch.ones(2)}, "1 is no name"),
        ({"__metadata__": torch.ones(2)}, "is no name"),
        ({"step": 5}, "step is a int"),
        ({"state": {"inner": torch.ones(2)}}, "state is a dict"),
        ({"sparse": torch.ones(2, 2).to_sparse()}, "sparse is no dense tensor"),
        ({"empty": torch.ones(2, device="meta")}, "empty is no dense tensor"),
    ],
)
def test_anything_but_dense_tensors_by_name_is_refused(refused: Refused, content: object, words: str) -> None:
    """An optimizer's state, a whole checkpoint, a list: none of them is an adapter's weights."""
    error = refused(content)
    assert error.code == "conversion_failed"
    assert words in error.message


def test_a_small_file_cannot_become_a_large_one(refused: Refused) -> None:
    """One number that is shown a thousand million times takes its space only when it is written: it is not."""
    error = refused({"wide": torch.ones(1).expand(1_000_000_000)})
    assert (error.code, "4000000000 bytes" in error.message) == ("conversion_failed", True)


def test_a_hostile_pickle_is_not_run(convert: Converter, tmp_path: Path) -> None:
    """What it would run is named, the host's paths and the advice to run it all the same are not."""
    folder = write_pickled(tmp_path / "adapter", {"weight": Bomb(tmp_path / "trap")})
    for data in ((folder / ad.PICKLE).read_bytes(), pickle.dumps({"weight": Bomb(tmp_path / "trap")}, protocol=2)):
        (folder / ad.PICKLE).write_bytes(data)
        with pytest.raises(SettleError) as caught:
            convert(folder, 60.0, MOST)
        assert caught.value.code == "conversion_failed"
        assert "mkdir" in caught.value.message
        assert str(tmp_path) not in caught.value.message
        assert "weights_only" not in caught.value.message
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("data", [b"", b"pickle", b"\x80\x02}", b"PK\x03\x04 and no more"])
def test_what_is_no_pickle_is_refused(convert: Converter, tmp_path: Path, data: bytes) -> None:
    """Damage is a verdict, with its cause in one line."""
    folder = write_pickled(tmp_path / "adapter")
    (folder / ad.PICKLE).write_bytes(data)
    with pytest.raises(SettleError) as caught:
        convert(folder, 60.0, MOST)
    assert caught.value.code == "conversion_failed"
    assert len(caught.value.message.removeprefix(f"{ad.PICKLE} cannot be converted: ")) > 3
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("command", "seconds", "code", "words"),
    [
        (DIES, 60.0, "conversion_stalled", "died of SIGSEGV"),
        ((sys.executable, "-c", "import time; time.sleep(600)"), 0.5, "conversion_stalled", "0.5 s"),
        ((sys.executable, "-c", "1 / 0"), 60.0, "conversion_stalled", "ZeroDivisionError"),
        (("/nowhere/python",), 60.0, "conversion_stalled", "could not be started"),
        ((sys.executable, "-c", f"raise SystemExit({FULL})"), 60.0, "spool_full", "exit code"),
        ((sys.executable, "-c", f"raise SystemExit({UNWRITABLE})"), 60.0, "spool_unwritable", "exit code"),
    ],
)
def test_an_end_without_an_answer_is_no_verdict(
    tmp_path: Path, command: tuple[str, ...], seconds: float, code: str, words: str
) -> None:
    """A crash, a deadline, a missing library or a full disk say nothing about the adapter."""
    with pytest.raises(SettleError) as caught:
        Converter(command=command)(write_pickled(tmp_path / "adapter"), seconds, MOST)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_disk_without_room_is_told_as_such(convert: Converter, tmp_path: Path, small: Path) -> None:
    """The spool's file system is full, which passes: the adapter is not refused for it."""
    folder = write_pickled(tmp_path / "adapter", {"large": torch.ones(100_000)})
    for name in (ad.CONFIG, ad.PICKLE):
        (small / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(SettleError) as caught:
        convert(small, 60.0, MOST)
    assert caught.value.code == "spool_full"


def test_adapterd_may_stop_meanwhile(tmp_path: Path) -> None:
    """The process is killed at once, and what is told of it is that it goes on later."""
    begun = tmp_path / "begun"
    code = f"import time; from pathlib import Path; Path({str(begun)!r}).touch(); time.sleep(600)"
    convert = Converter(command=(sys.executable, "-c", code))
    told: list[SettleError] = []

    def call() -> None:
        with pytest.raises(SettleError) as caught:
            convert(write_pickled(tmp_path / "adapter"), 300.0, MOST)
        told.append(caught.value)

    thread = threading.Thread(target=call)
    thread.start()
    while thread.is_alive() and not begun.exists():
        thread.join(0.01)
    convert.close()
    thread.join(30)
    assert [error.code for error in told] == ["worker_restarted"]


def test_it_has_no_token(tmp_path: Path) -> None:
    """Its environment is the worker's: offline, and without what could hold a secret."""
    ambient = {"PATH": "/usr/bin:/bin", "HF_TOKEN": "hf_" + "t" * 34}
    code = "import os, sys; sys.exit('{} {}'.format('HF_TOKEN' in os.environ, os.environ['HF_HUB_OFFLINE']))"
    with pytest.raises(SettleError, match="False 1"):
        Converter(command=(sys.executable, "-c", code), environ=ambient)(tmp_path, 60.0, MOST)
