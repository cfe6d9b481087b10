"""Times and numbers, as a person reads them. Pure."""

import math
from collections.abc import Collection
from datetime import UTC, datetime

MEASUREMENTS = (
    ("loss_base", "loss without"),
    ("loss_adapter", "loss with"),
    ("kl", "KL per token"),
    ("max_dlogit", "largest change of an output"),
    ("cosine", "cosine of hidden states"),
    ("effect", "largest weight change"),
    ("effect_min", "smallest weight change"),
    ("modules", "layers wrapped"),
    ("modules_without_effect", "of these without effect"),
    ("rank", "rank"),
    ("parameters", "parameters"),
    ("bytes", "bytes"),
    ("tokens", "probe tokens"),
    ("seconds", "seconds"),
)
"""What is measured, in the order in which a person reads it: key and words."""

FEW = 12
"""As many versions as a sentence lists at most."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """A length of time in its largest unit."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds / size
            return f"{count:.0f} {unit}" if count >= 10 else f"{f'{count:.1f}'.removesuffix('.0')} {unit}"  # noqa: PLR2004 - two digits
    return f"{seconds:.0f} s"


def size(count: int) -> str:
    """A number of bytes for a reader."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:  # noqa: PLR2004 - the unit itself
            return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
        value /= 1024
    return f"{value:.1f} GiB"


def ago(at: float, now: float) -> str:
    """How long ago something was; empty for a time that is not known."""
    return f"{span(now - at)} ago" if at else ""


def until(at: float, now: float) -> str:
    """How long from now something is."""
    return f"in {span(at - now)}" if at > now else "now"


def utc(at: float) -> str:
    """A moment, to the second."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
    except (ValueError, OverflowError, OSError):  # a clock that was set wildly
        return ""


def number(value: object) -> str:
    """A measurement: few digits, large ones grouped, anything but a number as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "") if value is not None else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else str(value)
    return str(value)


def losses(base: object, adapter: object) -> str:
    """The loss without and with the adapter, where both were measured."""
    if isinstance(base, int | float) and isinstance(adapter, int | float):
        return f"{base:.3f} → {adapter:.3f}"
    return ""


def bytes_(count: int) -> str:
    """A size in the unit that fits."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - a unit of each is 1024 of the one before
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def newest(numbers: Collection[int]) -> str:
    """Say which version is the newest; and which there are, where they are few and some before it are missing."""
    last = max(numbers)
    missing = len(numbers) < last and 1 < len(numbers) <= FEW
    there = f"; there are {', '.join(f'v{n}' for n in sorted(numbers))}" if missing else ""
    return f"its newest version is v{last}{there}"
