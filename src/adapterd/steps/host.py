"""What every step is given: the ports, the configuration, the clock. No step reaches around it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.config import Config, Root
from adapterd.fingerprints import Digests
from adapterd.pace import Pace
from adapterd.ports import Converter, Gates, Hub, Registry, Validator
from adapterd.sending import Sending
from adapterd.spool import Spool


@dataclass(frozen=True, slots=True)
class Host:
    """The effects that steps may have.

    Attributes:
        hub: gives the Hub port; Denied where there is no token to give it.
        publisher: this instance's id.
        clock: seconds since the epoch.
        monotonic: seconds on a clock that never jumps.
        user: name of the user that trains here, for naming templates.
        index: where ``index.json`` lies.
        digests: of the files of base models.
        pace: of the endpoint: what may be sent now, and what must wait.
        sending: who commits to which repo just now, and who deletes there.
    """

    config: Config
    registry: Registry
    hub: Callable[[], Hub]
    validator: Validator
    convert: Converter
    gates: Gates
    spool: Spool
    publisher: str
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    user: str
    index: Path
    digests: Digests = field(default_factory=Digests)
    pace: Pace = field(default_factory=Pace)
    sending: Sending = field(default_factory=Sending)

    def root(self, path: str) -> Root | None:
        """The configured root of this path; None where the configuration no longer has it."""
        return next((root for root in self.config.roots if str(root.path) == path), None)
