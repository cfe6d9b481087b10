"""The LFS pointer: the small text that stands in git for a large file's bytes."""

import re
from dataclasses import dataclass

OID = re.compile(r"[0-9a-f]{64}")
_LONGEST = 1024  # a pointer is about 130 bytes; nothing longer needs parsing
_TEXT = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n",
)


@dataclass(frozen=True)
class Pointer:
    """Which bytes a path means: their sha256 and their number."""

    oid: str
    size: int

    def render(self) -> bytes:
        """Give the text that git stores."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()


def parse_pointer(content: bytes) -> Pointer | None:
    """Read a pointer, or say that this blob is an ordinary file."""
    if len(content) > _LONGEST:
        return None
    found = _TEXT.fullmatch(content)
    return Pointer(found[1].decode(), int(found[2])) if found else None
