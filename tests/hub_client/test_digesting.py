"""The sha256 of a download is that of its bytes, however they arrived."""

import hashlib
from pathlib import Path

import pytest

from adapterd.hub.digesting import Digest

SIZES = (0, 1, 1024 * 1024 - 1, 1024 * 1024, 5_000_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("before", [0, 1, 700_000, 3_000_000])
def test_pieces_and_what_arrived_before_are_hashed_in_order(tmp_path: Path, size: int, before: int) -> None:
    """Small ones at once, large ones in a thread that is gone afterwards; of a part only the bytes that are kept."""
    data = hashlib.shake_128(b"seed").digest(before + size)
    part = tmp_path / "part"
    part.write_bytes(data[:before] + b"cut off")
    with Digest() as digest:
        digest.add_file(part, before)
        for start in range(before, before + size, 65_536):
            digest.add(data[start : start + 65_536])
        assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_download_that_fails_leaves_no_thread() -> None:
    """The thread ends with the block, whatever was not hashed."""

    def fail() -> None:
        with Digest() as digest:
            for _ in range(40):
                digest.add(bytes(65_536))
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
