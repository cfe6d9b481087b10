"""The verbs in groups, for a help that can be read: typer has panels, but only with rich, which costs time."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

HOST = "On the training host"
LOOKING = "What there is, and why"
DEPLOYING = "Where adapters are served"
CHANNELS = "Versions and channels"
CARE = "Care of the registry and the Hub"
TOOLS = "Tools and settings"
_ORDER = (HOST, LOOKING, DEPLOYING, CHANNELS, CARE, TOOLS)


class Grouped(TyperGroup):
    """Lists its verbs under the headings that they were registered with."""

    def groups(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each heading with its verbs by name."""
        for heading in _ORDER:
            yield heading, {n: c for n, c in self.commands.items() if getattr(c, "rich_help_panel", None) == heading}

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - typer keeps the classes to itself
        """Write the groups, each verb with its whole first sentence."""
        width = max(map(len, self.commands))
        for heading, verbs in self.groups():
            with formatter.section(heading):
                formatter.write_dl([(n.ljust(width), c.get_short_help_str(limit=1000)) for n, c in verbs.items()])
