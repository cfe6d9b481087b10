"""The errors that the ports may raise. Whatever library stands behind a port is mapped to these once."""

from adapterd.core.errors import AdapterdError


class Transient(AdapterdError):
    """Try again later; nothing is known to be wrong. Whether the effect happened is unknown.

    Attributes:
        retry_after: seconds, where the other side named them.
        throttled: a rate limit.
        counts: whether it is one more failed attempt of the caller's own; not where the Hub as a whole fails, or asks
            to wait.
        code: of the reason that a version waits for.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        throttled: bool = False,
        counts: bool = True,
        code: str = "",
    ) -> None:
        """Keep when to come back, and why."""
        super().__init__(message, hint)
        self.retry_after = retry_after
        self.throttled = throttled
        self.counts = counts and not throttled
        self.code = code or ("rate_limited" if throttled else "hub_unreachable")


class Denied(AdapterdError):
    """The other side knows us and says no: token missing, wrong, read-only, or the content is refused."""


class NotFound(AdapterdError):
    """The repo, revision or file is not there, or is hidden from our token."""


class Conflict(AdapterdError):
    """The world moved between looking and acting: look again, decide again."""


class LostLease(AdapterdError):
    """The fence moved on: another owner has this version now. The holder must stop without writing."""


class WorkerDied(AdapterdError):
    """The worker died, by signal, deadline or exit. The probes did not say no.

    `cause` is a reason code (`worker_crashed`, `worker_timeout`, `worker_out_of_memory`, `worker_protocol`);
    `log_tail` is the last of its output.
    """

    def __init__(self, message: str, hint: str = "", *, cause: str, log_tail: str = "") -> None:
        """Keep the cause by name."""
        super().__init__(message, hint)
        self.cause = cause
        self.log_tail = log_tail


class GateFailed(AdapterdError):
    """A gate came to no answer: it could not be started, did not end in time, or was killed. It did not say no.

    `tail` is the last of its output.
    """

    def __init__(self, message: str, hint: str = "", *, tail: str = "") -> None:
        """Keep its last words."""
        super().__init__(message, hint)
        self.tail = tail


class DeviceBusy(AdapterdError):
    """No listed device has room for the base model now."""


class NoSuchDevice(DeviceBusy):
    """This host has none of the listed devices, which may change with its next start."""


class DeviceTooSmall(DeviceBusy):
    """None of the listed devices could ever hold the base model, however long one waits."""


class RegistryError(AdapterdError):
    """The registry is missing, unreadable, not a database, locked by another daemon, or newer than the program."""
