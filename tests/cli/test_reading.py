"""status, list and show read a real registry, with and without a daemon."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.control import ControlServer
from adapterd.core.reasons import reason
from adapterd.core.version import Stage
from adapterd.ports import ChannelRecord, NotFound, Observation, RepoRecord, Validation
from adapterd.registry import open_registry

if TYPE_CHECKING:
    from cli.conftest import Make


def run(*arguments: str) -> str:
    """Run a verb in this process; what it wrote to standard output."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def parsed(*arguments: str) -> dict[str, Any]:
    """The document that a verb wrote."""
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    assert found["schema"] == 1
    return found


@pytest.fixture(autouse=True)
def _configured(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training host's shell names its configuration."""
    monkeypatch.setenv("ADAPTERD_CONFIG", str(host))


def test_status_names_what_waits_for_a_person() -> None:
    """Without a daemon it says so, counts versions by stage, and shows every stall with its hint."""
    said = run("status")
    assert "daemon: not running" in said
    assert "1 published" in said
    assert "1 rejected" in said
    assert "acme/support@id:333333333333: base_not_at_hand" in said
    assert "Try: run `adapterd base fetch`" in said
    assert "odd: generic_name" in said
    found = parsed("status")
    assert found["daemon"] is None
    assert [v["reason"] for v in found["stalled"]] == ["base_not_at_hand"]
    assert [o["path"] for o in found["stalled_directories"]] == ["odd"]


def test_status_asks_a_running_daemon(host: Path) -> None:
    """With one it adds what the daemon says of itself: roots, lanes, problems."""
    root = {"path": "/train", "known": 3, "problem": "", "message": "gone", "hint": "mount it", "events": "on"}
    health = {"version": "0.1.0", "publisher": "adapterd-1", "ready": True, "alive": True, "roots": [root]}
    health["spool"] = {"used": 3 * 1024**3 // 2, "most": 200 * 1024**3, "free": 500}
    health["audit"] = {"at": time.time() - 7200, "drift": {"tag_missing": 2}}
    with ControlServer(host.parent / "run" / "control.sock", {"status": lambda _: {"health": health}}):
        assert parsed("status")["daemon"] == health
        said = run("status")
    assert "spool: 1.5 GiB of 200.0 GiB, 500 bytes free on its disk" in said
    assert "audit: 2 drift found, 2 h ago" in said
    assert "daemon: running, ready, publisher adapterd-1" in said
    assert "root /train: 3 adapter directories, events on" in said
    assert "Try: mount it" in said


@pytest.fixture
def observe(host: Path) -> Callable[..., None]:
    """Write down what a scan would have seen of a directory."""

    def do(path: str, state: str, reason: str = "", message: str = "", hint: str = "") -> None:
        root = str(host.parent / "train")
        seen = Observation(root, path, state, "print", reason=reason, message=message, hint=hint)
        with open_registry(host.parent / "state" / "registry.db", clock=lambda: 0.0) as registry:
            registry.observe([seen])

    return do


def test_status_names_what_waits_and_what_was_rejected(observe: Callable[..., None]) -> None:
    """What moves by itself and what is over have a place beside what a person must act on, as on the page."""
    observe("bad", "refused", "pickle_only", "there is a pickle", "save again")
    observe("fresh", "waiting", "quiet_time", "unchanged for 1.0 s of 30 s")
    said = run("status")
    assert "bad: pickle_only: there is a pickle" in said
    assert "fresh: quiet_time\n  unchanged for 1.0 s of 30 s" in said
    assert "acme/support@id:222222222222: no_effect: not one of the 3 layers is changed by it" in said
    found = parsed("status")
    assert [d["path"] for d in found["refused_directories"]] == ["bad"]
    assert [d["path"] for d in found["waiting_directories"]] == ["fresh"]
    assert [v["reason"] for v in found["rejected"]] == ["no_effect"]


def test_status_and_show_say_what_channels_do_not_take_and_why(host: Path) -> None:
    """A held channel with the version that it would take; one that failed again with the channel that holds it."""
    said = {"holds": [{"channel": "main", "actor": "ada", "reason": "a fair", "at": 0.0}]}
    with open_registry(host.parent / "state" / "registry.db", clock=lambda: 0.0) as registry:
        registry.save_repo(RepoRecord("acme/support", standing_head="a" * 40, standing=said))
    text = run("status")
    assert "held back from channels:\nacme/support@main: channel_held\n  v1 would go to main, which is held\n" in text
    assert "`adapterd release" in text
    (held,) = parsed("status")["held_back"]
    assert (held["channel"], held["holds"], held["number"], held["until"]) == ("main", None, 1, None)
    assert "not taken by channel main: channel_held: v1 would go to main" in run("show", "acme/support@v1")
    with open_registry(host.parent / "state" / "registry.db", clock=lambda: 0.0) as registry:
        version = registry.find("acme/support", number=1)
        assert version is not None
        report = {"verdict": "rejected", "reasons": [asdict(reason("non_finite", "NaN"))]}
        registry.report(Validation(version.id, version.tree, "policy-2", "rejected", report, 0.0))
        registry.save_channel(ChannelRecord("acme/support", "main", 1, "c" * 40, 1))
    text = run("status")
    assert "published, and does not pass any more:\nacme/support@v1, held by main: revalidation_failed" in text
    assert "did not pass: non_finite" in text
    (failing,) = parsed("status")["failing"]
    assert (failing["label"], failing["channels"]) == ("acme/support@v1", ["main"])


def test_status_says_when_what_waits_goes_on(host: Path) -> None:
    """A version that is tried again has the time of that, from now and on the clock."""
    later = time.time() + 3600
    with open_registry(host.parent / "state" / "registry.db", clock=lambda: 0.0) as registry:
        version = registry.find("acme/support", identity="3" * 12)
        assert version is not None
        registry.retry(version.id, 0.0, "ada")
        claim = registry.claim(Stage.STAGED, "test", later, 60.0, 7200.0)
        assert claim is not None
        registry.wait(claim, later, reason("device_busy", "no room"), 0.0, failed=False)
    said = run("status")
    assert re.search(r"id:333333333333: device_busy, in \d+ (min|h) \(\d{4}-\d\d-\d\dT[0-9:]{8}[+-]\d\d:\d\d\)", said)
    history = run("show", "acme/support@id:33333333")
    assert not re.search(r"\d{9,}\.\d", history)
    assert "until 20" in history


def test_status_and_show_say_when_the_next_push_comes_and_why(host: Path) -> None:
    """The moment, the numbers of what it waits for, what the Hub still allows, and what is paused."""
    later = time.time() + 3600
    numbers = "0 of 1000 requests are left in the Hub's window"
    with open_registry(host.parent / "state" / "registry.db", clock=lambda: 0.0) as registry:
        version = registry.find("acme/support", identity="3" * 12)
        assert version is not None
        registry.retry(version.id, 0.0, "ada")
        claim = registry.claim(Stage.STAGED, "test", later, 60.0, 7200.0)
        assert claim is not None
        registry.advance(claim, Stage.VALIDATED, 0.0)
        claim = registry.claim(Stage.VALIDATED, "test", later, 60.0, 7200.0)
        assert claim is not None
        registry.wait(claim, later, reason("budget_spent", numbers), 0.0, failed=False)
    paused = [{"action": "commit", "until": later, "state": "open", "message": "a quota of commits"}]
    hub = {"requests": {"left": 12, "limit": 600}, "paused": paused}
    with ControlServer(host.parent / "run" / "control.sock", {"status": lambda _: {"health": {"hub": hub}}}):
        said = run("status")
    assert re.search(rf"next push at \d{{4}}-\d\d-\d\dT[0-9:]{{8}}\S+: {numbers}", said)
    assert "Hub: 12 requests left of 600 in five minutes" in said
    assert "paused, commit, tried again in" in said
    assert "a quota of commits" in said
    assert parsed("status")["next_push"]["message"] == numbers
    assert re.search(rf"next push at \S+: {numbers}", run("show", "acme/support@id:33333333"))
    assert parsed("show", "acme/support@id:33333333")["next_push"]["reason"] == "budget_spent"


def test_list_counts_what_was_rejected() -> None:
    """The column stands beside the stalled ones."""
    header, row = run("list").splitlines()
    assert header.split()[-1] == "rejected"
    assert row.split()[-1] == "1"


def test_list_shows_adapters_then_versions_then_directories() -> None:
    """Each adapter with its newest version; one adapter's versions, newest first; every directory seen."""
    (adapter,) = parsed("list")["adapters"]
    assert (adapter["adapter"], adapter["newest"], adapter["stalled"]) == ("acme/support", "v1", 1)
    versions = parsed("list", "acme/support")["versions"]
    assert [(v["tag"], v["stage"]) for v in versions] == [(None, "staged"), (None, "rejected"), ("v1", "published")]
    assert {d["path"] for d in parsed("list", "--directories")["directories"]} >= {"odd", "run-1"}
    said = run("list", "acme/support")
    assert "staged, stalled" in said
    assert "run-1 (final)" in said
    assert "odd" in run("list", "--directories")
    assert "acme/base" in run("list")


@pytest.mark.parametrize("at", ["@v1", "@" + "c" * 40, "@id:11111111"])
def test_show_finds_a_version_by_each_of_its_names(at: str) -> None:
    """Number, commit and identity show version, sightings, reports and events."""
    found = parsed("show", f"acme/support{at}")
    assert found["version"]["tag"] == "v1"
    assert [s["path"] for s in found["sightings"]] == ["run-1"]
    assert found["reports"][0]["measurements"]["effect"] == 0.25
    assert found["events"]


def test_show_tells_why_a_version_was_rejected() -> None:
    """The reason with its numbers and its hint stand at the top."""
    said = run("show", "acme/support@id:22222222")
    assert "rejected" in said.splitlines()[0]
    assert "no_effect: not one of the 3 layers is changed by it" in said
    assert "Try: the adapter changes no weight" in said


def test_show_tells_of_gates_and_waivers() -> None:
    """What each gate said, its numbers, and who set which reason aside, and why."""
    said = run("show", "acme/support@v1")
    assert "gate evaluate: exit code 3 after 2 s" in said
    assert re.search(r"gate\.acc +0\.5", said)
    assert "waived gate_refused by ada: known" in said


def test_show_path_adds_what_became_of_a_directory(whole: Path, make: "Make") -> None:
    """A directory below a root comes with its observation and its version's history; a new one is not seen yet."""
    found = parsed("show", str(whole))
    assert (found["code"], found["observation"]["state"]) == ("adapter", "settled")
    assert found["history"]["version"]["tag"] == "v1"
    assert "acme/support@v1: published" in run("show", str(whole))
    new = make("run-9", {"adapter_config.json": True, "adapter_model.safetensors": True})
    assert "not seen by a scan yet" in run("show", str(new))


def test_show_gives_one_diagnosis(make: "Make", observe: Callable[..., None]) -> None:
    """A broken pair that still waits is told as what it is now, and when it is judged; not as two things at once."""
    place = make("odd-one", {"adapter_config.json": True, "adapter_model.bin": b"pickle"})
    observe("odd-one", "waiting", "half_written", "the pair is not whole", "the trainer is still writing")
    said = run("show", str(place))
    assert "no adapter directory to publish: pickle_only" in said
    assert re.search(r"waiting; it is judged finally after settle\.patience \(.+\) without a change", said)
    assert "half_written" not in said
    assert "still writing" not in said


def test_show_tells_a_directory_that_was_given_up(make: "Make", observe: Callable[..., None]) -> None:
    """Half a pair that nobody completed is told with the final reason, not as one that is being written."""
    place = make("half", {"adapter_config.json": True})
    observe("half", "refused", "abandoned", "the weights never came", "it is looked at again when anything changes")
    said = run("show", str(place))
    assert "no adapter directory to publish: abandoned\n  the weights never came" in said
    assert "still writing" not in said


def test_show_says_what_to_do_about_the_baseline(make: "Make", observe: Callable[..., None]) -> None:
    """What was there before the daemon comes with the command that publishes it."""
    place = make("old one", {"adapter_config.json": True, "adapter_model.safetensors": True})
    observe("old one", "baseline")
    assert f"`adapterd sync '{place}'` publishes it" in run("show", str(place))


def test_show_says_what_no_scan_takes(make: "Make") -> None:
    """A directory below a root that is no adapter directory is not one that a scan will come to yet."""
    assert "a scan passes it over" in run("show", str(make("notes", {"notes.txt": b"x"})))


def test_show_of_what_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path looks like an adapter's name; an unknown number is told with the newest one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="neither a directory here nor an adapter that the registry knows"):
        run("show", "train/nope")
    with pytest.raises(NotFound, match="its newest version is v1"):
        run("show", "acme/support@v9")


def test_a_history_is_told_in_words() -> None:
    """Moves say where from, a flag is yes, and the base is the one that the series is bound to."""
    said = run("show", "acme/support@v1")
    assert "from staged" in said
    assert re.search(r"^final +yes$", said, re.MULTILINE)
    assert "was staged" not in said
    assert "True" not in said
    assert re.search(r"^base +acme/base$", said, re.MULTILINE)
    assert "  largest weight change" in said
