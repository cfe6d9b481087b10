"""What can be wrong with a repo so that a person must act."""

from adapterd.core.errors import AdapterdError
from adapterd.core.version import Reason


class RefusedError(AdapterdError):
    """What a person asked for is not done as things stand; the hint says what comes first."""

    exit = 4


class RepoStalledError(AdapterdError):
    """The repo is in a state in which a person must act."""

    exit = 4

    def __init__(self, why: Reason) -> None:
        """Keep the reason."""
        super().__init__(why.message, why.hint)
        self.reason = why


class NewerDocumentError(RepoStalledError):
    """A newer adapterd wrote the standing document."""
