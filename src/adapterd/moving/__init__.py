"""What is done to a repo's channels and to its standing document: by Hub alone, for daemon and deployers alike.

It knows no registry. Every effect is one commit under compare-and-swap, and finds out first whether it is done already.
"""

from adapterd.moving.acts import Moved, hold, promote, release, rollback
from adapterd.moving.channel import Held, Why, move, operations, read, spliced
from adapterd.moving.document import change, parse
from adapterd.moving.errors import NewerDocumentError, RefusedError, RepoStalledError
from adapterd.moving.history import Move
from adapterd.moving.listing import refresh
from adapterd.moving.standings import ChannelStanding, standings
from adapterd.moving.withdrawing import unyank, yank

__all__ = [
    "ChannelStanding",
    "Held",
    "Move",
    "Moved",
    "NewerDocumentError",
    "RefusedError",
    "RepoStalledError",
    "Why",
    "change",
    "hold",
    "move",
    "operations",
    "parse",
    "promote",
    "read",
    "refresh",
    "release",
    "rollback",
    "spliced",
    "standings",
    "unyank",
    "yank",
]
