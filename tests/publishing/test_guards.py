"""Each guard of publishing earns its place: without it, a schedule breaks a truth that holds with it.

The guards are those of `docs/line.md`. To take one away, our own code is patched here, and only here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapterd.core import adapter as ad
from adapterd.core import publication as pub
from adapterd.core.version import AdapterVersion
from adapterd.hub.server import RunningHub
from adapterd.ports import Claim, Conflict, Intent, Refs
from adapterd.spool import Snapshot, Spool
from publishing.yard import Yard

OVER = 3000.0
"""Seconds after which every lease has run out."""

decide = pub.decide


# --- without them ---


def _again(view: pub.RepoView, reserved: int | None) -> pub.Decision:
    newest = pub.newest_number(view)
    return pub.Commit(view.head, newest, anew=reserved is not None and reserved <= newest)


def without_asking(version: AdapterVersion, view: pub.RepoView, publisher: str, reserved: int | None) -> pub.Decision:
    """What the Hub holds under a tag is not looked for."""
    found = decide(version, view, publisher, reserved)
    return _again(view, reserved) if isinstance(found, pub.Adopt) else found


def without_trailers(version: AdapterVersion, view: pub.RepoView, publisher: str, reserved: int | None) -> pub.Decision:
    """A commit of ours without a tag is not found."""
    found = decide(version, view, publisher, reserved)
    return _again(view, reserved) if isinstance(found, pub.Finish) else found


def without_its_own_number(
    version: AdapterVersion, view: pub.RepoView, publisher: str, reserved: int | None
) -> pub.Decision:
    """A commit of ours without a tag gets the next number, not its own."""
    found = decide(version, view, publisher, reserved)
    return replace(found, number=pub.newest_number(view) + 1) if isinstance(found, pub.Finish) else found


def without_renumbering(
    version: AdapterVersion, view: pub.RepoView, publisher: str, reserved: int | None
) -> pub.Decision:
    """A number that was overtaken is used all the same."""
    found = decide(version, view, publisher, reserved)
    return replace(found, anew=False) if isinstance(found, pub.Commit) else found


class Around:
    """A port with some of its methods replaced."""

    def __init__(self, port: Any) -> None:  # noqa: ANN401 - any port
        """Stand before `port`."""
        self.port = port

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's attribute."""
        return getattr(self.port, name)


class Forgetful(Around):
    """A registry whose intents live in memory: number and bytes are not durable before the first effect."""

    def intent(self, version_id: int) -> Intent | None:  # noqa: ARG002 - the port's
        """Remember nothing."""
        return None

    def plan(self, claim: Claim, above: int, render: Callable[[int], Intent], **_: object) -> Intent:
        """Take a number above all that are known, and write nothing down."""
        known = [v.number or 0 for v in self.port.versions(claim.version.adapter)]
        return render(max(above, *known) + 1)


class Overwriting(Around):
    """A Hub that is never told the parent that was read."""

    def commit(self, repo: str, branch: str, parent: str, *rest: Any) -> str:  # noqa: ANN401, ARG002 - the port's
        """Commit on whatever is there."""
        return str(self.port.commit(repo, branch, self.port.refs(repo).branches[branch], *rest))


class Believing(Around):
    """A Hub whose tags are believed to be what was asked for."""

    def __init__(self, port: Any) -> None:  # noqa: ANN401 - any port
        """Nothing is asked for yet."""
        super().__init__(port)
        self.asked: dict[str, str] = {}

    def create_tag(self, repo: str, tag: str, commit: str) -> None:
        """Tag it, or believe so."""
        self.asked[tag] = commit
        try:
            self.port.create_tag(repo, tag, commit)
        except Conflict:
            return

    def refs(self, repo: str) -> Refs:
        """What is there, and what is believed."""
        found = self.port.refs(repo)
        return Refs(found.branches, {**found.tags, **self.asked})


def as_it_lies(self: Spool, adapter: str, tree: str) -> Snapshot:
    """A snapshot as it is read, whatever was copied."""
    payload = self.payload(adapter, tree)
    files = {path.name: (ad.digest_of(path.read_bytes()), path.stat().st_size) for path in payload.iterdir()}
    config = ad.parse_config((payload / ad.CONFIG).read_bytes())
    digests = {name: digest for name, (digest, _) in files.items()}
    return Snapshot(payload, tree, ad.identity_digest(config.fields, digests), files, config, ())


# --- the schedules ---


def published_and_forgotten(yard: Yard) -> None:
    """A version is published, and the registry is lost."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish")
    yard.lose_registry("a", rebuild=False)


def dies_between_commit_and_tag(yard: Yard) -> None:
    """The process dies between commit and tag."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish", "after commit")
    yard.power_cut("a")


def overtaken_between_commit_and_tag(yard: Yard) -> None:
    """A hand dies between commit and tag, and another version is published above."""
    yard.bring("a", 0, 1)
    yard.work("a", "x", "publish", "after commit")
    yard.kill("a", "x")
    yard.work("a", "y", "publish")


def superseded_between_commit_and_tag(yard: Yard) -> None:
    """A checkpoint's process dies between commit and tag; then a later checkpoint of its run passes."""
    yard.bring("a", 0, step=5)
    yard.work("a", "x", "publish", "after commit")
    yard.power_cut("a")
    yard.bring("a", 1, step=5)


def overtaken_before_its_commit(yard: Yard) -> None:
    """While a publisher is about to commit, another one publishes under the same number."""
    yard.bring("a", 0)
    yard.bring("b", 1)
    yard.work("a", "x", "publish", "before commit")
    yard.work("b", "x", "publish")


def sleeps_before_its_commit(yard: Yard) -> None:
    """A hand sleeps before its commit until another one has published its version and the next."""
    yard.bring("a", 0, 1)
    yard.work("a", "x", "publish", "before commit")
    yard.pass_time("a", OVER)
    yard.work("a", "y", "publish")
    yard.work("a", "y", "publish")


def tagged_by_hand(yard: Yard) -> None:
    """Just before a version is tagged, somebody uses its number for something else."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish", "before create_tag")
    yard.person_tags(1, version=False)


def rots_before_publishing(yard: Yard) -> None:
    """The disk loses bytes after they were validated."""
    yard.bring("a", 0)
    yard.rot("a")


def rots_before_the_commit(yard: Yard) -> None:
    """The disk loses bytes after they were hashed for the last time."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish", "before commit")
    yard.rot("a")


@dataclass(frozen=True)
class Guard:
    """A guard, how to be without it, the schedule that needs it, and the truth that breaks."""

    name: str
    schedule: Callable[[Yard], None]
    breaks: str
    patch: tuple[object, str, object] | None = None
    names: str = "a"
    options: tuple[tuple[str, object], ...] = ()
    """How the yard is without the guard."""
    checkpoints: str = "all"


GUARDS = (
    Guard("1 ask the Hub first", published_and_forgotten, "committed before", (pub, "decide", without_asking)),
    Guard("2 trailers", dies_between_commit_and_tag, "committed before", (pub, "decide", without_trailers)),
    Guard("2 its own number", overtaken_between_commit_and_tag, "stalled", (pub, "decide", without_its_own_number)),
    Guard(
        "3 intent first",
        superseded_between_commit_and_tag,
        "has no tag",
        options=(("wrap_registry", Forgetful),),
        checkpoints="latest",
    ),
    Guard("4 numbers", overtaken_before_its_commit, "went from v1 back", (pub, "decide", without_renumbering), "ab"),
    Guard("5 compare-and-swap", sleeps_before_its_commit, "committed before", options=(("wrap_hub", Overwriting),)),
    Guard("6 compare the tag", tagged_by_hand, "registry and tag disagree", options=(("wrap_hub", Believing),)),
    Guard("7 hash again", rots_before_publishing, "never passed", (Spool, "snapshot", as_it_lies)),
    Guard("7 compare the tree", rots_before_the_commit, "other bytes", (pub, "differences", lambda *_, **__: ())),
)


@pytest.fixture
def make_yard(hub: RunningHub, tmp_path: Path, template: Path, adapter: str) -> Iterator[Callable[..., Yard]]:
    """Make yards; each is closed in the end."""
    made: list[Yard] = []

    def make(guard: Guard, **options: Any) -> Yard:  # noqa: ANN401 - those of a yard
        yard = Yard(
            tmp_path / str(len(made)),
            hub.endpoint,
            adapter,
            template,
            guard.names,
            checkpoints=guard.checkpoints,
            **options,
        )
        made.append(yard)
        return yard

    yield make
    for yard in made:
        yard.close()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_with_all_guards_the_schedule_breaks_nothing(guard: Guard, make_yard: Callable[..., Yard]) -> None:
    """Whatever the schedule does, every truth holds, and it comes to its end."""
    yard = make_yard(guard)
    guard.schedule(yard)
    yard.settle()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_the_guard_a_truth_breaks(
    guard: Guard, make_yard: Callable[..., Yard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same schedule, the guard away: the truth that it is there for does not hold."""
    if guard.patch is not None:
        monkeypatch.setattr(*guard.patch)
    yard = make_yard(guard, **dict(guard.options))
    with pytest.raises(AssertionError, match=guard.breaks):
        _play(guard, yard)


def _play(guard: Guard, yard: Yard) -> None:
    guard.schedule(yard)
    yard.settle()
