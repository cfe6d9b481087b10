"""The status page, as a browser gets it."""

import re
from typing import Any

from adapterd.core.version import Stage
from adapterd.health import Health, LaneHealth, RootHealth
from adapterd.ports import ChannelRecord, Validation

NOW = 1_760_000_000.0
HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b"


def words(body: str) -> str:
    """The page's text without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body.partition("<body>")[2]))


def test_an_empty_registry_has_a_page_too(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """A daemon that has found nothing yet says so, and asks for nobody."""
    page = ask("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "No adapter has come to rest in a root yet." in page.body
    assert "Needs you" not in page.body
    assert 'http-equiv="refresh" content="5"' in page.body


def test_what_waits_for_a_person_stands_first_with_reason_and_hint(ask: Any, host: Any, health: Health) -> None:  # noqa: ANN401 - fixtures
    """Problems of daemon and roots, stalled versions, directories and channels come before all else."""
    host.published()
    host.stalled("base_not_at_hand", "acme/base is not at hand")
    host.seen("outputs", "stalled", "generic_name", "the name outputs says nothing")
    host.seen("links", "refused", "not_regular", "weights is a link")
    drift = ChannelRecord(
        "acme/support-lora", "main", reason="channel_drift", message="somebody moved it", stalled=True
    )
    host.registry.save_channel(drift)
    health.roots["/gone"] = RootHealth("/gone", problem="root_unreadable", message="no right to read", hint="chmod it")
    health.problems["token_missing"] = ("there is no token", "give one")
    body = ask("/").body
    needs, _, versions = words(body).partition("Versions")
    for said in (
        "acme/base is not at hand",
        "Try: run `adapterd base fetch`",
        "/train/outputs generic_name",
        "weights is a link",
        "acme/support-lora@main",
        "somebody moved it",
        "/gone root_unreadable no right to read Try: chmod it",
        "adapterd token_missing there is no token Try: give one",
    ):
        assert said in needs, said
    assert "published" in versions
    assert "<title>(1) adapterd</title>" in body


def test_what_waits_says_until_when(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """A version that waits out a rate limit is no trouble: it says when it goes on."""
    host.waiting(NOW + 600)
    host.seen("run-9", "waiting", "half_written", "the trainer writes")
    waiting = words(ask("/").body).partition("Waiting")[2]
    assert "rate_limited in 10 min" in waiting
    assert "/train/run-9 half_written" in waiting
    assert "Needs you" not in waiting


def test_versions_show_stage_tag_reason_and_loss(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """Each version has its line: name, stage, reason where it has one, loss without and with the adapter, run."""
    host.published()
    host.rejected("not one of 28 layers is changed")
    body = ask("/").body
    text = words(body)
    assert re.search(r"acme/support-lora\s+v1\s+published\s+3.250 → 2.125\s+run-1 · step 100 · final", text)
    assert re.search(r"acme/broken-lora\s+id:\w{8}\s+rejected\s+no_effect", text)
    assert "not one of 28 layers is changed" in body


def test_only_the_newest_fifty_versions_are_listed(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """A long history does not make the page long; the counts name it all."""
    for _ in range(52):
        host.staged()
    body = ask("/").body
    assert "run-52 " in body
    assert "run-3 " in body
    assert "run-2 " not in body
    assert re.search(r"<b>52</b><span>staged</span>", body)


def test_lanes_roots_and_channels_are_shown(ask: Any, host: Any, health: Health) -> None:  # noqa: ANN401 - fixtures
    """What the daemon does now, what it watches, and what deployers get."""
    host.published()
    host.channel("main", 1)
    health.lanes["validate"] = LaneHealth(last_turn=900.0, turns=3, busy_with="acme/support-lora@id:0123")
    text = words(ask("/").body)
    assert "main v1 000000000000" in text
    assert "validate acme/support-lora@id:0123 1.7 min ago" in text
    assert "intake idle 10 s ago 42" in text
    assert "/train read on 7 0.250 s" in text


def test_a_daemon_in_trouble_says_so_at_the_top(ask: Any, health: Health) -> None:  # noqa: ANN401 - the browser fixture
    """Running, starting, or an intake lane that no longer turns."""
    assert "running" in words(ask("/").body)
    health.ready = False
    assert "starting" in words(ask("/").body)
    health.lanes["intake"].last_turn = 0.0
    assert "intake does not turn" in words(ask("/").body)


def test_hostile_names_are_shown_and_never_obeyed(ask: Any, host: Any, health: Health) -> None:  # noqa: ANN401 - fixtures
    """Whatever stands in a folder's name, a run, a reason or a root is text; what is invisible is spelled out."""
    host.published(run=HOSTILE, path=HOSTILE, root=f"/{HOSTILE}", base=HOSTILE, task=HOSTILE)
    host.stalled("bug", HOSTILE, adapter=f"acme/{HOSTILE}")
    host.seen(HOSTILE, "stalled", "bad_name", HOSTILE)
    health.roots[HOSTILE] = RootHealth(f"{HOSTILE}\udcff", problem="root_missing", message=HOSTILE, hint=HOSTILE)
    health.problems[HOSTILE] = (HOSTILE, HOSTILE)
    health.lanes[HOSTILE] = LaneHealth(busy_with=HOSTILE)
    for path in ("/", "/adapters/acme/support-lora", "/adapters/acme/%3Cscript%3Ealert(1)"):
        page = ask(path)
        assert "<script" not in page.body
        assert "\x1b" not in page.body
        assert "\u202e" not in page.body
        assert "&lt;script&gt;" in page.body
    assert "\\u202e\\x1b" in ask("/").body


def test_an_adapter_has_a_page_with_its_versions_reports_and_history(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """Who wants to know why finds the report's numbers, where it was seen, and each move."""
    host.published()
    host.channel("main", 1)
    host.staged("acme/other-lora")
    page = ask("/adapters/acme/support-lora")
    text = words(page.body)
    assert page.status == 200
    assert "base model acme/base-model PEFT type LORA task CAUSAL_LM root /train" in text
    for said in (
        "verdict passed", "policy policy0123456789", "device cpu float32", "loss without 3.25", "loss with 2.125",
        "KL per token inf", "largest weight change 0.0421", "/train/run-1", "2025-10-09 08:53:20 UTC", "published",
        "sglang otherwise than it was trained: it scales by alpha / r",
    ):  # fmt: skip
        assert said in text, said
    assert "acme/other-lora" not in text
    assert "refresh" not in page.body


def test_a_version_shows_what_gates_said_and_what_was_waived(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """Each gate with its exit code, its numbers, and each waiver with who gave it and why."""
    host.staged()
    claim = host.claim(Stage.STAGED)
    version = claim.version
    report = {
        "verdict": "passed",
        "measurements": {"gate.acc": 0.25},
        "gates": [{"command": "evaluate", "exit": 1, "seconds": 2.0, "metrics": {"acc": 0.25}}],
        "waivers": [{"code": "gate_refused", "actor": "ada", "reason": HOSTILE, "at": NOW}],
    }
    row = Validation(version.id, version.tree, "policy", "passed", report, NOW)
    host.registry.advance(claim, Stage.VALIDATED, NOW, validation=row)
    page = ask("/adapters/acme/support-lora")
    said = words(page.body)
    assert "gate.acc 0.25" in said
    assert "evaluate exit code 1" in said
    assert "gate_refused by ada:" in said
    assert HOSTILE not in page.body


def test_a_rejected_version_shows_its_reasons_on_its_page(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """The report's findings are there with their codes."""
    version = host.rejected("not one of 28 layers is changed")
    assert version.stage is Stage.REJECTED
    text = words(ask("/adapters/acme/broken-lora").body)
    assert "Why Rejected no_effect not one of 28 layers is changed Try: the adapter changes no weight" in text
    assert "reason no_effect not one layer" in text


def test_adapters_are_found_whatever_the_case(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """Repo ids are compared case-folded, so links written by hand work."""
    host.staged("acme/Support-LoRA")
    assert ask("/adapters/ACME/support-lora").status == 200


def test_what_is_not_there_is_404(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """An unknown adapter and an unknown page say so."""
    assert ask("/adapters/acme/none").status == 404
    assert ask("/adapters/acme").status == 404
    assert ask("/favicon.ico").body == "there is no such page; begin at /\n"


def test_it_says_when_the_next_push_comes_and_what_is_paused(ask: Any, host: Any, health: Any) -> None:  # noqa: ANN401 - fixtures
    """With the reason, the requests that are left, and until when."""
    host.waiting(NOW + 600)
    health.hub = lambda: {
        "requests": {"left": 12, "limit": 600},
        "paused": [{"action": "commit", "until": NOW + 60, "state": "open", "message": "a quota of commits"}],
    }
    page = ask("/").body
    for said in ("next push at ", ": used up", "12 of 600 requests left", "a quota of commits", "hub_paused"):
        assert said in page
