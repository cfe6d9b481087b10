"""What is done to a repo's channels and to its standing document: by Hub alone, for daemon and deployers alike.

It knows no registry. Every effect is one commit under compare-and-swap, and finds out first whether it is done already.
"""

from adapterd.moving.channel import Held, Why, move, operations, read
from adapterd.moving.document import change, parse
from adapterd.moving.errors import RepoStalledError
from adapterd.moving.listing import refresh

__all__ = ["Held", "RepoStalledError", "Why", "change", "move", "operations", "parse", "read", "refresh"]
