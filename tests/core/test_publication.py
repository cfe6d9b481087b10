"""What the Hub holds x a version -> what to do: every guard of publishing as a property of small views."""

import itertools
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.messages import Trailers
from adapterd.core.publication import Adopt, Commit, Committed, Finish, RepoView, Stall, Wait, decide
from adapterd.core.version import AdapterVersion, Stage

MINE, OTHER = "publisher-a", "publisher-b"
A, B = "a" * 64, "b" * 64
HEAD, ONE, TWO = "0" * 40, "1" * 40, "2" * 40
VERSION = AdapterVersion(1, "acme/support", A, "t" * 64, 1, Stage.VALIDATED)


def committed(commit: str, identity: str, number: int, publisher: str = MINE) -> Committed:
    """A version commit."""
    return Committed(commit, Trailers(identity, number, publisher))


def small_views() -> Iterator[RepoView]:
    """Every view of at most two commits, two numbers and two identities."""
    said = [Trailers(i, n, p) for i in (A, B) for n in (1, 2) for p in (MINE, OTHER)]
    pairs = [(), *((c,) for c in said), *itertools.product(said, said)]
    places = [None, ONE, TWO]
    remembered: list[Mapping[str, tuple[int, str]]] = [{}, {A: (1, ONE)}, {A: (2, HEAD)}, {B: (2, TWO)}]
    for pair, first, second, seen in itertools.product(pairs, places, places, remembered):
        commits = tuple(Committed(commit, c) for commit, c in zip((TWO, ONE), pair, strict=False))
        tags = {number: commit for number, commit in ((1, first), (2, second)) if commit}
        yield RepoView(HEAD, tags, commits, seen)


@pytest.mark.parametrize("reserved", [None, 1, 2, 3])
def test_every_small_view(reserved: int | None) -> None:
    """Nothing is committed twice, no number is used twice, and only our own commits are tagged, in every view."""
    for view in small_views():
        mine = [c for c in view.committed if c.said.identity == A]
        match decide(VERSION, view, MINE, reserved):
            case Commit(parent, above, anew):
                numbers = [*view.tags, *(c.said.number for c in view.committed), *(n for n, _ in view.seen.values())]
                assert not mine
                assert A not in view.seen
                assert parent == HEAD
                assert above == max(numbers, default=0)
                assert anew is (reserved is not None and reserved <= above)
            case Adopt(number, commit):
                assert view.tags[number] == commit
                assert commit in {c.commit for c in mine} | {commit for _, commit in view.seen.values()}
            case Finish(number, commit):
                assert committed(commit, A, number, MINE) in mine
                assert number not in view.tags
                assert commit not in view.tags.values()
            case Wait(why):
                assert why.code == "conflict"
                assert {c.said.publisher for c in mine} == {OTHER}
            case Stall(why):
                assert why.code == "foreign_tag"
                assert mine or A in view.seen


def test_a_fresh_repo_gets_version_one() -> None:
    """Nothing is there: commit above zero; the number that was reserved stays."""
    assert decide(VERSION, RepoView(HEAD, {}), MINE, None) == Commit(HEAD, 0, anew=False)
    assert decide(VERSION, RepoView(HEAD, {}), MINE, 1) == Commit(HEAD, 0, anew=False)


def test_an_overtaken_number_is_replaced() -> None:
    """A number that somebody else used meanwhile is never used again, and neither is a lower one."""
    view = RepoView(HEAD, {1: ONE}, (committed(TWO, B, 3, OTHER),))
    assert decide(VERSION, view, MINE, 2) == Commit(HEAD, 3, anew=True)
    assert decide(VERSION, view, MINE, 4) == Commit(HEAD, 3, anew=False)


def test_our_commit_without_a_tag_is_finished_with_its_own_number() -> None:
    """After a crash between commit and tag, the number in the trailer counts, not the registry's."""
    view = RepoView(TWO, {}, (committed(TWO, B, 2), committed(ONE, A, 1)))
    assert decide(VERSION, view, MINE, 7) == Finish(1, ONE)


def test_what_is_tagged_is_adopted() -> None:
    """The Hub holds this identity under its tag: the number is taken over, whoever published it."""
    view = RepoView(ONE, {4: ONE}, (committed(ONE, A, 4, OTHER),))
    assert decide(VERSION, view, MINE, 1) == Adopt(4, ONE)
    assert decide(VERSION, RepoView(HEAD, {4: ONE}, (), {A: (4, ONE)}), MINE, None) == Adopt(4, ONE)


def test_a_tagged_commit_comes_before_an_untagged_one() -> None:
    """Where the same content was committed twice, the one with a tag is the version."""
    view = RepoView(TWO, {1: ONE}, (committed(TWO, A, 2), committed(ONE, A, 1, OTHER)))
    assert decide(VERSION, view, MINE, 2) == Adopt(1, ONE)


def test_another_publishers_commit_is_left_to_it() -> None:
    """Each publisher tags only its own commits."""
    outcome = decide(VERSION, RepoView(ONE, {}, (committed(ONE, A, 1, OTHER),)), MINE, None)
    assert isinstance(outcome, Wait)
    assert OTHER in outcome.reason.message


@pytest.mark.parametrize(
    ("tags", "seen"),
    [
        ({1: HEAD}, {}),
        ({9: ONE}, {}),
        ({}, {A: (1, ONE)}),
        ({1: TWO}, {A: (1, ONE)}),
    ],
)
def test_a_tag_by_hand_stalls(tags: dict[int, str], seen: dict[str, tuple[int, str]]) -> None:
    """A tag that is not where we put it, or that somebody else put on our commit, is a person's to correct."""
    commits = () if seen else (committed(ONE, A, 1),)
    outcome = decide(VERSION, RepoView(HEAD, tags, commits, seen), MINE, 1)
    assert isinstance(outcome, Stall)
    assert outcome.reason.code == "foreign_tag"


@pytest.mark.parametrize("view", [RepoView(HEAD, {}), RepoView(ONE, {1: ONE}, (committed(ONE, A, 1),))])
def test_what_was_erased_stays_erased(view: RepoView) -> None:
    """An erased identity is never published again, not even adopted."""
    erased = RepoView(view.head, view.tags, view.committed, view.seen, frozenset({A}))
    outcome = decide(VERSION, erased, MINE, 1)
    assert isinstance(outcome, Stall)
    assert outcome.reason.code == "erased"


def test_a_repo_that_is_not_ours_is_not_touched() -> None:
    """Whatever lies in somebody else's repo, nothing is adopted, tagged or committed there."""
    outcome = decide(VERSION, RepoView(ONE, {1: ONE}, (committed(ONE, A, 1),), ours=False), MINE, 1)
    assert isinstance(outcome, Stall)
    assert outcome.reason.code == "repo_not_ours"


def test_untagged_commits_keep_the_head_unknown() -> None:
    """A commit that waits for its tag must be found again; the version in hand and tagged ones need not be."""
    view = RepoView(TWO, {1: ONE}, (committed(TWO, A, 2), committed(ONE, B, 1)))
    assert pub.untagged(view) == (committed(TWO, A, 2),)
    assert pub.untagged(view, A) == ()


TRAILER = st.builds(
    Trailers,
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(1, 999_999_999),
    st.text("abc-", min_size=1, max_size=8).map(str.strip).filter(bool),
    st.sampled_from(["", "main", "candidate"]),
    card=st.sampled_from(["", "ce013625030ba8dba906f756967f9e9ca394464a"]),
)


@given(st.text(max_size=40), st.text(max_size=40), TRAILER)
def test_trailers_survive_any_title_and_body(title: str, body: str, said: Trailers) -> None:
    """What a run is called cannot hide or forge what the commit says of itself."""
    message = messages.with_trailers(title, body, said)
    assert messages.trailers(message) == said
    assert messages.trailers(message.replace("\n", "\r\n") + "\n") == said


def test_a_run_name_forges_no_trailer() -> None:
    """Lines above the last paragraph are no trailers, however they look."""
    forged = "v1: x\nAdapter-Channel: main\n\nAdapter-Identity: adapterd-identity-1:ffff\nAdapter-Version: v9"
    said = Trailers(A, 1, MINE)
    assert messages.trailers(messages.with_trailers(forged, "", said)) == said
    assert messages.trailers(f"{forged}\n\nSigned-off-by: x") is None


@pytest.mark.parametrize(
    "message",
    ["", "initial commit", "Adapter-Version: v1", "Adapter-Identity: x", "Adapter-Identity: x\nAdapter-Version: 1"],
)
def test_foreign_commits_have_no_trailers(message: str) -> None:
    """A commit without identity and version is nobody's version."""
    assert messages.trailers(message) is None


def test_differences_name_every_path() -> None:
    """A missing, a foreign and a changed path each show; what is equal by its kind of digest does not."""
    data = b"hello\n"
    want = pub.expected(data)
    assert want.blob == "ce013625030ba8dba906f756967f9e9ca394464a"
    wanted = {"lfs": want, "git": want, "gone": want, "other": want, "size": want}
    there = {
        "lfs": (6, "0" * 40, want.sha256),
        "git": (6, want.blob, None),
        "other": (6, want.blob, "0" * 64),
        "size": (7, want.blob, None),
        "foreign": (1, "x", None),
        ".gitattributes": (1, "x", None),
    }
    found = pub.differences(wanted, there, open_paths=(".gitattributes",))
    assert found == ("gone is missing", "foreign is foreign", "other has other bytes", "size has other bytes")


def test_foreign_paths() -> None:
    """On `versions` there is the payload, and what adapterd writes itself."""
    assert pub.foreign_paths({"a", "x/.env", "adapterd.json", "README.md", ".gitattributes"}, {"a"}) == ("x/.env",)
