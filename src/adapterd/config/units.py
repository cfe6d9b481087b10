"""Durations and sizes as people write them: ``1h30m`` is seconds, ``2GiB`` is bytes."""

import re
from decimal import Decimal

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"(?=\d)(?:(?P<d>\d{1,5})d)?(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,7})m)?(?:(?P<s>\d{1,9}(?:\.\d{1,6})?)s)?",
    re.ASCII,
)
_MILLISECONDS = re.compile(r"(\d{1,9})ms", re.ASCII)
DURATION_PATTERN = r"^(0|\d+ms|(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?)$"

_BYTES = {"B": 1} | {
    f"{prefix}{suffix}": base**power
    for suffix, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_SIZE = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,6})?) ?(?P<unit>[KMGT]?i?B)", re.IGNORECASE | re.ASCII)
_UNITS = {name.casefold(): factor for name, factor in _BYTES.items()}
SIZE_PATTERN = r"^\d+(\.\d+)? ?[KkMmGgTt]?[Ii]?[Bb]$"


def parse_duration(text: str) -> float:
    """Read ``30s``, ``5m``, ``1h30m``, ``2d``, ``250ms`` or ``0`` as seconds.

    Raises:
        ValueError: it is none of these; a bare number has no unit and is refused.
    """
    text = text.strip()
    if text == "0":
        return 0.0
    if match := _MILLISECONDS.fullmatch(text):
        return int(match[1]) / 1000
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    parts = ((Decimal(number), unit) for unit, number in match.groupdict().items() if number)
    return float(sum(number * _SECONDS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """Write seconds, to the microsecond, so that ``parse_duration`` reads the same number again."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    if micros and not whole and micros % 1000 == 0:
        return f"{micros // 1000}ms"
    written = ""
    for unit, length in _SECONDS.items():
        count, whole = divmod(whole, length)
        if unit == "s" and micros:
            written += f"{count}.{micros:06}".rstrip("0") + "s"
        elif count:
            written += f"{count}{unit}"
    return written or "0s"


def parse_size(text: str) -> int:
    """Read ``2GiB``, ``1.5 GB``, ``500MB`` or ``0B`` as bytes.

    Raises:
        ValueError: it is none of these, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    size = Decimal(match["number"]) * _UNITS[match["unit"].casefold()]
    if size != int(size):
        raise ValueError(f"not a whole number of bytes: {text!r}")
    return int(size)


def format_size(size: int) -> str:
    """Write bytes in the largest unit that divides them, so that ``parse_size`` reads the same again."""
    best = max((factor, name) for name, factor in _BYTES.items() if size % factor == 0 and factor <= max(size, 1))
    return f"{size // best[0]}{best[1]}"
