"""Whether a file of torch.save is whole: told by the archive's directory, without reading what it holds."""

import io
import struct
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.adapter import BadWeightsError
from adapterd.core.archive import check_archive

MEMBERS = {"archive/data.pkl": b"\x80\x02}q\x00.", "archive/data/0": bytes(64), "archive/version": b"3\n"}


def archive(members: Mapping[str, bytes] = MEMBERS, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """An archive as torch.save lays it out: members that are stored as they are."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as file:
        file.comment = comment
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def check(data: bytes | bytearray) -> None:
    """Check bytes as if they were a file."""
    check_archive(lambda offset, length: bytes(data[offset : offset + length]), len(data))


def fault(data: bytes | bytearray) -> str:
    """What is wrong with it."""
    with pytest.raises(BadWeightsError) as caught:
        check(data)
    return str(caught.value)


WHOLE = archive()


@pytest.mark.parametrize("data", [WHOLE, archive(comment=b"packed again"), b"\x80\x02\x8a\nl\xfc\x9cF\xf9", b"pickle"])
def test_what_may_be_whole(data: bytes) -> None:
    """An archive with its end, with a comment or without; and what is no archive, which only its reader can judge."""
    check(data)


def test_an_archive_with_wide_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 4 GiB an archive holds its numbers elsewhere; they count like the others."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 16)
    wide = bytearray(archive())
    struct.pack_into("<2H2L", wide, wide.index(b"PK\x05\x06") + 8, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    check(wide)
    for length in range(len(wide)):
        fault(wide[:length])
    for mark in (b"PK\x06\x06", b"PK\x06\x07"):
        assert "no end" in fault(bytes(wide).replace(mark, b"PK\x00\x00"))


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_wherever_it_is_cut_off_it_is_not_whole(length: int) -> None:
    """The archive's directory stands at its end, so that every shorter file lacks it."""
    fault(WHOLE[:length])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (archive(method=zipfile.ZIP_DEFLATED), "packed"),
        (WHOLE + b"more", "does not end"),
    ],
)
def test_what_torch_would_not_have_written(data: bytes, words: str) -> None:
    """Packed members, which could unfold to any size, and what does not end where it says."""
    assert words in fault(data)


def test_a_member_that_claims_more_than_there_is() -> None:
    """Sizes are held against the file, so that no small file asks for much memory."""
    at = WHOLE.index(b"PK\x01\x02")
    huge = struct.pack("<2L", 2**31, 2**31)
    assert "claims bytes" in fault(WHOLE[: at + 20] + huge + WHOLE[at + 28 :])


def test_members_that_lie_over_one_another() -> None:
    """A directory that names the same bytes many times claims more than the file holds."""
    big = archive({"archive/data/0": bytes(4096)})
    at, end = big.index(b"PK\x01\x02"), big.index(b"PK\x05\x06")
    entries = big[at:end] * 3
    tail = bytearray(big[end:])
    struct.pack_into("<2HL", tail, 8, 3, 3, len(entries))
    assert "members claim 12288 bytes" in fault(big[:at] + entries + bytes(tail))


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_damage_never_makes_it_fail_otherwise(place: int, value: int) -> None:
    """Whatever byte is another one: it may pass or be refused, and nothing else happens."""
    damaged = bytearray(WHOLE)
    damaged[place] = value
    try:
        check(bytes(damaged))
    except BadWeightsError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
