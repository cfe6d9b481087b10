"""What random writers write with: each call is one thing done to real files, stamped by the training host's clock."""

import itertools
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from adapterd.core import adapter as ad
from helpers.adapters import LORA_A, LORA_B, config, safetensors_bytes

QUIET, PATIENCE, SCAN = 5.0, 30.0, 10.0
"""The times of settling that writers are measured against, in seconds."""

SMALL, LARGE = 2048, 160 * 1024
"""Columns of a rank of four in a file that one read takes, and in one that takes several."""

_stamps = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Content:
    """An adapter that nobody else writes."""

    config: bytes
    weights: bytes


def content(rng: random.Random, *, alpha: int | None = None, width: int = SMALL) -> Content:
    """Random weights; unless given, an alpha that hardly another has, so that two files of two saves are told apart."""
    first, second = rng.randbytes(16 * width), rng.randbytes(16 * width)
    fields = config(lora_alpha=rng.getrandbits(30) if alpha is None else alpha)
    tensors = {LORA_A: ((4, width), first), LORA_B: ((width, 4), second)}
    return Content(json.dumps(fields, indent=2).encode(), safetensors_bytes(tensors))


def parts(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The data in pieces, each with its offset."""
    size = -(-len(data) // count)
    return ((at, data[at : at + size]) for at in range(0, len(data), size))


@dataclass
class Pen:
    """One writer's hands. `folders` are the adapter directories that it touched, `open` those it holds files open in.

    Attributes:
        clock: the training host's wall clock, by which files are stamped.
        done: told of each directory that is finished, and the longest that it may take until it is copied.
    """

    run: Path
    rng: random.Random
    clock: Callable[[], float]
    done: Callable[[Path, float], None]
    drift: float = 0.0
    folders: list[Path] = field(default_factory=list)
    holds: set[Path] = field(default_factory=set)

    def folder(self, name: str = "") -> Path:
        """Make an adapter directory: a named one below the run, or one of the two usual kinds."""
        path = self.run / (name or self.rng.choice((".", f"checkpoint-{self.rng.randrange(1, 900)}")))
        path.mkdir(parents=True, exist_ok=True)
        return self.know(path)

    def know(self, path: Path) -> Path:
        """Count a path among the adapter directories."""
        if path not in self.folders:
            self.folders.append(path)
        return path

    def soon(self) -> float:
        """A pause that no quiet time notices."""
        return self.rng.uniform(0.01, 1.5)

    def pause(self) -> float:
        """Any pause: short, longer than the quiet time, longer than the patience."""
        longest = self.rng.choice((1.0, QUIET, 3 * QUIET, 2 * PATIENCE))
        return self.rng.uniform(0.01, longest)

    def stamp(self, path: Path) -> None:
        """Give a file the time of the host, as its kernel would; no two changes have one time."""
        at = int((self.clock() + self.drift) * 1e9) + next(_stamps)
        os.utime(path, ns=(at, at))

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file at once."""
        path.write_bytes(data)
        self.stamp(path)

    def append(self, path: Path, data: bytes) -> None:
        """Open, add, close."""
        with path.open("ab") as file:
            file.write(data)
        self.stamp(path)

    def put(self, path: Path, offset: int, data: bytes) -> None:
        """Open, overwrite a part, close: the size stays."""
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        self.stamp(path)

    def cut(self, path: Path, size: int) -> None:
        """Truncate, or extend by a hole."""
        with path.open("ab") as file:
            file.truncate(size)
        self.stamp(path)

    def hold(self, path: Path, mode: str = "wb") -> BinaryIO:
        """Open a file for writing, and keep it so."""
        self.holds.add(path.parent)
        return path.open(mode)  # type: ignore[return-value]  # a binary mode

    def add(self, file: BinaryIO, data: bytes) -> None:
        """Write to a file that is open."""
        file.write(data)
        file.flush()
        self.stamp(Path(file.name))

    def close(self, file: BinaryIO) -> None:
        """Let go of it."""
        file.close()
        self.holds.discard(Path(file.name).parent)

    def drop(self, folder: Path) -> None:
        """Delete a directory at once."""
        shutil.rmtree(folder)

    def state(self, folder: Path) -> None:
        """Write the state file of a checkpoint, with what comes beside it."""
        self.write(folder / "trainer_state.json", json.dumps({"global_step": 1, "at": next(_stamps)}).encode())

    def marker(self, folder: Path, *, good: bool) -> None:
        """Put the marker beside a directory: atomically; one that is not `good` vouches for nothing."""
        there = {e.name: e.stat() for e in os.scandir(folder) if ad.is_payload(e.name)}
        files = {name: {"size": s.st_size, "mtime_ns": s.st_mtime_ns} for name, s in there.items()} if good else {}
        aside = folder.parent / f".{folder.name}.marker"
        aside.write_text(json.dumps({"files": files}))
        self.stamp(aside)
        aside.replace(folder.parent / f"{folder.name}.adapterd-done")

    def finish(self, folder: Path) -> Iterator[float]:
        """Say that a directory is whole: a checkpoint by its state file, a little later."""
        if ad.checkpoint_number(folder.name) is not None:
            yield self.soon()
            self.state(folder)
            self.done(folder, SCAN)
        else:
            self.done(folder, SCAN + QUIET)
