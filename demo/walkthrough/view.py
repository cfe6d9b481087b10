"""What the one who watches sees: a table that follows the line on a terminal, a line for each change elsewhere."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from walkthrough.rows import Row

WIDTH = 122
"""Columns of the picture, and of a terminal that takes the whole table."""
_ADAPTER, _STAGE, _TAG, _LOSS = 15, 9, 3, 13
_REASON, _REASONS = 8, 25
"""Columns that the reason has at least, and at most."""
_INDENT = 9
_COLOURS = {"published": "green", "validated": "cyan", "staged": "yellow", "rejected": "red", "refused": "red"}
_COLOURS |= {"stalled": "bold red", "waiting": "yellow"}
# Rich's own frame, without the web fonts that it would load.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class View:
    """Says what happens, and keeps it for the picture."""

    def __init__(self, console: Console) -> None:
        """Show the table on a terminal, lines elsewhere."""
        self._console = console
        self._live: Live | None = None
        self._shown: dict[str, Row] = {}
        self.said: list[RenderableType] = []

    @property
    def on_terminal(self) -> bool:
        """Whether somebody watches who can press a key."""
        return self._console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        """One line of the story."""
        line = Text(text, style=style)
        self.said.append(line)
        self._console.print(line, soft_wrap=True)

    def detail(self, text: str, style: str = "") -> None:
        """One line more to the one before, indented also where it wraps."""
        line = Padding(Text(text, style=style), (0, 0, 0, _INDENT))
        self.said.append(line)
        if self.on_terminal:
            self._console.print(line)
        else:
            self._console.print(Text(" " * _INDENT + text), soft_wrap=True)

    def following(self) -> AbstractContextManager[object]:
        """While in here `follow` draws the table in place, on a terminal."""
        if not self.on_terminal:
            return nullcontext()
        self._live = Live(console=self._console, auto_refresh=False)
        return self._live

    def follow(self, found: Sequence[Row], head: str, elapsed: float) -> None:
        """Show how the rows stand now."""
        if self._live is not None:
            self._live.update(Group(Text(head, style="dim"), table(found, self._console.width)), refresh=True)
        else:
            for row in found:
                if self._shown.get(row.directory) != row:
                    self._console.print(Text(f"{elapsed:6.1f}s  {line(row)}"), soft_wrap=True)
        self._shown = {row.directory: row for row in found}


def table(found: Sequence[Row], width: int) -> Table:
    """The rows as a table; a narrow one leaves out adapter and root: the directory's name nearly says both."""
    wide = width >= WIDTH
    names = [row.directory if wide else row.directory.partition("/")[2] or row.directory for row in found]
    longest = max([len("directory"), *map(len, names)])
    head = "loss without \u2192 with" if wide else "loss"
    gap = 2 if wide else 1
    taken = longest + _STAGE + _TAG + max(len(head), _LOSS) + 4 * gap + (_ADAPTER + gap if wide else 0)
    drawn = Table(box=None, padding=(0, gap, 0, 0), header_style="bold", pad_edge=False)
    if wide:
        drawn.add_column("adapter", no_wrap=True, width=_ADAPTER)
    drawn.add_column("directory", no_wrap=True)
    drawn.add_column("stage", no_wrap=True, width=_STAGE)
    drawn.add_column("tag", no_wrap=True, width=_TAG)
    drawn.add_column("reason", no_wrap=True, width=max(_REASON, min(_REASONS, width - taken)))
    drawn.add_column(head, no_wrap=True, justify="right", min_width=_LOSS)
    for name, row in zip(names, found, strict=True):
        stage = Text(row.stage, style=_COLOURS.get(row.stage, "dim"))
        adapter = [row.adapter] if wide else []
        drawn.add_row(*adapter, name, stage, row.tag, row.why, losses(row))
    return drawn


def line(row: Row) -> str:
    """The row as one line of text."""
    parts = [f"{row.directory:<44}", row.stage, row.tag, row.why, f"loss {losses(row)}" if losses(row) else ""]
    return "  ".join(part for part in parts if part).rstrip()


def losses(row: Row) -> str:
    """The loss on the probe texts without and with the adapter; empty until both were measured."""
    return f"{row.before:.3f} \u2192 {row.after:.3f}" if row.before is not None and row.after is not None else ""


def picture(file: Path, title: str, parts: Sequence[RenderableType]) -> None:
    """Write what was shown as an SVG file."""
    console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor")
    for part in parts:
        console.print(part)
    file.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(file), title=title, code_format=_SVG, unique_id="demo")
