"""What a person does to channels: each act, what it refuses, and that asking again changes nothing."""

import threading
from typing import TYPE_CHECKING, Any

import pytest

from adapterd import moving
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.standing import Said
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.moving import history
from adapterd.ports import AddBytes, Conflict, NotFound
from moving.series import SAID, Series

if TYPE_CHECKING:
    from collections.abc import Callable


def promote(series: Series, number: int, channel: str = "main") -> moving.Moved:
    """Promote by hand."""
    return moving.promote(series.hub, series.adapter, number, channel, SAID)


def rollback(series: Series, number: int | None = None, channel: str = "main") -> moving.Moved:
    """Roll back by hand."""
    return moving.rollback(series.hub, series.adapter, channel, number, SAID)


def told(series: Series, channel: str = "main") -> list[tuple[int | None, str, bool]]:
    """Number, actor and rollback of each move, newest first."""
    moves = history.read(series.hub, series.adapter, channel, series.head(channel))
    return [(move.number, move.actor, move.rollback) for move in moves]


def test_a_promotion_reinstates_the_version_and_says_who_and_why(three: Series) -> None:
    """The channel holds the version's bytes and card; its history says when, who and why; asked again nothing moves."""
    done = promote(three, 2)
    assert (done.number, done.commit, done.held, done.done) == (2, three.head("main"), False, False)
    assert three.holds() == 2
    (move,) = history.read(three.hub, three.adapter, "main", done.commit)
    assert (move.number, move.actor, move.reason, move.by_hand) == (2, "ada", "better on the holdout", True)
    assert move.at > 1_700_000_000
    again = promote(three, 2)
    assert (again.done, again.commit) == (True, done.commit)


def test_a_channel_that_is_not_there_is_made(three: Series) -> None:
    """A promotion to a new channel makes its branch, and leaves the others where they are."""
    promote(three, 1)
    promote(three, 3, "stable")
    assert (three.holds("stable"), three.holds()) == (3, 1)
    assert told(three, "stable") == [(3, "ada", False)]


def test_no_large_file_travels_and_requests_are_few(hub: HubClient, server: RunningHub) -> None:
    """A promotion uploads no LFS bytes, and takes at most six requests and one for each small file of the version."""
    three = Series(hub, 3)
    promote(three, 1)
    small = sum(file.sha256 is None for file in three.hub.tree(three.adapter, "v3").values())
    server.requests.clear()
    promote(three, 3)
    assert server.requests.lfs_bytes() == 0
    assert len(server.requests) <= 6 + small, [record.path for record in server.requests]


def test_requests_are_few_for_an_adapter_with_few_files(hub: HubClient, server: RunningHub) -> None:
    """Each act in turn, with whose token it is: six requests and one for each small file, of which there are five."""
    bare = Series(hub, 4, bare=True)
    small = [path for path, file in hub.tree(bare.adapter, "v4").items() if file.sha256 is None]
    assert sorted(small) == [".gitattributes", "README.md", "adapter_config.json", pub.PICTURE, pub.MANIFEST]
    counts: dict[str, int] = {}
    acts: dict[str, Callable[[], object]] = {
        "promote": lambda: promote(bare, 2),
        "promote to a newer version": lambda: promote(bare, 3),
        "the first rollback": lambda: rollback(bare),
        "release": lambda: moving.release(bare.hub, bare.adapter, "main", SAID),
        "promote, with a standing document": lambda: promote(bare, 4),
        "a later rollback": lambda: rollback(bare),
        "rollback to a number, of a channel that is held": lambda: rollback(bare, 1),
    }
    for name, act in acts.items():
        server.requests.clear()
        hub.whoami()
        act()
        counts[name] = len(server.requests)
    assert {name: count for name, count in counts.items() if count > 6 + len(small)} == {}


def test_a_rollback_goes_back_to_what_the_channel_held_before(three: Series) -> None:
    """It holds the channel, goes back along the history, and asked again stays where it is."""
    promote(three, 1)
    promote(three, 3)
    done = rollback(three)
    assert (done.number, done.was, done.held) == (1, 3, True)
    assert three.holds() == 1
    assert [hold["channel"] for hold in holds(three)] == ["main"]
    assert rollback(three).done
    assert told(three) == [(1, "ada", True), (3, "ada", False), (1, "ada", False)]


def test_what_was_rolled_back_from_is_not_gone_back_to(three: Series) -> None:
    """After a release and a newer version, the next rollback passes over the one that was left before."""
    promote(three, 1)
    promote(three, 2)
    rollback(three)
    assert moving.release(three.hub, three.adapter, "main", SAID)
    promote(three, 3)
    assert rollback(three).number == 1


def test_a_rollback_passes_over_what_was_withdrawn(three: Series) -> None:
    """A yanked version is none to go back to."""
    for number in (1, 2, 3):
        promote(three, number)
    moving.yank(three.hub, three.adapter, 2, SAID)
    assert rollback(three).number == 1


def test_a_rollback_to_a_number_needs_no_history(three: Series) -> None:
    """With --to any version that may be had is taken, also one that the channel never held."""
    promote(three, 3)
    assert rollback(three, 2).number == 2
    assert told(three)[0] == (2, "ada", True)


def test_a_rollback_with_nothing_before_is_refused_without_a_hold(three: Series) -> None:
    """The first version has no former one; what is refused leaves nothing behind."""
    promote(three, 1)
    with pytest.raises(moving.RefusedError, match="held nothing before v1"):
        rollback(three)
    with pytest.raises(NotFound, match="has no version v9"):
        rollback(three, 9)
    with pytest.raises(NotFound, match="has no channel stable"):
        rollback(three, 1, "stable")
    assert pub.STANDING_BRANCH not in three.hub.refs(three.adapter).branches


def test_a_held_channel_is_moved_by_a_person_and_stays_held(three: Series) -> None:
    """A hold binds rules, not persons."""
    promote(three, 1)
    assert moving.hold(three.hub, three.adapter, "main", SAID)
    assert not moving.hold(three.hub, three.adapter, "main", SAID)
    assert promote(three, 2).held
    assert holds(three) == [{"channel": "main", "actor": "ada", "reason": SAID.reason, "at": SAID.at}]
    assert moving.release(three.hub, three.adapter, "main", SAID)
    assert not moving.release(three.hub, three.adapter, "main", SAID)
    assert holds(three) == []


def test_what_a_channel_holds_is_not_yanked(three: Series) -> None:
    """It is rolled back first; then it is withdrawn, is not promoted any more, and comes back with unyank."""
    promote(three, 1)
    promote(three, 2)
    with pytest.raises(moving.RefusedError, match="channel main holds it") as refused:
        moving.yank(three.hub, three.adapter, 2, SAID)
    assert "rollback" in refused.value.hint
    rollback(three)
    assert moving.yank(three.hub, three.adapter, 2, SAID)
    assert not moving.yank(three.hub, three.adapter, 2, SAID)
    with pytest.raises(moving.RefusedError, match="is yanked") as refused:
        promote(three, 2)
    assert "unyank" in refused.value.hint
    assert moving.unyank(three.hub, three.adapter, 2, SAID)
    assert not moving.unyank(three.hub, three.adapter, 2, SAID)
    assert promote(three, 2).number == 2


@pytest.mark.parametrize("channel", ["versions", "standing", "HEAD", "v3", "a..b"])
def test_a_name_that_is_no_channel_is_refused(three: Series, channel: str) -> None:
    """Reserved names and what looks like a version are never branches of ours."""
    with pytest.raises(moving.RefusedError, match="is no channel"):
        promote(three, 1, channel)


def test_what_was_erased_or_contradicts_itself_is_not_promoted(three: Series) -> None:
    """A tombstone, a tag whose manifest is another version's, and a number that is not there."""
    stone = {"erasures": [{"identity": "0" * 64, "number": 1, "reason": "on request"}]}
    moving.change(three.hub, three.adapter, lambda d: {**d, **stone}, "Erase")
    with pytest.raises(NotFound, match="v1 was erased: on request"):
        promote(three, 1)
    wrong = three.publish(said=2)
    with pytest.raises(moving.RefusedError, match=r"has the adapterd\.json of"):
        promote(three, wrong)
    with pytest.raises(NotFound, match="has no version v9"):
        promote(three, 9)
    three.hub.create_tag(three.adapter, "v8", three.head("main"))
    with pytest.raises(moving.RefusedError, match=r"holds no adapterd\.json"):
        promote(three, 8)


def test_a_persons_files_stay_and_former_files_go(three: Series) -> None:
    """Words and pictures on a channel stay; what a loader reads and the version lacks goes with its own version."""
    four = three.publish(extra=("tokenizer_config.json",))
    promote(three, four)
    three.write("main", "notes/plan.txt", b"ours")
    text = three.hub.read(three.adapter, "main", pub.CARD) + b"\nWritten by a person.\n"
    three.write("main", pub.CARD, text)
    rollback(three, 1)
    there = three.hub.tree(three.adapter, "main")
    assert "notes/plan.txt" in there
    assert "tokenizer_config.json" not in there
    card = three.hub.read(three.adapter, "main", pub.CARD).decode()
    assert "Written by a person." in card
    assert "v1" in card


def test_a_card_without_a_persons_word_is_not_read_to_be_replaced(three: Series, server: RunningHub) -> None:
    """The move that wrote it said so, by its blob id: it is then what a promotion of the version alone would write."""
    promote(three, 1)
    alone = three.hub.read(three.adapter, "main", pub.CARD)
    promote(three, 2)
    before = three.head("main")
    server.requests.clear()
    rollback(three)
    assert not [each.path for each in server.requests if each.path.endswith(f"/resolve/{before}/{pub.CARD}")]
    assert three.hub.read(three.adapter, "main", pub.CARD) == alone


def test_a_persons_words_stay_under_whatever_message(three: Series) -> None:
    """A person changes the card and keeps our own commit's message, as `git commit --amend` does: the words stay."""
    promote(three, 1)
    promote(three, 2)
    head = three.head("main")
    text = three.hub.read(three.adapter, "main", pub.CARD) + b"\nWritten by a person.\n"
    message = three.hub.log(three.adapter, head)[0].message
    assert messages.trailers(message) is not None
    three.hub.commit(three.adapter, "main", head, [AddBytes(pub.CARD, text)], message)
    assert rollback(three).number == 1
    card = three.hub.read(three.adapter, "main", pub.CARD).decode()
    assert "Written by a person." in card
    assert "v1" in card


def test_a_strangers_weights_are_not_removed(three: Series) -> None:
    """A file that a loader reads and that no version of ours put there stops the move, and says so."""
    three.write("main", "model.safetensors", b"foreign")
    with pytest.raises(moving.RepoStalledError, match=r"model\.safetensors on channel main"):
        promote(three, 1)
    assert "model.safetensors" in three.hub.tree(three.adapter, "main")


class Beforehand:
    """A Hub at which somebody else is faster: does something once, right before a commit to a branch."""

    def __init__(self, hub: HubClient, branch: str, do: Any) -> None:  # noqa: ANN401 - any act
        """Stand in for `hub`."""
        self._hub, self._branch, self._do = hub, branch, do

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's own."""
        return getattr(self._hub, name)

    def commit(self, repo: str, branch: str, *rest: Any) -> str:  # noqa: ANN401 - passed on
        """Let the other go first."""
        if branch == self._branch and self._do is not None:
            do, self._do = self._do, None
            do()
        return self._hub.commit(repo, branch, *rest)


def test_a_promotion_goes_on_where_the_head_moved(three: Series) -> None:
    """A person edits the card at that moment: both stay."""
    promote(three, 1)
    hub = Beforehand(three.hub, "main", lambda: three.write("main", "notes.txt", b"mine"))
    moving.promote(hub, three.adapter, 2, "main", SAID)
    assert told(three)[0][0] == 2
    assert "notes.txt" in three.hub.tree(three.adapter, "main")


def test_a_rollback_does_not_go_back_from_what_it_never_saw(three: Series) -> None:
    """Where the channel is moved on at that moment it stays, held, and the hint names the version that was meant."""
    promote(three, 1)
    promote(three, 2)
    hub = Beforehand(three.hub, "main", lambda: promote(three, 3))
    with pytest.raises(Conflict, match="from v2 to v3 meanwhile") as stopped:
        moving.rollback(hub, three.adapter, "main", None, SAID)
    assert stopped.value.hint.endswith("--to v1")
    assert three.holds() == 3
    assert [hold["channel"] for hold in holds(three)] == ["main"]


def test_a_promotion_to_what_is_yanked_at_that_moment_is_seen_by_the_yank(three: Series) -> None:
    """The yank looks again after it: what was promoted meanwhile is named, and is to be rolled back."""
    promote(three, 1)
    hub = Beforehand(three.hub, pub.STANDING_BRANCH, lambda: promote(three, 2))
    with pytest.raises(moving.RefusedError, match="v2 is yanked: channel main holds it"):
        moving.yank(hub, three.adapter, 2, SAID)


def test_two_promoters_racing_leave_a_whole_version(three: Series) -> None:
    """Both moves are in the history, one after the other, and the channel holds one of them wholly."""
    promote(three, 1)
    barrier, ended = threading.Barrier(2), []

    def run(number: int) -> None:
        barrier.wait()
        said = Said(f"racer-{number}", "", 0.0)
        ended.append(moving.promote(three.hub, three.adapter, number, "main", said).number)

    threads = [threading.Thread(target=run, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [2, 3]
    assert three.holds() in (2, 3)
    assert {number for number, _, _ in told(three)} == {1, 2, 3}
    assert len(told(three)) == 3


def holds(series: Series) -> list[dict[str, object]]:
    """The holds of the standing document."""
    found: Any = series.standing()["holds"]
    return list(found)
