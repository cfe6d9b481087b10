"""The bundled texts, one paragraph a line, and what of them a training never sees."""

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "text"

EVERY = 5
"""One paragraph in so many is held out, to measure the loss on."""


def paragraphs(file: Path) -> list[str]:
    """The paragraphs of a text file, one a line; empty lines are left out."""
    return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def split(found: Sequence[str]) -> tuple[list[str], list[str]]:
    """What to train on, and what is held out."""
    training = [text for at, text in enumerate(found) if at % EVERY != EVERY - 1]
    return training, list(found[EVERY - 1 :: EVERY])
