"""Writers that rotate, move, repeat and delete what they wrote, and the list of all kinds."""

import shutil

from adapterd.core.adapter import CONFIG, WEIGHTS
from durability import kinds
from durability.kinds import Kind, Steps
from durability.pens import PATIENCE, QUIET, SCAN, Pen, content


def _checkpoint(pen: Pen, step: int) -> Steps:
    folder, made = pen.folder(f"checkpoint-{step}"), content(pen.rng)
    pen.write(folder / WEIGHTS, made.weights)
    yield pen.soon() / 10
    pen.write(folder / CONFIG, made.config)
    yield pen.soon() / 10
    pen.state(folder)
    pen.done(folder, SCAN)


def rotating(pen: Pen) -> Steps:
    """Checkpoints at any pace, of which the last two stay: others go file by file, also while they are read."""
    pace = pen.rng.choice((0.3, SCAN / 2, 2 * SCAN))
    steps = [10 * n for n in range(1, pen.rng.randint(4, 7))]
    for n, step in enumerate(steps):
        yield from _checkpoint(pen, step)
        if n > 1:
            old = pen.run / f"checkpoint-{steps[n - 2]}"
            for path in sorted(old.iterdir()):
                path.unlink()
                if pen.rng.random() < 0.3:
                    yield pen.soon() / 10
            old.rmdir()
        yield pen.rng.uniform(0, pace)


def cut_short(pen: Pen) -> Steps:
    """A whole save is cut off, also while it is read; it stays so, or is written again."""
    folder = pen.folder()
    made = content(pen.rng)
    pen.write(folder / CONFIG, made.config)
    pen.write(folder / WEIGHTS, made.weights)
    yield from pen.finish(folder)
    yield pen.rng.uniform(0, 2 * QUIET)
    pen.cut(folder / WEIGHTS, pen.rng.randrange(len(made.weights)))
    yield pen.pause()
    if pen.rng.random() < 0.7:
        pen.write(folder / WEIGHTS, content(pen.rng, alpha=8).weights)
        pen.write(folder / CONFIG, content(pen.rng, alpha=8).config)
        yield from pen.finish(folder)


def same_again(pen: Pen) -> Steps:
    """The final save is the last checkpoint once more, and a copy lies in a third place."""
    yield from _checkpoint(pen, 10)
    yield pen.pause()
    for name in (".", f"copy-{pen.rng.randrange(9)}"):
        folder = pen.folder(name)
        for file in (WEIGHTS, CONFIG):
            pen.write(folder / file, (pen.run / "checkpoint-10" / file).read_bytes())
            yield pen.soon()
        pen.done(folder, SCAN + QUIET)
        yield pen.pause()


def clock_back(pen: Pen) -> Steps:
    """Files are stamped an hour early or late, and a later save has the earlier time."""
    folder = pen.folder(f"checkpoint-{pen.rng.randrange(1, 900)}")
    for _ in range(2):
        pen.drift = pen.rng.choice((-3600.0, 3600.0, -1.0))
        made = content(pen.rng, alpha=8)
        for name, data in ((CONFIG, made.config), (WEIGHTS, made.weights)):
            pen.write(folder / name, data)
            yield pen.soon()
        pen.drift = pen.rng.choice((-3600.0, 3600.0, 0.0))
        pen.state(folder)
        # A state file that is older than what it lies beside vouches for nothing.
        pen.done(folder, SCAN + QUIET)
        yield pen.pause()


def reusing(pen: Pen) -> Steps:
    """A checkpoint's directory is emptied and filled with another run's, state file last."""
    for _ in range(pen.rng.randint(2, 3)):
        yield from _checkpoint(pen, 10)
        yield pen.pause()
        for path in sorted((pen.run / "checkpoint-10").iterdir()):
            path.unlink()
            if pen.rng.random() < 0.2:
                yield pen.soon()
    yield from _checkpoint(pen, 10)


def moving(pen: Pen) -> Steps:
    """A directory is moved to another run, once it rested or before."""
    yield from _checkpoint(pen, 10)
    yield pen.pause()
    other = pen.run.with_name(f"{pen.run.name}-moved")
    other.mkdir()
    (pen.run / "checkpoint-10").rename(other / "checkpoint-10")
    pen.done(pen.know(other / "checkpoint-10"), SCAN + PATIENCE)


def hasty(pen: Pen) -> Steps:
    """A whole save is deleted at once, sooner than any scan must come; then a run is saved and stays."""
    folder = pen.folder("scratch")
    made = content(pen.rng)
    pen.write(folder / WEIGHTS, made.weights)
    pen.write(folder / CONFIG, made.config)
    pen.done(folder, SCAN + QUIET)
    yield pen.rng.uniform(0, 2 * QUIET)
    shutil.rmtree(folder)
    yield pen.pause()
    yield from kinds.config_first(pen)


def dying(pen: Pen) -> Steps:
    """It ends in the middle, and nobody comes after it."""
    folder, made = pen.folder(), content(pen.rng)
    files = [(folder / CONFIG, made.config), (folder / WEIGHTS, made.weights[: len(made.weights) // 2])]
    for path, data in files[: pen.rng.randint(1, 2)]:
        pen.write(path, data)
        yield pen.pause()


ALL = (
    Kind("config first", kinds.config_first),
    Kind("weights first", kinds.weights_first),
    Kind("slow, open", kinds.slow),
    Kind("slow, reopening", kinds.reopening),
    Kind("long pause", kinds.long_pause),
    Kind("truncating", kinds.truncating),
    Kind("overwriting, open", kinds.overwriting),
    Kind("overwriting, closed", kinds.patching, protected=False),
    Kind("files renamed", kinds.renaming),
    Kind("folder renamed", kinds.folder_renaming),
    Kind("marker", kinds.marking),
    Kind("state file first", kinds.state_first),
    Kind("open while idle", kinds.idle_open),
    Kind("sparse, then filled", kinds.sparse, protected=False),
    Kind("rests, then changes", kinds.restless, protected=False),
    Kind("rotating", rotating),
    Kind("cut off", cut_short),
    Kind("same again", same_again),
    Kind("clock set back", clock_back),
    Kind("folder reused", reusing),
    Kind("moved", moving),
    Kind("deleted soon", hasty),
    Kind("dies half-way", dying),
)
"""Every kind of writer; the other axes are the root's events and the host's clock."""
