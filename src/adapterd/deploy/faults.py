"""What can be wrong with what was published, or with the place where it shall go."""

from adapterd.core.errors import AdapterdError
from adapterd.ports import NotFound


class VerificationError(AdapterdError):
    """What the Hub holds is not what its manifest, tag or channel promises. Nothing was put in place."""


class NewerSchemaError(AdapterdError):
    """A newer adapterd wrote this; what it says cannot be judged here."""


class ErasedError(NotFound):
    """The version was erased: it is nowhere to be had, and its number is never used again."""


class OccupiedError(AdapterdError):
    """Something else lies where the version shall go."""


class AlteredError(OccupiedError):
    """The version lies there already, and somebody changed it since."""


class ForeignPlaceError(OccupiedError):
    """What lies there was never pulled, so that nothing may replace it."""
