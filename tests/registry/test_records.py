"""What is remembered of repos and channels, and what can be asked."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import Stage
from adapterd.ports import ChannelRecord, Registry, RegistryError, RepoRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.conftest import Trainer

REPO = RepoRecord(
    "acme/support",
    versions_head="a" * 40,
    readme=b"\x00card",
    paths=("adapter_config.json", "adapter_model.safetensors"),
    seen={"1" * 64: [3, "c" * 40]},
    standing_head="b" * 40,
    standing={"yanked": {"3": {"actor": "alice"}}},
    private=True,
)
CHANNEL = ChannelRecord("acme/support", "main", 3, "c" * 40, 4)


def test_repo(registry: Registry) -> None:
    """What was seen of a repo is remembered, and what is seen later takes its place."""
    assert registry.repo("acme/support") is None
    registry.save_repo(REPO)
    assert registry.repo("Acme/Support") == REPO
    bare = RepoRecord("acme/support", adopted=True)
    registry.save_repo(bare)
    assert registry.repo("acme/support") == bare


def test_channel(registry: Registry) -> None:
    """Channels are remembered each for itself."""
    beta = replace(CHANNEL, channel="beta", reason="channel_drift", stalled=True, due_at=4.5, attempts=2)
    other = replace(CHANNEL, adapter="acme/other")
    for record in (CHANNEL, beta, other):
        registry.save_channel(record)
    moved = replace(CHANNEL, number=4)
    registry.save_channel(moved)
    assert list(registry.channels("acme/support")) == [beta, moved]
    assert list(registry.channels()) == [other, beta, moved]


def test_generation(registry: Registry, trainer: "Trainer") -> None:
    """The generation grows with what the index could show, and with nothing else."""
    first = trainer.draft()
    steps: dict[str, Callable[[], object]] = {
        "published": lambda: trainer.published(registry, identity=first.identity),
        "visibility": lambda: registry.save_repo(replace(REPO, standing={})),
        "standing": lambda: registry.save_repo(REPO),
        "seen as a final": lambda: registry.intake(replace(first, path="final", final=True), trainer.now),
        "seen elsewhere": lambda: registry.intake(replace(first, path="copy"), trainer.now),
        "standing again": lambda: registry.save_repo(replace(REPO, versions_head="e" * 40)),
        "channel": lambda: registry.save_channel(CHANNEL),
        "channel waits": lambda: registry.save_channel(replace(CHANNEL, due_at=9.0, attempts=1)),
        "channel moves": lambda: registry.save_channel(replace(CHANNEL, number=4)),
        "restored": lambda: registry.restore(trainer.draft(), 50, "f" * 40, trainer.now),
        "bound": lambda: registry.bind("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM"),
        "bound again": lambda: registry.bind("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM"),
        "new series": lambda: registry.bind("acme/new", "/train", "acme/base", "LORA", "CAUSAL_LM"),
        "observed": lambda: registry.observe([trainer.observation()]),
        "staged": lambda: trainer.staged(registry),
    }
    grown = {}
    for name, step in steps.items():
        before = registry.generation()
        step()
        grown[name] = registry.generation() - before
    unseen = {"seen elsewhere", "standing again", "channel waits", "bound again", "new series", "observed", "staged"}
    assert {name for name, by in grown.items() if by == 0} == unseen
    assert min(grown.values()) == 0


def test_find(registry: Registry, trainer: "Trainer") -> None:
    """A version is found by its number, or by the beginning of its identity; never another adapter's."""
    version = trainer.published(registry, identity="abcdef01" + "0" * 56)
    trainer.published(registry, adapter="acme/other", identity="abcdef01" + "0" * 56)
    assert registry.find("acme/support", number=1) == version
    assert registry.find("Acme/Support", number=1) == version
    assert registry.find("acme/support", number=2) is None
    assert registry.find("acme/support", identity="ABCDEF01") == version
    assert registry.find("acme/support", identity="abcdef02") is None
    assert registry.find("acme/support", identity="%%%%%%%%") is None


def test_find_needs_enough_digits(registry: Registry, trainer: "Trainer") -> None:
    """A short prefix is refused, and one that fits two versions asks for more digits."""
    for tail in "12":
        trainer.staged(registry, identity="abcdef01" + tail * 56)
    with pytest.raises(ValueError, match="8 digits or more"):
        registry.find("acme/support", identity="abcdef0")
    with pytest.raises(ValueError, match="by its number or by its identity"):
        registry.find("acme/support")
    with pytest.raises(RegistryError, match="fits several versions"):
        registry.find("acme/support", identity="abcdef01")
    assert registry.find("acme/support", identity="abcdef012") is not None


def test_histories_tell_which_channel_holds_a_version(registry: Registry, trainer: "Trainer") -> None:
    """From when and until when, and what came then; saving the same again adds nothing."""
    one, two = trainer.published(registry), trainer.published(registry)
    for number in (1, 1, 2):
        registry.save_channel(ChannelRecord("acme/support", "main", number, "c" * 40, number))
    told = [
        [(e.kind, dict(e.detail)) for e in registry.events(v.id) if e.kind.startswith("channel_")] for v in (one, two)
    ]
    left = ("channel_left", {"channel": "main", "to": 2})
    assert told == [[("channel_entered", {"channel": "main"}), left], [("channel_entered", {"channel": "main"})]]


@pytest.mark.parametrize(("verdict", "kind"), [("passed", "revalidation_passed"), ("rejected", "revalidation_failed")])
def test_a_report_on_what_is_published_changes_nothing_but_the_history(
    registry: Registry, trainer: "Trainer", verdict: str, kind: str
) -> None:
    """The version stays as it is; the index may look different; what is not published takes no such report."""
    version, staged = trainer.published(registry), trainer.staged(registry)
    before = registry.generation()
    registry.report(trainer.report(version, verdict))
    assert registry.version(version.id) == version
    assert [row.verdict for row in registry.validations(version.id)] == ["passed", verdict]
    assert registry.events(version.id)[-1].kind == kind
    assert registry.generation() > before
    with pytest.raises(ValueError, match="only what is published"):
        registry.report(trainer.report(staged))
    with pytest.raises(ValueError, match="another tree"):
        registry.report(replace(trainer.report(version), tree="0" * 64))


def test_versions(registry: Registry, trainer: "Trainer") -> None:
    """Versions are listed newest first, of one adapter, in one stage, so many."""
    published = trainer.published(registry)
    staged = [trainer.staged(registry) for _ in range(3)]
    other = trainer.staged(registry, adapter="acme/other")
    newest_first = [other, *reversed(staged), published]
    assert list(registry.versions()) == newest_first
    assert list(registry.versions("ACME/support")) == newest_first[1:]
    assert list(registry.versions(stage=Stage.PUBLISHED)) == [published]
    assert list(registry.versions("acme/support", Stage.STAGED, 2)) == newest_first[1:3]
    assert registry.version(99) is None
    assert registry.intent(staged[0].id) is None


def test_versions_that_came_later(registry: Registry, trainer: "Trainer") -> None:
    """What a channel has not seen yet is asked for by number, and whether it is a final save."""
    assert registry.newest_finals() == {}
    first, second = trainer.published(registry, final=True), trainer.published(registry)
    third = trainer.published(registry, final=True)
    trainer.published(registry, adapter="acme/checkpoints")
    trainer.staged(registry, final=True)
    assert list(registry.versions("acme/support", above=1)) == [third, second]
    assert list(registry.versions("acme/support", above=0, final=True)) == [third, first]
    assert list(registry.versions("acme/support", Stage.PUBLISHED, above=2, final=False)) == []
    assert registry.newest_finals() == {"acme/support": 3}


def test_versions_by_what_was_seen_of_them_last(registry: Registry, trainer: "Trainer") -> None:
    """The newest published one that an observation gives a reason for; what is not published has no number to tell."""
    assert registry.newest_observed("unfinished") == {}
    published = [trainer.published(registry) for _ in range(3)]
    for version in (*published[:2], trainer.staged(registry, adapter="acme/other")):
        seen = trainer.observation(f"of-{version.id}", state="unfinished", reason="unfinished", version=version.id)
        registry.observe([seen])
    assert registry.newest_observed("unfinished") == {"acme/support": 2}
    assert registry.newest_observed("source_gone") == {}


def test_counts(registry: Registry, trainer: "Trainer") -> None:
    """Every version is counted once, a stalled one as such; every observation by its state."""
    assert registry.counts() == {str(stage): 0 for stage in Stage} | {"stalled": 0}
    trainer.published(registry)
    trainer.staged(registry)
    registry.stall(trainer.claim(registry, Stage.STAGED), reason("bug", "KeyError"), trainer.now)
    trainer.staged(registry)
    registry.observe([trainer.observation("x", state="unwanted")])
    counts = {name: count for name, count in registry.counts().items() if count}
    assert counts == {"published": 1, "staged": 1, "stalled": 1, "observed_settled": 3, "observed_unwanted": 1}


def test_readers_see_what_was_acknowledged(registry: Registry, trainer: "Trainer") -> None:
    """What a write returned can be read at once."""
    for _ in range(5):
        version = trainer.staged(registry)
        assert registry.version(version.id) == version
