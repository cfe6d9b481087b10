"""`publication.decide` driven through crashes and other writers, on a Hub of a dozen lines.

`yield` marks each place where a process can die or another one can run. Whatever happens: each content is committed
once and tagged once, numbers grow along the branch, and nobody stalls where nobody interferes.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from adapterd.core import publication as pub
from adapterd.core.messages import Trailers
from adapterd.core.publication import Adopt, Commit, Committed, Finish, RepoView, Stall, Wait
from adapterd.core.version import AdapterVersion, Stage


class MovedError(Exception):
    """The head is not the parent any more."""


@dataclass
class Hub:
    """A branch that only grows, and its tags."""

    log: list[Committed] = field(default_factory=list)
    tags: dict[int, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """The newest commit."""
        return self.log[-1].commit if self.log else "root"

    def commit(self, parent: str, said: Trailers) -> str:
        """Compare and swap."""
        if parent != self.head:
            raise MovedError
        self.log.append(Committed(f"c{len(self.log)}", said))
        return self.head


@dataclass
class Publisher:
    """One publisher with a registry of its own."""

    name: str
    identities: tuple[str, ...]
    guarded: bool = True
    intents: dict[str, int] = field(default_factory=dict)
    done: dict[str, tuple[int, str]] = field(default_factory=dict)
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    stalled: set[str] = field(default_factory=set)
    known: str = ""
    counter: int = 0

    def todo(self) -> list[str]:
        """What is not published yet."""
        return [i for i in self.identities if i not in self.done and i not in self.stalled]

    def view(self, hub: Hub) -> RepoView:
        """One reading, down to the head that the registry knows."""
        commits = [c.commit for c in hub.log]
        new = hub.log[commits.index(self.known) + 1 :] if self.known else hub.log
        tagged = {c.said.identity: (c.said.number, c.commit) for c in new if c.commit in hub.tags.values()}
        return RepoView(hub.head, dict(hub.tags), tuple(reversed(new)), {**self.seen, **tagged, **self.done})

    def publish(self, hub: Hub, identity: str) -> Iterator[None]:
        """One attempt of one version."""
        view = self.view(hub)
        yield
        version = AdapterVersion(1, "a/b", identity, "", 1, Stage.VALIDATED)
        match pub.decide(version, view, self.name, self.intents.get(identity)):
            case Adopt(number, commit):
                self._record(hub, view, identity, number, commit)
            case Finish(number, commit):
                yield from self._tag(hub, view, identity, number, commit)
            case Commit(parent, above, anew):
                if anew or identity not in self.intents:
                    self.counter = self.intents[identity] = max(self.counter, above) + 1
                number = self.intents[identity]
                yield
                commit = hub.commit(parent, Trailers(identity, number, self.name))
                yield
                yield from self._tag(hub, view, identity, number, commit)
            case Stall():
                self.stalled.add(identity)
            case Wait():
                pass

    def _tag(self, hub: Hub, view: RepoView, identity: str, number: int, commit: str) -> Iterator[None]:
        hub.tags.setdefault(number, commit)
        yield
        if hub.tags[number] != commit:
            self.stalled.add(identity)
            return
        self._record(hub, view, identity, number, commit)

    def _record(self, hub: Hub, view: RepoView, identity: str, number: int, commit: str) -> None:
        self.seen = dict(view.seen)
        self.done[identity] = (number, commit)
        self.counter = max(self.counter, number)
        if hub.head == commit and not (self.guarded and pub.untagged(view, identity)):
            self.known = commit


def check(hub: Hub, publishers: list[Publisher]) -> None:
    """Nothing lost, nothing twice, numbers grow."""
    identities = {i for p in publishers for i in p.identities}
    contents = [c.said.identity for c in hub.log]
    assert sorted(contents) == sorted(identities), "lost, or committed twice"
    tagged = {commit: number for number, commit in hub.tags.items()}
    assert len(tagged) == len(hub.tags) == len(hub.log), "a commit without a tag, or with two"
    numbers = [tagged[c.commit] for c in hub.log]
    assert numbers == sorted(numbers), "the branch goes backwards"
    assert not any(p.stalled for p in publishers), "stalled though nobody interfered"


def alone(crashes: frozenset[int], *, loses: bool, guarded: bool = True) -> tuple[int, Hub, Publisher]:
    """One publisher that dies at the given ticks; others of its versions overtake the one that it had in hand."""
    hub, me = Hub(), Publisher("p", ("A", "B", "C"), guarded)
    later: dict[str, int] = {}
    tick = 0
    for turn in itertools.count():
        assert turn < 100, "does not come to an end"
        todo = [i for i in me.todo() if later.get(i, 0) <= turn]
        if not me.todo():
            return tick, hub, me
        for _ in me.publish(hub, todo[0]) if todo else ():
            tick += 1
            if tick in crashes:
                later[todo[0]] = turn + 3
                if loses:
                    me = Publisher("p", me.identities, guarded)
                break
    raise AssertionError


@pytest.mark.parametrize("loses", [False, True], ids=["registry kept", "registry lost"])
def test_every_pair_of_crashes(*, loses: bool) -> None:
    """Killed at any two effects, with or without its registry, a publisher loses nothing and doubles nothing."""
    ticks, *_ = alone(frozenset(), loses=loses)
    for crashes in itertools.chain.from_iterable(itertools.combinations(range(1, ticks + 8), k) for k in (0, 1, 2)):
        _, hub, me = alone(frozenset(crashes), loses=loses)
        check(hub, [me])


def test_the_guard_on_the_known_head_earns_its_place() -> None:
    """Without `untagged`, a version that died between commit and tag and was overtaken is committed a second time."""
    doubled = 0
    for crash in range(1, 20):
        _, hub, me = alone(frozenset({crash}), loses=False, guarded=False)
        doubled += len(hub.log) > len(me.identities)
    assert doubled


@pytest.mark.parametrize("shared", [(), ("S",), ("S", "T")], ids=["nothing shared", "one shared", "two shared"])
def test_two_publishers_interleaved(shared: tuple[str, ...]) -> None:
    """Two publishers on one repo, each crashing at will, publish every content once, also what both have."""
    for seed in range(400):
        chance, hub = random.Random(seed), Hub()  # noqa: S311 - a schedule, no secret
        both = [Publisher("p", ("A", *shared)), Publisher("q", (*shared, "B"))]
        hands: dict[str, Iterator[None]] = {}
        for turn in itertools.count():
            assert turn < 3000, "does not come to an end"
            busy = [p for p in both if p.todo() or p.name in hands]
            if not busy:
                break
            p = chance.choice(busy)
            hand = hands.pop(p.name, None) or p.publish(hub, chance.choice(p.todo()))
            try:
                next(hand)
            except (StopIteration, MovedError):
                continue
            if chance.random() > 0.1:
                hands[p.name] = hand
        check(hub, both)
