"""How trainers and people write adapter directories: well, badly, slowly. Each is a series of operations with pauses.

`protected` are the writers that adapterd promises to read whole only: they keep a file open, are incomplete by their
own words while they pause, or use a marker. What the others leave at rest in a form that looks whole is a version too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapterd.core.adapter import CONFIG, WEIGHTS
from durability.pens import LARGE, PATIENCE, QUIET, SCAN, Content, Pen, content, parts

Steps = Iterator[float]

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write."""

    name: str
    write: Callable[[Pen], Steps]
    protected: bool = True


def _fresh(pen: Pen, folder: Path, made: Content, order: str = "cw") -> Steps:
    """Both files, each at once, in an order; then the state file of a checkpoint."""
    for letter in order:
        pen.write(folder / (CONFIG if letter == "c" else WEIGHTS), made.config if letter == "c" else made.weights)
        if letter != order[-1]:
            yield pen.pause()
    yield from pen.finish(folder)


def config_first(pen: Pen) -> Steps:
    """The config, a pause of any length, the weights."""
    yield from _fresh(pen, pen.folder(), content(pen.rng), "cw")


def weights_first(pen: Pen) -> Steps:
    """The weights, a pause of any length, the config."""
    yield from _fresh(pen, pen.folder(), content(pen.rng), "wc")


def slow(pen: Pen) -> Steps:
    """Small pieces with pauses of any length, the file open all the while."""
    folder, made = pen.folder(), content(pen.rng)
    pen.write(folder / CONFIG, made.config)
    file = pen.hold(folder / WEIGHTS)
    for _, part in parts(made.weights, pen.rng.randint(2, 8)):
        yield pen.pause()
        pen.add(file, part)
    yield pen.pause()
    pen.close(file)
    yield from pen.finish(folder)


def reopening(pen: Pen) -> Steps:
    """Small pieces with pauses of any length, the file closed in between."""
    folder, made = pen.folder(), content(pen.rng)
    pen.write(folder / CONFIG, made.config)
    for _, part in parts(made.weights, pen.rng.randint(2, 8)):
        pen.append(folder / WEIGHTS, part)
        yield pen.pause()
    yield from pen.finish(folder)


def long_pause(pen: Pen) -> Steps:
    """Half of the weights lies there for longer than the patience."""
    folder, made = pen.folder(), content(pen.rng)
    pen.write(folder / CONFIG, made.config)
    pen.append(folder / WEIGHTS, made.weights[: len(made.weights) // 2])
    yield pen.rng.uniform(PATIENCE + QUIET, 4 * PATIENCE)
    pen.append(folder / WEIGHTS, made.weights[len(made.weights) // 2 :])
    yield from pen.finish(folder)


def truncating(pen: Pen) -> Steps:
    """A whole directory is written anew in its place: emptied first, then filled piece by piece."""
    folder = pen.folder()
    yield from _fresh(pen, folder, content(pen.rng))
    yield pen.pause()
    made = content(pen.rng)
    pen.cut(folder / WEIGHTS, 0)
    yield pen.pause()
    pen.write(folder / CONFIG, made.config)
    for _, part in parts(made.weights, pen.rng.randint(1, 5)):
        yield pen.pause()
        pen.append(folder / WEIGHTS, part)
    yield from pen.finish(folder)


def overwriting(pen: Pen) -> Steps:
    """Weights of several reads are overwritten in their place and keep their size; the file is open all the while."""
    folder, width = pen.folder(), pen.rng.choice((LARGE, LARGE // 64))
    yield from _fresh(pen, folder, content(pen.rng, alpha=8, width=width))
    for _ in range(pen.rng.randint(1, 2)):
        yield pen.pause()
        made = content(pen.rng, alpha=8, width=width)
        file = pen.hold(folder / WEIGHTS, "r+b")
        for _, part in parts(made.weights, pen.rng.randint(2, 6)):
            pen.add(file, part)
            yield pen.pause()
        pen.close(file)
        yield from pen.finish(folder)


def patching(pen: Pen) -> Steps:
    """The same with the file closed between the pieces: whole by its own words, and at rest in the pauses."""
    folder, width = pen.folder(), pen.rng.choice((LARGE, LARGE // 64))
    yield from _fresh(pen, folder, content(pen.rng, alpha=8, width=width))
    yield pen.pause()
    made = content(pen.rng, alpha=8, width=width)
    for at, part in parts(made.weights, pen.rng.randint(2, 4)):
        pen.put(folder / WEIGHTS, at, part)
        yield pen.pause()
    yield from pen.finish(folder)


def renaming(pen: Pen) -> Steps:
    """Each file is written under a hidden name and renamed into its place, over a save that is there."""
    folder = pen.folder()
    for _ in range(pen.rng.randint(1, 2)):
        made = content(pen.rng)
        for name, data in ((CONFIG, made.config), (WEIGHTS, made.weights)):
            for _, part in parts(data, pen.rng.randint(1, 3)):
                pen.append(folder / f".{name}.tmp", part)
                yield pen.soon() / 2
        (folder / f".{WEIGHTS}.tmp").replace(folder / WEIGHTS)
        yield pen.soon()
        (folder / f".{CONFIG}.tmp").replace(folder / CONFIG)
        yield from pen.finish(folder)
        yield pen.pause()


def folder_renaming(pen: Pen) -> Steps:
    """The whole directory is written under another name, hidden or not, and renamed when it is finished."""
    name = f"checkpoint-{pen.rng.randrange(1, 900)}"
    aside, made = pen.folder(pen.rng.choice((f".{name}", f"tmp-{name}"))), content(pen.rng)
    for file, data in ((CONFIG, made.config), (WEIGHTS, made.weights)):
        pen.write(aside / file, data)
        yield pen.pause()
    pen.state(aside)
    aside.rename(pen.run / name)
    pen.done(pen.know(pen.run / name), SCAN + PATIENCE)


def marking(pen: Pen) -> Steps:
    """A marker that vouches for nothing yet, files with pauses in between, then the marker; and once more."""
    folder = pen.folder()
    for n in range(pen.rng.randint(1, 2)):
        if n:
            pen.done(folder, SCAN + PATIENCE)  # nothing vouches for it any more
        pen.marker(folder, good=False)
        made = content(pen.rng, alpha=8)
        for name, data in ((CONFIG, made.config), (WEIGHTS, made.weights)):
            yield pen.rng.uniform(0.1, PATIENCE / 4)
            pen.write(folder / name, data)
        yield pen.rng.uniform(0.1, PATIENCE - SCAN)
        pen.put(folder / WEIGHTS, len(made.weights) // 2, pen.rng.randbytes(999))
        yield pen.rng.uniform(0.1, PATIENCE / 4)
        pen.marker(folder, good=True)
        pen.done(folder, SCAN)
        yield pen.pause()


def state_first(pen: Pen) -> Steps:
    """The state file of a checkpoint lies there before anything else, and the tokenizer comes last."""
    folder, made = pen.folder(f"checkpoint-{pen.rng.randrange(1, 900)}"), content(pen.rng)
    pen.state(folder)
    for name, data in ((CONFIG, made.config), (WEIGHTS, made.weights), ("tokenizer.json", b'{"version": "1.0"}')):
        yield pen.soon()
        pen.write(folder / name, data)
    pen.done(folder, SCAN + QUIET)


def idle_open(pen: Pen) -> Steps:
    """Everything is written, and the weights stay open for writing for a long time."""
    folder, made = pen.folder(), content(pen.rng)
    pen.write(folder / CONFIG, made.config)
    file = pen.hold(folder / WEIGHTS)
    pen.add(file, made.weights[:-8])
    yield pen.rng.uniform(QUIET, 3 * PATIENCE)
    pen.add(file, made.weights[-8:])
    yield pen.rng.uniform(QUIET, 3 * PATIENCE)
    pen.close(file)
    yield from pen.finish(folder)


def sparse(pen: Pen) -> Steps:
    """The file has its size and its header from the start and is one hole; its pages are filled later."""
    folder, made = pen.folder(), content(pen.rng, width=LARGE // 16)
    pen.write(folder / CONFIG, made.config)
    pen.append(folder / WEIGHTS, made.weights[:PAGE])
    pen.cut(folder / WEIGHTS, len(made.weights))
    pieces = [(at, made.weights[at : at + 20 * PAGE]) for at in range(PAGE, len(made.weights), 20 * PAGE)]
    pen.rng.shuffle(pieces)
    for at, piece in pieces:
        yield pen.pause()
        pen.put(folder / WEIGHTS, at, piece)
    yield from pen.finish(folder)


def restless(pen: Pen) -> Steps:
    """A save that rested is written over, at once: what lay there and what came are versions both."""
    folder = pen.folder()
    for _ in range(pen.rng.randint(2, 3)):
        pen.write(folder / WEIGHTS, (made := content(pen.rng, alpha=8)).weights)
        if not (folder / CONFIG).exists():
            pen.write(folder / CONFIG, made.config)
        yield from pen.finish(folder)
        yield pen.rng.uniform(QUIET, 4 * QUIET)
