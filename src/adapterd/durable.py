"""Let what was written outlive the power. The embedded Hub has its own, since it imports nothing from here."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Let the bytes of a file, or the names in a folder, outlive the power: a rename is only safe after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
