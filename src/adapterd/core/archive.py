"""Whether a file of torch.save is whole, told by its archive's directory alone; nothing is unpickled.

Since torch 1.6 it is a zip archive (APPNOTE 6.3): the members, each stored as it is, then a directory of them, then a
fixed end. What is cut off lacks its end; what claims more than the file holds is not what torch.save wrote.
"""

import struct
from collections.abc import Callable, Iterator

from adapterd.core.adapter import BadWeightsError

MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
"""Some 100,000 members; an adapter has one for each tensor."""

_MEMBER = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_MOST_COMMENT = 0xFFFF
_FULL, _FULL_SHORT = 0xFFFFFFFF, 0xFFFF
_WIDE = 1
"""Kind of the extra field that holds what does not fit into 32 bits."""

Read = Callable[[int, int], bytes]


def check_archive(read: Read, size: int) -> None:
    """Check a pickle of `size` bytes, of which `read` gives `length` from `offset`.

    One from before torch 1.6 is no archive: whether it is whole, only its reader can tell.

    Raises:
        BadWeightsError: it is empty, cut off, or claims other members than it has.
    """
    if size == 0:
        raise BadWeightsError("the file is empty")
    if not _MEMBER.startswith(read(0, len(_MEMBER))):
        return
    try:
        begin, end = _directory(read, size)
        if end - begin > MAX_DIRECTORY_BYTES:
            raise BadWeightsError(f"the archive's directory claims {end - begin} bytes")
        held = sum(_sizes(read(begin, end - begin), begin))
    except struct.error as error:
        raise BadWeightsError("the archive's directory is cut off") from error
    if not 0 < held <= begin:
        raise BadWeightsError(f"the archive's members claim {held} bytes in a file of {size}")


def _directory(read: Read, size: int) -> tuple[int, int]:
    """Where the archive's directory begins and ends."""
    first = max(0, size - _END.size - _MOST_COMMENT)
    tail = read(first, size - first)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise BadWeightsError("the archive has no end: it is cut off")
    *_, count, length, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise BadWeightsError("the archive does not end where it says")
    end = first + at
    if count == _FULL_SHORT or _FULL in (length, offset):
        end, length, offset = _directory_64(read, end)
    if offset + length > end:
        raise BadWeightsError(f"the archive's directory claims bytes {offset} to {offset + length} of {end}")
    return offset, offset + length


def _directory_64(read: Read, end: int) -> tuple[int, int, int]:
    """The same of an archive whose numbers need 64 bits: where its end begins, and the directory's length and place."""
    mark, _, at, _ = _LOCATOR.unpack(read(max(0, end - _LOCATOR.size), _LOCATOR.size))
    if mark != b"PK\x06\x07" or at + _END_64.size > end:
        raise BadWeightsError("the archive has no end: it is cut off")
    mark, *_, length, offset = _END_64.unpack(read(at, _END_64.size))
    if mark != b"PK\x06\x06":
        raise BadWeightsError("the archive has no end: it is cut off")
    return at, length, offset


def _sizes(directory: bytes, begin: int) -> Iterator[int]:
    """The size of each member; BadWeightsError where one is packed, or does not lie before the directory."""
    at = 0
    while at < len(directory):
        mark, _, _, _, method, _, _, _, packed, size, named, extra, comment, *_, offset = _ENTRY.unpack_from(
            directory, at
        )
        if mark != b"PK\x01\x02":
            raise BadWeightsError("the archive's directory is damaged")
        wide = directory[at + _ENTRY.size + named : at + _ENTRY.size + named + extra]
        size, packed, offset = _wide(wide, (size, packed, offset))
        if method != 0 or size != packed:
            raise BadWeightsError("a member of the archive is packed, which torch.save never does")
        if offset + size > begin:
            raise BadWeightsError(f"a member of the archive claims bytes {offset} to {offset + size} of {begin}")
        yield size
        at += _ENTRY.size + named + extra + comment


def _wide(extra: bytes, narrow: tuple[int, int, int]) -> tuple[int, int, int]:
    """The numbers of an entry, those that do not fit there taken from its extra fields."""
    at = 0
    while at < len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _WIDE:
            rest = iter(struct.unpack_from(f"<{sum(number == _FULL for number in narrow)}Q", extra, at + 4))
            size, packed, offset = (next(rest) if number == _FULL else number for number in narrow)
            return size, packed, offset
        at += 4 + length
    return narrow
