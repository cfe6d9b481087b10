"""discover: baseline and backlog, which checkpoints are wanted, labels, and roots that come and go."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from helpers.adapters import write_adapter
from steps.conftest import QUIET, Site

MakeSite = Callable[..., Site]


def run_of(site: Site, name: str = "support", *, final: bool = True, steps: tuple[int, ...] = (10, 20)) -> Path:
    """A run with checkpoints, and its final save."""
    run = site.root / name
    for step in steps:
        write_adapter(run / f"checkpoint-{step}", seed=step)
    if final:
        write_adapter(run, seed=99)
    return run


def test_what_was_there_is_the_baseline(make_site: MakeSite) -> None:
    """What lies in a root at its first scan is listed and not published; what changes or comes later is new."""
    site = make_site(checkpoints="all")
    run = run_of(site)
    assert site.rest() == []
    assert set(site.states().values()) == {"baseline"}
    write_adapter(run / "checkpoint-30", seed=30)
    write_adapter(run / "checkpoint-10", seed=11)
    assert sorted(v.step or 0 for v in site.rest()) == [10, 30]


def test_a_baseline_is_taken_once(make_site: MakeSite) -> None:
    """A restart takes no new baseline: what came while the daemon was down is new."""
    site = make_site(checkpoints="all").empty()
    site.restart()
    run_of(site, final=False)
    assert len(site.turn()) == 2


@pytest.mark.parametrize(
    ("backlog", "checkpoints", "taken"),
    [
        ("none", "all", set()),
        ("all", "all", {"a/checkpoint-10", "a/checkpoint-20", "a", "b-2026-01-01", "b-2026-02-01"}),
        ("all", "final", {"a", "b-2026-01-01", "b-2026-02-01"}),
        ("latest", "final", {"a", "b-2026-02-01"}),
        ("latest", "all", {"a", "b-2026-02-01"}),
    ],
)
def test_backlog(make_site: MakeSite, backlog: str, checkpoints: str, taken: set[str]) -> None:
    """`backlog` says what of the baseline is published: nothing, each adapter's latest, or all that is wanted."""
    site = make_site(backlog=backlog, checkpoints=checkpoints)
    run_of(site, "a")
    for seed, month in enumerate(("01", "02")):
        folder = write_adapter(site.root / f"b-2026-{month}-01", seed=seed)
        for path in folder.iterdir():
            os.utime(path, ns=(0, 10**18 + seed))
    site.rest()
    assert {path for path, state in site.states().items() if state == "settled"} == taken


def test_sync_takes_what_the_baseline_holds(make_site: MakeSite) -> None:
    """A person who names a directory gets it, whatever baseline and filter say, and without the quiet time."""
    site = make_site()
    run = run_of(site)
    site.turn()
    (version,) = site.turn(run / "checkpoint-10")
    assert version.step == 10


def test_a_root_that_appears_later(make_site: MakeSite) -> None:
    """A root that is absent at the start has an empty baseline: everything in it is new."""
    site = make_site(checkpoints="all")
    missing = site.scan()
    assert missing.problem is not None
    assert missing.problem.code == "root_missing"
    run_of(site, final=False)
    assert len(site.turn()) == 2


def test_a_root_that_is_unmounted_and_comes_back(make_site: MakeSite) -> None:
    """A root that comes back, as the directory that it was, keeps its baseline; what came meanwhile is new."""
    site = make_site(checkpoints="all")
    run = run_of(site)
    site.turn()
    site.root.rename(site.tmp / "away")
    assert site.scan().problem is not None
    assert set(site.states().values()) == {"baseline"}
    write_adapter(site.tmp / "away" / "support" / "checkpoint-30", seed=30)
    (site.tmp / "away").rename(site.root)
    (version,) = site.turn()
    assert version.step == 30
    assert run.is_dir()


def test_a_root_that_is_replaced(make_site: MakeSite) -> None:
    """Another directory at the root's path gets a baseline of its own."""
    site = make_site(checkpoints="all").empty()
    run_of(site)
    assert len(site.rest()) == 3
    site.root.rename(site.tmp / "old")
    run_of(site, "other")
    assert site.rest() == []
    assert site.seen("other").state == "baseline"
    write_adapter(site.root / "other" / "checkpoint-30", seed=30)
    assert len(site.turn()) == 1


def test_finals_alone_are_wanted_by_default(make_site: MakeSite) -> None:
    """With `checkpoints: final` a checkpoint stays an observation, however often it is looked at."""
    site = make_site().empty()
    run_of(site)
    (version,) = site.rest()
    assert version.final
    assert site.states() == {
        "support": "settled",
        "support/checkpoint-10": "unwanted",
        "support/checkpoint-20": "unwanted",
    }


def test_latest_takes_the_newest_checkpoint(make_site: MakeSite) -> None:
    """With `checkpoints: latest` each newest checkpoint is taken; one that was overtaken before stays out."""
    site = make_site(checkpoints="latest").empty()
    run_of(site, final=False)
    assert [v.step for v in site.turn()] == [20]
    write_adapter(site.root / "support" / "checkpoint-30", seed=30)
    assert [v.step for v in site.turn()] == [30]
    assert site.states()["support/checkpoint-10"] == "unwanted"


def test_a_setting_that_changes_takes_what_it_left_out(make_site: MakeSite) -> None:
    """After `checkpoints: all` what was unwanted before is wanted; it waits for quiet, since its state file is old."""
    site = make_site().empty()
    run_of(site, final=False)
    site.turn()
    site.options["checkpoints"] = "all"
    assert [v.step for v in site.rest()] == [10, 20]


def test_an_unfinished_run_is_listed(make_site: MakeSite) -> None:
    """A run without final save that stays quiet is listed, by its last checkpoint; a later one takes that back."""
    site = make_site(unfinished_after="1h").empty()
    run = run_of(site, final=False)
    assert site.rest(3599) == []
    assert set(site.states().values()) == {"unwanted"}
    for _ in range(3):
        site.clock.now += 3600
        assert site.turn() == []
        assert site.states() == {"support/checkpoint-10": "unwanted", "support/checkpoint-20": "unfinished"}
    write_adapter(run / "checkpoint-30", seed=30)
    site.turn()
    assert set(site.states().values()) == {"unwanted"}


def test_a_run_with_its_final_save_is_not_unfinished(make_site: MakeSite) -> None:
    """However long it is quiet, a run that ended with a final save is finished."""
    site = make_site(unfinished_after="1h").empty()
    run_of(site)
    site.rest(7200)
    assert "unfinished" not in set(site.states().values())


def test_an_unfinished_run_becomes_a_candidate(make_site: MakeSite) -> None:
    """With `unfinished: candidate` its last checkpoint is taken, and stays marked for the channel."""
    site = make_site(unfinished_after="1h", unfinished="candidate").empty()
    run_of(site, final=False)
    site.turn()
    site.clock.now += 3600
    (version,) = site.rest()
    assert version.step == 20
    assert site.seen("support/checkpoint-20").reason == "unfinished"
    assert site.seen("support/checkpoint-20").state == "settled"
    assert site.scan().pending == ()


def test_labels_go_with_the_version(site: Site) -> None:
    """What adapterd.yaml says of a run is recorded with each of its versions; its name goes before the template."""
    run = site.root / "20260131-101112"
    write_adapter(run / "checkpoint-5")
    (run / ad.LABELS).write_text("adapter: support-lora\nlicense: mit\ndatasets: [org/tickets]\n")
    (version,) = site.turn()
    assert version.adapter == "acme/support-lora"
    assert version.labels == {"adapter": "support-lora", "license": "mit", "datasets": ["org/tickets"]}


def test_publish_no(site: Site) -> None:
    """`publish: no` keeps a run off the Hub; when it is taken back, what is there is taken."""
    run = run_of(site, final=False, steps=(5,))
    (run / ad.LABELS).write_text("publish: no\n")
    assert site.rest() == []
    assert site.states() == {"support/checkpoint-5": "unwanted:unwanted_by_label"}
    (run / ad.LABELS).write_text("publish: yes\n")
    assert len(site.rest()) == 1


@pytest.mark.parametrize(
    "text", ["adapter: [", "adapter: 'not a name'", "publish: perhaps", "publsh: no", "x" * 70_000, "", None]
)
def test_labels_that_cannot_be_read_stall(site: Site, text: str | None) -> None:
    """It may say `publish: no`, and so may one that is not written yet: a person corrects it, whoever asks."""
    run = run_of(site, final=False, steps=(5,))
    if text is None:
        (run / ad.LABELS).mkdir()
    else:
        (run / ad.LABELS).write_text(text)
    assert site.rest() == []
    assert site.turn(run / "checkpoint-5") == []
    assert site.states() == {"support/checkpoint-5": "stalled:bad_labels"}
    assert "\0" not in site.seen("support/checkpoint-5").message
    if text is None:
        (run / ad.LABELS).rmdir()
    else:
        (run / ad.LABELS).unlink()
    (version,) = site.rest()
    assert version.labels == {}


def test_the_message_of_bad_labels_says_what_was_meant(site: Site) -> None:
    """A mistyped key stalls on one line that names the run's file, the line, the key and the one that was meant."""
    run = run_of(site, final=False, steps=(5,))
    (run / ad.LABELS).write_text("license: mit\npublsh: no\nlanguag: de\n")
    assert site.rest() == []
    message = site.seen("support/checkpoint-5").message
    assert message.startswith("support/adapterd.yaml:2: publsh: is no key here; expected adapter, publish,")
    assert "; try: publish, if that was meant; support/adapterd.yaml:3: languag: " in message
    assert message.endswith("; try: language, if that was meant")
    assert "\n" not in message


def test_scanning_again_writes_nothing(make_site: MakeSite) -> None:
    """Observations that say the same are not written again, whatever state they are in."""
    site = make_site().empty()
    run_of(site)
    run_of(site, "outputs")
    (site.root / "half").mkdir()
    (site.root / "half" / ad.CONFIG).touch()
    site.rest()
    before = site.registry.observations(str(site.root))
    for _ in range(3):
        site.clock.now += QUIET
        site.turn()
        assert site.registry.observations(str(site.root)) == before


def test_an_unreadable_root_is_a_problem_and_no_error(site: Site) -> None:
    """A root that turns into a file is told as missing; what was seen in it stays."""
    write_adapter(site.root / "support" / "checkpoint-5")
    site.turn()
    site.root.rename(site.tmp / "away")
    site.root.touch()
    scan = site.scan()
    assert scan.problem is not None
    assert scan.problem.hint
    assert site.states() == {"support/checkpoint-5": "settled"}
