"""Which device has room: the decision, on facts that were read before. Pure, and without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MARGIN = 1.15
"""What weights and a pass over the probe texts need: 1.11 times the weights at 1.2 B parameters, 1.02 at 8 B."""
_GIB = 2**30
_BITS = {"float32": 32, "float64": 64, "bfloat16": 16, "float16": 16, "int8": 8, "uint8": 8}
_BITS |= {"float8_e4m3fn": 8, "float8_e5m2": 8}
_FULL = 16
"""Bits that embeddings and head keep when the layers between them are quantised."""


class BusyError(Exception):
    """No device that may be used yet has room now."""


class AbsentError(BusyError):
    """This host has none of the listed devices."""


class TooSmallError(BusyError):
    """None of the listed devices that are there could ever hold it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device as it is now.

    Attributes:
        total: bytes it has in all; None where nobody says.
        free: bytes that a new tenant could have; None where nobody says.
        absent: why it cannot be used at all, or empty.
    """

    name: str
    total: int | None = None
    free: int | None = None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a version has waited for a device, and how long it waits for each before the next may be used."""

    waited: float = 0.0
    each: float = 0.0

    def open(self, count: int) -> int:
        """How many of so many devices may be used by now."""
        return count if self.each <= 0 else min(count, 1 + int(max(self.waited, 0.0) // self.each))

    def until(self, place: int) -> float:
        """Seconds until the device at this place may be used."""
        return max(place * self.each - max(self.waited, 0.0), 0.0)


def decide(devices: Sequence[Device], needed: int, patience: Patience, resident: str | None = None) -> str:
    """Take the first device that may be used and has room; `resident` has, since the base lies there already.

    Raises:
        AbsentError: none of them is there.
        TooSmallError: none that is there could ever hold `needed` bytes with the margin.
        BusyError: all that may be used by now are taken.
    """
    wanted = int(needed * MARGIN)
    there = [device for device in devices if not device.absent]
    if not there:
        raise AbsentError(_listed([(device, device.absent) for device in devices]))
    able = [device for device in there if device.name == resident or device.total is None or device.total >= wanted]
    if not able:
        raise TooSmallError(
            f"the base needs {_gib(wanted)}, " + ", ".join(f"{d.name} has {_gib(d.total or 0)} in all" for d in there)
        )
    opened = patience.open(len(able))
    for device in able[:opened]:
        if device.name == resident or device.free is None or device.free >= wanted:
            return device.name
    raise BusyError(
        _listed(
            [
                (device, _lack(wanted, device.free or 0))
                if place < opened
                else (device, f"may be used after another {patience.until(place):.0f} s")
                for place, device in enumerate(able)
            ]
        )
    )


def share(devices: Sequence[Device], needed: int, limits: Mapping[str, int]) -> dict[str, int]:
    """Spread a base over all devices that are there: the most bytes of it that each may take.

    `limits` are the operator's, by device; where there are any, a device that they do not name takes nothing.

    Raises:
        AbsentError: none of them is there.
        TooSmallError: together they could never hold it.
        BusyError: together they have no room now.
    """
    there = [d for d in devices if not d.absent and (not limits or _limit_name(d.name) in limits)]
    if not there:
        known = [(d, d.absent or "base_models[].max_memory does not name it") for d in devices]
        raise AbsentError(_listed(known))
    most = {d.name: limits.get(_limit_name(d.name)) for d in there}
    ever = sum(_least(_weights(d.total), most[d.name], needed) for d in there)
    if ever < needed:
        names = " and ".join(d.name for d in there)
        raise TooSmallError(f"the base needs {_gib(needed)}, {names} can hold {_gib(ever)} of it together")
    now = {d.name: _least(_weights(d.free), most[d.name], needed) for d in there}
    if sum(now.values()) < needed:
        room = ", ".join(f"{size / _GIB:.2f} on {name}" for name, size in now.items())
        raise BusyError(
            f"{_gib(needed - sum(now.values()))} are missing: the base needs {_gib(needed)}, room is {room}"
        )
    return now


def bytes_needed(files: int, stored: str, dtype: str, quantization: Mapping[str, object], embedded: int = 0) -> int:
    """Bytes of a base in memory.

    Args:
        files: bytes of its weight files.
        stored: their type; another than the known ones counts as the type that it is loaded in.
        dtype: type to load it in, or ``auto``.
        quantization: keywords of BitsAndBytesConfig, empty for none.
        embedded: elements of embeddings and head, which stay as they are when the rest is quantised.
    """
    wanted = _BITS.get(dtype)
    have = _BITS.get(stored, wanted or _FULL)
    if not quantization:
        return files * (wanted or have) // have
    elements = files * 8 // have
    bits = 4 if quantization.get("load_in_4bit") else 8
    full = min(embedded, elements)
    return ((elements - full) * bits + full * _FULL) // 8


def _weights(size: int | None) -> int | None:
    """The part of a device that weights may take: a pass needs the rest."""
    return None if size is None else int(size / MARGIN)


def _least(size: int | None, limit: int | None, otherwise: int) -> int:
    return min(size if size is not None else otherwise, limit if limit is not None else otherwise, otherwise)


def _limit_name(device: str) -> str:
    """The name that a device has in `max_memory`: a GPU's is its number."""
    return device.removeprefix("cuda:")


def _lack(wanted: int, free: int) -> str:
    return f"{_gib(wanted - free)} are missing, the base needs {_gib(wanted)} and {_gib(free)} are free"


def _listed(found: Sequence[tuple[Device, str]]) -> str:
    return "; ".join(f"{device.name}: {text}" for device, text in found) or "no device is listed"


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
