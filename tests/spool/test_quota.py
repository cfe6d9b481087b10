"""spool.max_size: what would exceed it waits, in order; how full the spool is, is known without a walk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.roots import SettleError
from adapterd.spool import Snapshot, Spool
from helpers.adapters import write_adapter

ADAPTER = "acme/support"
LIMITS = (10 * 1024**2, 100)
Freeze = Callable[..., Snapshot]


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter directory with so many bytes beside the usual ones."""

    def write(name: str, seed: int, more: int = 0) -> Path:
        folder = write_adapter(tmp_path / "train" / name, seed=seed)
        (folder / "tokenizer.json").write_text(" " * more)
        return folder

    return write


def _freeze(spool: Spool, source: Path, most: int | None) -> Snapshot:
    return spool.freeze(source, ADAPTER, lambda _: "", LIMITS, most=most)


def _size(snapshot: Snapshot) -> int:
    return sum(size for _, size in snapshot.files.values())


def _refused(spool: Spool, source: Path, most: int) -> str:
    with pytest.raises(SettleError) as told:
        _freeze(spool, source, most)
    assert told.value.code == "spool_quota"
    return told.value.message


def test_the_size_is_kept_up_to_date(spool: Spool, train: Callable[..., Path]) -> None:
    """It is the sum of the payloads, after copies, after the same content again, and after snapshots went."""
    assert spool.used() == 0
    one, two = _freeze(spool, train("a", 1), None), _freeze(spool, train("b", 2), None)
    _freeze(spool, train("c", 1), None)
    assert spool.used() == _size(one) + _size(two) == spool.recount()
    spool.discard(ADAPTER, one.tree)
    spool.discard(ADAPTER, one.tree)
    assert spool.used() == _size(two) == spool.recount() == Spool(spool.path).used()


def test_what_would_exceed_it_waits_and_goes_on_when_there_is_room(spool: Spool, train: Callable[..., Path]) -> None:
    """The message has the numbers; nothing is left behind; the same copy succeeds once a snapshot has gone."""
    first = _freeze(spool, train("a", 1), None)
    most = _size(first) + 10
    said = _refused(spool, train("b", 2), most)
    assert f"{_size(first)} of {most} bytes" in said
    assert not list((spool.path / ".incoming").glob("*"))
    spool.discard(ADAPTER, first.tree)
    assert _freeze(spool, train("b", 2), most).tree


def test_small_ones_do_not_starve_a_large_one(spool: Spool, train: Callable[..., Path]) -> None:
    """What is removed after it came is kept for it, and small ones wait behind it."""
    small = [_freeze(spool, train(f"s{n}", n), None) for n in (1, 2, 3, 4)]
    size = _size(small[0])
    most = 4 * size
    large = train("large", 9, more=size)
    assert "needs" in _refused(spool, large, most)
    spool.discard(ADAPTER, small[0].tree)
    assert "keeps" in _refused(spool, train("s5", 5), most)
    spool.discard(ADAPTER, small[1].tree)
    _refused(spool, train("s5", 5), most)
    spool.discard(ADAPTER, small[2].tree)
    assert _freeze(spool, large, most)
    assert spool.used() <= most


def test_who_no_longer_asks_loses_its_place(spool: Spool, train: Callable[..., Path]) -> None:
    """A directory that went, or is written to again, keeps nothing free for itself after a round without it."""
    small = _freeze(spool, train("s1", 1), None)
    most = _size(small)
    _refused(spool, train("s2", 2), most)
    spool.next_round()
    spool.discard(ADAPTER, small.tree)
    _refused(spool, train("s3", 3), most)
    spool.next_round()
    assert _freeze(spool, train("s3", 3), most)


def test_a_repaired_snapshot_does_not_wait(spool: Spool, source: Path) -> None:
    """It takes the place of the one that it was made from, which could not go before."""
    frozen = _freeze(spool, source, None)
    again = spool.freeze(frozen.payload, ADAPTER, lambda _: "acme/base", LIMITS, most=1)
    assert again.tree != frozen.tree
