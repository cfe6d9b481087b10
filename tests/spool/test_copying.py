"""A trainer that writes while its directory is copied: what is frozen is one whole state, or nothing."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.roots import SettleError
from adapterd.spool import Snapshot, Spool, replace_file
from helpers.adapters import weights

ADAPTER = "acme/support"
LIMITS = (10 * 1024**2, 100)
Freeze = Callable[[Path], Snapshot]


def leftovers(spool: Spool) -> list[Path]:
    """What lies half-copied."""
    return list((spool.path / ".incoming").glob("*"))


def append(path: Path) -> None:
    """Let a file grow."""
    with path.open("ab") as file:
        file.write(b"more")


def as_it_is(folder: Path) -> None:
    """Convert what is safetensors under another name."""
    (folder / ad.WEIGHTS).write_bytes((folder / ad.PICKLE).read_bytes())


class Turning:
    """A path that lets a trainer act the n-th time that something is opened below it."""

    def __init__(self, folder: Path, turn: int, act: Callable[[], object]) -> None:
        """Count the openings of files in `folder`."""
        self.folder, self.left, self.act = folder, turn, act

    def __truediv__(self, name: str) -> Path:
        """Name a file, after the trainer had its turn."""
        self.left -= 1
        if self.left == 0:
            self.act()
        return self.folder / name

    def __fspath__(self) -> str:
        """Be the folder itself."""
        return str(self.folder)


@pytest.mark.parametrize("turn", range(1, 5))
@pytest.mark.parametrize("kind", ["rewrite", "replace", "append", "truncate", "add", "delete"])
def test_a_trainer_that_writes_during_the_copy(spool: Spool, source: Path, turn: int, kind: str) -> None:
    """At whichever file the trainer comes in between: the copy is what was there before, or there is none."""
    path = source / ad.WEIGHTS
    before = {name: (source / name).read_bytes() for name in (ad.CONFIG, ad.WEIGHTS)}
    acts: dict[str, Callable[[], object]] = {
        "rewrite": lambda: path.write_bytes(weights(seed=9)),
        "replace": lambda: replace_file(path, weights(seed=9)),
        "append": lambda: append(path),
        "truncate": lambda: os.truncate(path, 10),
        "add": lambda: (source / "tokenizer.json").write_text("{}"),
        "delete": path.unlink,
    }
    at = Turning(source, turn, acts[kind])
    try:
        frozen = spool.freeze(at, ADAPTER, lambda _: "", LIMITS)  # type: ignore[arg-type]  # the seam of this test
    except SettleError as told:
        assert told.code in {"changed_while_copying", "source_gone"}  # noqa: PT017 - either outcome is right
    else:
        assert {name: (frozen.payload / name).read_bytes() for name in frozen.files} == before
    assert leftovers(spool) == []


@pytest.mark.parametrize("turn", range(1, 5))
@pytest.mark.parametrize("kind", ["rewrite", "append", "truncate", "supersede", "delete"])
def test_a_trainer_that_writes_its_pickle_during_the_copy(spool: Spool, source: Path, turn: int, kind: str) -> None:
    """What is converted is the one whole state that is copied, or there is no copy."""
    path = source / ad.PICKLE
    (source / ad.WEIGHTS).rename(path)
    before = path.read_bytes()
    acts: dict[str, Callable[[], object]] = {
        "rewrite": lambda: path.write_bytes(weights(seed=9)),
        "append": lambda: append(path),
        "truncate": lambda: os.truncate(path, 10),
        "supersede": lambda: (source / ad.WEIGHTS).write_bytes(weights(seed=9)),
        "delete": path.unlink,
    }
    at = Turning(source, turn, acts[kind])
    try:
        frozen = spool.freeze(at, ADAPTER, lambda _: "", LIMITS, convert=as_it_is)  # type: ignore[arg-type]  # the seam of this test
    except SettleError as told:
        assert told.code in {"changed_while_copying", "source_gone"}  # noqa: PT017 - either outcome is right
    else:
        assert set(frozen.files) == {ad.CONFIG, ad.WEIGHTS}
        assert (frozen.payload / ad.WEIGHTS).read_bytes() == before
    assert leftovers(spool) == []


def test_what_was_converted_is_held_to_be_safetensors(spool: Spool, source: Path) -> None:
    """A converter that leaves something else behind leaves no snapshot."""
    (source / ad.WEIGHTS).rename(source / ad.PICKLE)

    def convert(folder: Path) -> None:
        (folder / ad.WEIGHTS).write_bytes(b"short")

    with pytest.raises(SettleError) as caught:
        spool.freeze(source, ADAPTER, lambda _: "", LIMITS, convert=convert)
    assert caught.value.code == "conversion_failed"
    assert leftovers(spool) == []


def test_a_trainer_that_never_stops_writing(freeze: Freeze, source: Path) -> None:
    """Against a thread that replaces the weights without pause, what is frozen is always one whole file."""
    contents = [weights(seed, rank=64, width=64) for seed in (1, 2)]
    replace_file(source / ad.WEIGHTS, contents[0])
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            for data in contents:
                (source / "new").write_bytes(data)
                (source / "new").replace(source / ad.WEIGHTS)

    trainer = threading.Thread(target=train)
    trainer.start()
    frozen = []
    try:
        for _ in range(40):
            with suppress(SettleError):
                frozen.append(freeze(source))
    finally:
        stop.set()
        trainer.join()
    frozen.append(freeze(source))
    assert {s.files[ad.WEIGHTS][0] for s in frozen} <= {ad.digest_of(data) for data in contents}
