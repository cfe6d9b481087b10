"""Words of others in a card: made to show as they are, on one line, whatever they hold. Pure."""

import re

_MEANS = re.compile(r"([\\`*_\[\]~|])")
_INSIDE_A_WORD = re.compile(r"(?<=[A-Za-z0-9])\\_(?=[A-Za-z0-9])")


def plain(text: object) -> str:
    """Text that shows as it is: no link, no picture, no code, no HTML, no end of a table's cell."""
    line = " ".join(str(text).split())
    escaped = _MEANS.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;"))
    return _INSIDE_A_WORD.sub("_", escaped)


def code(text: object) -> str:
    """Text as a code span, which may stand in a table's cell."""
    line = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    # The marks of the managed block must not stand in it, and a code span decodes nothing.
    return f"`{line.replace('<', '(').replace('>', ')')}`" if line else ""


def rows(pairs: list[tuple[str, ...]], head: tuple[str, ...]) -> list[str]:
    """A table of cells that are ready."""
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(cells)} |" for cells in pairs),
    ]
