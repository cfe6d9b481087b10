"""What is kept, and what goes, with the reason for each."""

from dataclasses import dataclass, replace

import pytest

from adapterd.core import retention
from adapterd.core.retention import HubRules, Kept, Lying, Rules, Series
from adapterd.core.version import AdapterVersion, Stage

DAY = 86400.0
NOW = 100 * DAY
RULES = Rules(snapshots=1, snapshots_for=DAY, rejected_for=14 * DAY)


def version(number: int, stage: Stage = Stage.PUBLISHED, *, days: float = 50, final: bool = False) -> AdapterVersion:
    """A version that moved last so many days ago; its number is also its row."""
    tree, identity = f"{number:064x}", f"{number + 1000:064x}"
    published = {"number": number, "commit": "c" * 40} if stage is Stage.PUBLISHED else {}
    at = NOW - days * DAY
    return AdapterVersion(number, "acme/a", identity, tree, number, stage, final=final, updated_at=at, **published)  # type: ignore[arg-type]  # by name


def lies(of: AdapterVersion, *, tree: str = "") -> Lying:
    """Its snapshot, or another copy of it."""
    return Lying(of.adapter, tree or of.tree, of.identity, 10, NOW - 60 * DAY)


NEWEST = version(9, days=40)


@pytest.mark.parametrize(
    ("one", "stays", "why"),
    [
        (version(1, Stage.STAGED), True, "it is staged"),
        (version(1, Stage.VALIDATED), True, "it is validated"),
        (replace(version(1, Stage.VALIDATED), stalled=True, reason="denied"), True, "it is stalled"),
        (version(1), False, "it is published"),
        (version(1, days=0.5), True, "published; 12 h left"),
        (version(2), True, "a channel holds it"),
        (NEWEST, True, "it is among the newest 1 that are published"),
        (version(1, Stage.SUPERSEDED), False, "it is superseded"),
        (version(1, Stage.SUPERSEDED, days=0.5), True, "superseded; 12 h left"),
        (version(1, Stage.REJECTED), False, "it is rejected"),
        (version(1, Stage.REJECTED, days=7), True, "rejected; 7 d left"),
        (replace(version(1, Stage.REJECTED, days=0), reason="erased"), False, "it was erased"),
        (version(3, days=0), False, "it was erased"),
    ],
)
def test_a_snapshot_stays_while_its_version_may_need_it(one: AdapterVersion, *, stays: bool, why: str) -> None:
    """Live and stalled ones always; the newest published; what a channel holds; others for their time; erased never."""
    erased = {"acme/a": {version(3).identity}}
    (fate,) = retention.fates([lies(one)], [NEWEST, one], {("acme/a", 2)}, erased, RULES, NOW)
    assert (fate.stays, fate.why) == (stays, why)


def test_who_keeps_none_keeps_none() -> None:
    """With `snapshots: 0` neither the newest nor what a channel holds stays longer than its time."""
    rules = replace(RULES, snapshots=0)
    (fate,) = retention.fates([lies(NEWEST)], [NEWEST], {("acme/a", 9)}, {}, rules, NOW)
    assert fate.stays is False


def test_a_repaired_trees_first_copy_stays_as_long_as_its_version_is_live() -> None:
    """It has the sidecar that a rebuild needs; once the version is done it is one copy too many."""
    one = version(1, Stage.STAGED)
    other = lies(one, tree="e" * 64)
    assert retention.fates([other], [one], (), {}, RULES, NOW)[0].stays is True
    done = version(1, days=0)
    (fate,) = retention.fates([other], [done], (), {}, RULES, NOW)
    assert (fate.stays, fate.why) == (False, "another copy of acme/a@v1, which is published")


def test_a_snapshot_that_the_registry_does_not_know() -> None:
    """One with a sidecar is taken up at the next start; one without goes once it cannot be under way any more."""
    known = Lying("acme/a", "a" * 64, "b" * 64, 10, 0.0)
    fresh, old = Lying("acme/a", "a" * 64, "", 10, NOW - 60), Lying("acme/a", "a" * 64, "", 10, NOW - 2 * DAY)
    found = retention.fates([known, fresh, old], [], (), {}, replace(RULES, snapshots_for=0.0), NOW)
    assert [fate.stays for fate in found] == [True, True, False]


def test_a_clock_that_was_set_back_lets_nothing_go() -> None:
    """What seems to have moved in the future is as young as can be."""
    one = version(1, days=-3)
    assert retention.fates([lies(one)], [NEWEST, one], (), {}, RULES, NOW)[0].stays is True


def test_a_report_is_cut_to_what_later_versions_are_compared_with() -> None:
    """Verdicts, codes, policy, the base's fingerprint and the losses stay; cut again it is the same."""
    report = {
        "verdict": "passed",
        "policy": "p",
        "policy_terms": {"base": "acme/base"},
        "base_fingerprint": "f",
        "reasons": [],
        "warnings": [{"code": "loss_not_lower", "message": "long", "hint": "long"}],
        "waivers": [{"code": "no_effect"}],
        "measurements": {"loss_adapter": 2.0, "loss_base": 3.0, "layers": [1, 2, 3]},
        "golden": {"texts": ["..."]},
        "engines": {"vllm": {"takes": "yes", "flags": ["--enable-lora"], "reasons": [{"text": "long"}]}},
        "log_tail": "...",
    }
    cut = retention.cut(report)
    assert cut == {
        "verdict": "passed",
        "policy": "p",
        "policy_terms": {"base": "acme/base"},
        "base_fingerprint": "f",
        "reasons": [],
        "warnings": [{"code": "loss_not_lower", "message": "", "hint": ""}],
        "waivers": [{"code": "no_effect"}],
        "measurements": {"loss_adapter": 2.0, "loss_base": 3.0},
        "engines": {"vllm": {"takes": "yes", "flags": ["--enable-lora"]}},
        "cut": True,
    }
    assert retention.cut(cut) == cut


@dataclass(frozen=True)
class _Observed:
    root: str
    path: str
    state: str
    changed_at: float


def test_directories_that_are_gone_are_forgotten_after_their_time_and_a_baseline_never() -> None:
    """What is there, what changed lately, what is on its way, and what was there at the first scan stay."""
    seen = [
        _Observed("/r", "gone", "settled", 0.0),
        _Observed("/r", "here", "settled", 0.0),
        _Observed("/r", "lately", "settled", NOW),
        *(_Observed("/r", state, state, 0.0) for state in ("baseline", "waiting", "stalled")),
        _Observed("/s", "missed", "source_gone", 0.0),
    ]
    found = retention.forgettable(seen, NOW - DAY, lambda _, path: path != "here")
    assert found == {"/r": ["gone"], "/s": ["missed"]}


def _goes(series: Series, rules: HubRules) -> list[int | None]:
    return [kept.version.number for kept in retention.on_hub(series, rules, NOW) if not kept.stays]


def test_the_policy_for_the_hub() -> None:
    """The newest, the young, finals, and what a channel ever held stay; yanked ones do not count, and go first."""
    versions = [version(n, final=n == 2) for n in range(1, 9)] + [version(9, days=10)]
    rules = HubRules(keep=2, keep_for=30 * DAY, keep_finals=True)
    assert _goes(Series(versions, held={3}), rules) == [1, 4, 5, 6, 7]
    assert _goes(Series(versions, held={3}), replace(rules, keep_finals=False)) == [1, 2, 4, 5, 6, 7]
    assert _goes(Series(versions, held={3}, yanked={8, 9, 6}), rules) == [6, 8, 1, 4]
    assert _goes(Series(versions, held={3}, erased={1, 4}), rules) == [5, 6, 7]
    assert _goes(Series(versions), replace(rules, keep=None)) == []
    kept = retention.on_hub(Series([version(1, Stage.VALIDATED)]), rules, NOW)
    assert kept == ()
    assert all(isinstance(each, Kept) and each.why for each in retention.on_hub(Series(versions), rules, NOW))
