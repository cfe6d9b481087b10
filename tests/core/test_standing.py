"""The standing document: what is listed there, added and taken back; what is not understood stays."""

from typing import Any

import pytest

from adapterd.core import standing
from adapterd.core.standing import Said, Tombstone

MINE, OTHER = "publisher-a", "publisher-b"
ALICE, BOB = Said("alice", "why", 5.0), Said("bob", "again", 6.0)
TOLD = {"actor": "alice", "reason": "why", "at": 5.0}


@pytest.mark.parametrize("listed", [None, 3, "x", {"id": MINE}, [3, {}, {"id": None}, {"id": ""}, {"number": True}]])
def test_a_malformed_document_lists_nobody(listed: object) -> None:
    """What is no list of entries names no publisher, no erasure, no yank and no hold."""
    assert standing.publishers({"publishers": listed}) == frozenset()
    assert standing.erasures({"erasures": listed}) == frozenset()
    assert standing.erased_numbers({"erasures": listed}) == frozenset()
    assert standing.yanked({"yanks": listed}) == frozenset()
    assert standing.held({"holds": listed}) == frozenset()


def test_publishers_are_added_once() -> None:
    """A publisher is listed with actor, reason and time, once; everything else in the document stays."""
    first = standing.with_publishers({"holds": [1], "more": 2}, [MINE], ALICE)
    assert first == {"schema": 1, "holds": [1], "more": 2, "publishers": [{"id": MINE, **TOLD}]}
    assert standing.with_publishers(first, [MINE], BOB) == first
    assert standing.publishers(standing.with_publishers(first, [OTHER], BOB)) == {MINE, OTHER}


def test_yanks_and_holds_are_added_once_and_taken_back() -> None:
    """Each stands there once, with the first word that was given; taken back it is gone, and the others stay."""
    yanked = standing.with_yank(standing.with_yank({}, 2, ALICE), 2, BOB)
    assert yanked == {"schema": 1, "yanks": [{"number": 2, **TOLD}]}
    assert standing.yanked(standing.with_yank(yanked, 3, BOB)) == {2, 3}
    assert standing.yanked(standing.without_yank(standing.with_yank(yanked, 3, BOB), 2)) == {3}
    held = standing.with_hold(standing.with_hold({}, "main", ALICE), "main", BOB)
    assert held == {"schema": 1, "holds": [{"channel": "main", **TOLD}]}
    assert standing.held(held) == {"main"}
    assert standing.held(standing.without_hold(held, "main")) == frozenset()


def test_a_tombstone_is_put_up_once_and_learns_what_it_lacked() -> None:
    """Erased again it keeps its first word; a number or commit that is known only now is added, none is changed."""
    first = standing.with_tombstones({"erasures": [{"identity": "old", "note": "kept"}]}, [_stone(None, "")])
    assert first["erasures"] == [
        {"identity": "old", "note": "kept"},
        {"identity": "new", "number": None, "commit": None, **TOLD},
    ]
    more = standing.with_tombstones(first, [Tombstone("new", 3, "c" * 40, BOB)])
    assert standing.tombstones(more)[1] == Tombstone("new", 3, "c" * 40, ALICE)
    assert standing.with_tombstones(more, [Tombstone("new", 4, "d" * 40, BOB)]) == more
    assert standing.erasures(more) == {"old", "new"}
    assert standing.erased_numbers(more) == {3}


def _stone(number: int | None, commit: str) -> Tombstone:
    return Tombstone("new", number, commit, ALICE)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({}, ""),
        ({"schema": 1, "erasures": [{"identity": "a"}], "publishers": []}, ""),
        ([], "holds no object"),
        ({"schema": 2}, "has schema 2"),
        ({"schema": "1"}, "has schema 1"),
        ({"erasures": {"identity": "a"}}, "has erasures that are no list of objects"),
        ({"holds": ["main"]}, "has holds that are no list of objects"),
    ],
)
def test_a_document_that_cannot_be_read_is_not_an_empty_one(document: Any, fault: str) -> None:  # noqa: ANN401 - JSON
    """An erasure or a hold that is overlooked would be published, or moved, against somebody's word."""
    assert standing.fault(document) == fault
