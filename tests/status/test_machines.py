"""What programs read: JSON, health checks, metrics."""

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapterd.health import Health, LaneHealth, RootHealth

NOW = 1_760_000_000.0


def samples(body: str) -> dict[tuple[str, str], float]:
    """Every sample by name and label values."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def test_the_status_is_there_as_json(ask: Any, host: Any, health: Health) -> None:  # noqa: ANN401 - fixtures
    """Schema 1 holds what the page shows."""
    host.published()
    host.channel("main", 1)
    host.stalled("base_not_at_hand", "not at hand")
    host.waiting(NOW + 600)
    health.problems["token_missing"] = ("there is no token", "give one")
    answer = ask("/status.json")
    found = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/json"
    assert found["schema"] == 1
    assert found["at"] == NOW
    assert found["daemon"]["publisher"] == "publisher-1"
    assert found["daemon"]["problems"] == {"token_missing": {"message": "there is no token", "hint": "give one"}}
    assert found["counts"]["published"] == 1
    assert found["counts"]["stalled"] == 1
    assert [(item["kind"], item["reason"], item["until"]) for item in found["stalled"]] == [
        ("version", "base_not_at_hand", None)
    ]
    assert [(item["reason"], item["until"]) for item in found["waiting"]] == [("rate_limited", NOW + 600)]
    assert [version["stage"] for version in found["versions"]] == ["validated", "staged", "published"]
    assert found["versions"][-1]["measurements"]["loss_adapter"] == 2.125
    assert found["versions"][-1]["version"] == "acme/support-lora@v1"
    assert found["channels"][0]["channel"] == "main"


def test_json_has_no_nan(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """A measurement without a value is spelled by name, since strict readers refuse NaN and Infinity."""
    host.validated()

    def refuse(name: str) -> None:
        """Say which constant was there."""
        pytest.fail(name)

    found = json.loads(ask("/status.json").body, parse_constant=refuse)
    assert found["versions"][0]["measurements"]["kl"] == "inf"


def test_healthy_is_a_turning_intake_and_a_registry_that_answers(ask: Any, health: Health) -> None:  # noqa: ANN401 - the browser fixture
    """200 while the loop turns, 503 with the reason once it does not."""
    assert (ask("/healthz").status, ask("/healthz").body) == (200, "ok\n")
    health.lanes["intake"].last_turn = 1000.0 - health.stale_after
    sick = ask("/healthz")
    assert sick.status == 503
    assert sick.body == "the intake lane has not turned for 120 s or more\n"


def test_a_registry_that_does_not_answer_is_said_with_503(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """The damaged file is named on every route that reads it, and the server lives on."""
    path = host.registry.path
    host.registry.close()
    path.write_bytes(b"not a database at all" * 1000)
    for route in ("/healthz", "/", "/status.json", "/metrics", "/adapters/acme/support-lora"):
        answer = ask(route)
        assert answer.status == 503, route
        assert "is not a database" in answer.body
        assert "Try: " in answer.body
    assert ask("/readyz").status == 200


def test_ready_is_what_the_daemon_says(ask: Any, health: Health) -> None:  # noqa: ANN401 - the browser fixture
    """200 once the daemon has begun its work."""
    assert ask("/readyz").status == 200
    health.ready = False
    assert (ask("/readyz").status, ask("/readyz").body) == (503, "the daemon has not begun its work yet\n")


def test_metrics_are_read_at_the_scrape(ask: Any, host: Any, health: Health) -> None:  # noqa: ANN401 - fixtures
    """Counts come from the registry, the rest from the daemon; a change shows in the next scrape."""
    host.published()
    host.staged()
    host.stalled("base_not_at_hand", "not at hand")
    host.seen("outputs", "stalled", "generic_name", "says nothing")
    health.count("version_staged", 3)
    health.lanes["publish"] = LaneHealth(last_turn=998.5, failures=2)
    health.roots["/gone"] = RootHealth("/gone\udcff", problem="root_missing")
    answer = ask("/metrics")
    found = samples(answer.body)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["adapterd_versions", "published"] == 1
    assert found["adapterd_versions", "staged"] == 1
    assert found["adapterd_versions", "superseded"] == 0
    assert found["adapterd_stalled", ""] == 1
    assert found["adapterd_observations", "stalled"] == 1
    assert found["adapterd_lane_last_turn_seconds", "publish"] == 1.5
    assert found["adapterd_lane_failures_total", "publish"] == 2
    assert found["adapterd_root_up", "/train"] == 1
    assert found["adapterd_root_up", "/gone"] == 0
    assert found["adapterd_events_total", "version_staged"] == 3
    assert ("adapterd_build_info", "publisher-1,1.2.3") in found or (
        "adapterd_build_info",
        "1.2.3,publisher-1",
    ) in found
    assert found["process_resident_memory_bytes", ""] > 1024 * 1024
    health.count("version_staged")
    assert samples(ask("/metrics").body)["adapterd_events_total", "version_staged"] == 4


def test_head_answers_without_a_body(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """A checker may ask for the status alone."""
    for path in ("/", "/status.json", "/healthz", "/readyz", "/metrics"):
        answer = ask(path, "HEAD")
        assert (answer.status, answer.body) == (200, ""), path


HUB = {
    "requests": {"left": 12, "limit": 600},
    "paused": [{"action": "commit", "until": NOW + 60, "state": "open", "message": "a quota"}],
}


def test_programs_are_told_what_the_hub_allows_and_when_the_next_push_comes(
    ask: Any,  # noqa: ANN401 - fixtures
    host: Any,  # noqa: ANN401 - fixtures
    health: Health,
) -> None:
    """In the metrics and in the JSON: requests left, open breakers, and the moment with its reason."""
    host.waiting(NOW + 600)
    health.hub = lambda: HUB
    found = samples(ask("/metrics").body)
    assert found["adapterd_hub_requests_left", ""] == 12
    assert found["adapterd_hub_requests_limit", ""] == 600
    assert (found["adapterd_hub_paused", "all"], found["adapterd_hub_paused", "commit"]) == (0, 1)
    assert found["adapterd_next_push_timestamp_seconds", ""] == NOW + 600
    document = json.loads(ask("/status.json").body)
    push = document["next_push"]
    assert (push["at"], push["reason"], push["message"], push["behind"]) == (NOW + 600, "rate_limited", "used up", 0)
    assert document["daemon"]["hub"]["paused"][0]["action"] == "commit"


def test_where_nothing_is_to_be_pushed_no_moment_is_named(ask: Any, host: Any) -> None:  # noqa: ANN401 - fixtures
    """A published or stalled version does not wait for the Hub."""
    host.published()
    assert ("adapterd_next_push_timestamp_seconds", "") not in samples(ask("/metrics").body)
    assert json.loads(ask("/status.json").body)["next_push"] is None
