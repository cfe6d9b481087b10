"""retry and adopt: by the daemon where one runs, else here, under the writer's lock and in the audit log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.exits import UsageFaultError, code_of
from adapterd.control import ControlError, ControlServer, Handler, Request
from adapterd.core.errors import AdapterdError
from adapterd.ports import RegistryError
from adapterd.registry import acquire, open_reader


def run(host: Path, *arguments: str) -> str:
    """Run a verb in this process; what it wrote to standard output."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(host)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def asked(host: Path) -> Iterator[list[Request]]:
    """A daemon's control socket that remembers what it was asked."""
    requests: list[Request] = []

    def remember(answer: dict[str, Any]) -> Handler:
        def handler(request: Request) -> dict[str, Any]:
            requests.append(request)
            return answer

        return handler

    handlers = {
        "retry": remember({"retried": ["acme/support@id:3333"]}),
        "waive": remember({"waived": "acme/support@id:2222"}),
        "adopt": remember({"commit": "d" * 40}),
        "rebind": remember({"was": "/old", "directories": 3}),
    }
    with ControlServer(host.parent / "run" / "control.sock", handlers):
        yield requests


def test_a_daemon_is_asked(host: Path, asked: list[Request]) -> None:
    """The reference and the reason go over the socket; what moved is told."""
    assert "acme/support@id:3333 goes again" in run(
        host, "retry", "acme/support@id:33333333", "--reason", "base is here"
    )
    assert "adopted, recorded in commit dddddddddddd" in run(host, "adopt", "acme/support")
    assert [(r.do, dict(r.arguments), r.reason) for r in asked] == [
        ("retry", {"reference": "acme/support@id:33333333"}, "base is here"),
        ("adopt", {"adapter": "acme/support"}, ""),
    ]


def test_a_directory_goes_by_its_absolute_path(
    host: Path, asked: list[Request], whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory may be named as a person types it; --all is one request for everything."""
    monkeypatch.chdir(whole.parent)
    run(host, "retry", whole.name)
    run(host, "retry", "./run-1")
    run(host, "retry", "--all")
    assert [r.arguments["reference"] for r in asked] == [str(whole), str(whole), "--all"]


def test_a_waiver_goes_to_the_daemon(host: Path, asked: list[Request], whole: Path) -> None:
    """Code, version and reason; a directory goes by its absolute path."""
    said = run(host, "waive", "no_effect", "acme/support@id:22222222", "--reason", "meant so")
    assert "no_effect is waived for acme/support@id:2222, which goes again" in said
    run(host, "waive", "no_effect", str(whole), "--reason", "meant so")
    assert [(r.do, dict(r.arguments), r.reason) for r in asked] == [
        ("waive", {"code": "no_effect", "reference": "acme/support@id:22222222"}, "meant so"),
        ("waive", {"code": "no_effect", "reference": str(whole)}, "meant so"),
    ]


def test_a_series_is_bound_to_another_root(host: Path, asked: list[Request], tmp_path: Path) -> None:
    """The daemon is asked, with the root's absolute path."""
    said = run(host, "rebind", "acme/support", f"{tmp_path}/train", "--reason", "a new disk")
    assert f"acme/support is bound to {tmp_path}/train now, was /old; 3 directories carried over" in said
    assert [(r.do, dict(r.arguments), r.reason) for r in asked] == [
        ("rebind", {"adapter": "acme/support", "root": f"{tmp_path}/train"}, "a new disk")
    ]


def test_a_series_is_bound_anew_without_a_daemon(host: Path, tmp_path: Path) -> None:
    """Binding and sightings follow the configuration's new path, and the audit log has it; a second time says so."""
    host.write_text(host.read_text().replace(f"{tmp_path}/train", f"{tmp_path}/moved"))
    assert "carried over" in run(host, "rebind", "acme/support", f"{tmp_path}/moved")
    assert "bound to" in run(host, "rebind", "acme/support", f"{tmp_path}/moved")
    with open_reader(tmp_path / "state" / "registry.db") as registry:
        assert [a.root for a in registry.adapters()] == [f"{tmp_path}/moved"]
        assert {s.root for v in registry.versions() for s in registry.sightings(v.id)} == {f"{tmp_path}/moved"}
        assert "odd" in {seen.path for seen in registry.observations(f"{tmp_path}/moved")}
    first = json.loads((tmp_path / "state" / "audit.jsonl").read_text().splitlines()[0])
    assert (first["do"], first["outcome"]) == ("rebind", "done")


@pytest.mark.parametrize(
    ("adapter", "root", "text", "exit_code"),
    [("acme/other", "train", "the registry knows no acme/other", 5), ("acme/support", "x", "no configured root", 2)],
)
def test_what_cannot_be_bound_says_why(host: Path, adapter: str, root: str, text: str, exit_code: int) -> None:
    """A series that is not known, or a root that is not configured."""
    with pytest.raises(AdapterdError, match=text) as caught:
        run(host, "rebind", adapter, str(host.parent / root))
    assert (code_of(caught.value), bool(caught.value.hint)) == (exit_code, True)


def test_a_waiver_without_a_daemon_is_recorded_here(host: Path) -> None:
    """In the version's history, with who and why, and in the audit log; the version goes again."""
    run(host, "waive", "no_effect", "acme/support@id:22222222", "--reason", "a delta for\n a frozen layer")
    with open_reader(host.parent / "state" / "registry.db") as registry:
        version = registry.find("acme/support", identity="22222222")
        assert version is not None
        assert (str(version.stage), version.reason) == ("staged", "")
        (event,) = [e for e in registry.events(version.id) if e.kind == "waived"]
    assert event.detail["actor"]
    assert (event.detail["code"], event.detail["reason"]) == ("no_effect", "a delta for a frozen layer")
    (line,) = (host.parent / "state" / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["arguments"] == {"code": "no_effect", "reference": "acme/support@id:22222222"}
    shown = run(host, "show", "acme/support@id:22222222")
    assert re.search(r"waived  actor .+, code no_effect, reason a delta for a frozen layer", shown)


@pytest.mark.parametrize(
    ("code", "version", "why", "text", "exit_code"),
    [
        ("bad_weights", "@id:22222222", "x", "bad_weights is never waived", 6),
        ("pickle_only", "@id:22222222", "x", "pickle_only is never waived", 6),
        ("base_differs", "@id:22222222", "x", "base_differs is never waived", 6),
        ("no_efect", "@id:22222222", "x", "there is no reason no_efect", 2),
        ("no_effect", "@id:22222222", " \n ", "a waiver has a reason", 2),
        ("no_effect", "@id:22222222", "x" * 501, "500 letters at most", 2),
        ("no_effect", "", "x", "names no single version", 2),
        ("no_effect", "@main", "x", "names no single version", 2),
        ("no_effect", "@id:99999999", "x", "the registry knows no", 5),
        ("loss_too_high", "@id:22222222", "x", "its last report names no_effect", 5),
        ("no_effect", "@id:33333333", "x", "there is no report on it", 5),
        ("no_effect", "@v1", "x", "it is published", 5),
    ],
)
def test_what_cannot_be_waived_says_why(
    host: Path, code: str, version: str, why: str, text: str, exit_code: int
) -> None:
    """Integrity, pickles and the wrong base never; nothing without a reason, a version, or a finding. Nothing moves."""
    with pytest.raises(AdapterdError, match=re.escape(text)) as caught:
        run(host, "waive", code, f"acme/support{version}", "--reason", why)
    assert (code_of(caught.value), bool(caught.value.hint)) == (exit_code, True)
    with open_reader(host.parent / "state" / "registry.db") as registry:
        assert registry.noted("waived") == frozenset()


def test_a_waiver_asks_for_its_reason(host: Path) -> None:
    """Without `--reason` the command line is wrong."""
    done = CliRunner().invoke(app, ["waive", "no_effect", "acme/support@id:22222222", "--config", str(host)])
    assert done.exit_code == 2


def test_a_refusal_of_the_daemon_keeps_its_code(host: Path) -> None:
    """What the daemon's handler raises reaches the person with its hint and its exit code."""

    def refuse(_: Request) -> Any:  # noqa: ANN401 - a handler
        raise AdapterdError("the registry knows no acme/x", "look again")

    with (
        ControlServer(host.parent / "run" / "control.sock", {"retry": refuse}),
        pytest.raises(ControlError, match="knows no acme/x") as caught,
    ):
        run(host, "retry", "acme/x")
    assert (caught.value.hint, caught.value.exit) == ("look again", 4)


def test_without_a_daemon_it_is_done_here(host: Path) -> None:
    """The stalled version moves again, and the audit log says who did what and why."""
    said = run(host, "retry", "acme/support@id:33333333", "--reason", "base is here")
    assert "acme/support@id:333333333333 goes again" in said
    with open_reader(host.parent / "state" / "registry.db") as registry:
        version = registry.find("acme/support", identity="33333333")
        assert version is not None
        assert (str(version.stage), version.stalled, version.reason) == ("staged", False, "")
    (line,) = (host.parent / "state" / "audit.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["do"], entry["reason"], entry["outcome"]) == ("retry", "base is here", "done")
    assert entry["arguments"] == {"reference": "acme/support@id:33333333"}


def test_all_means_everything_stalled_or_rejected(host: Path) -> None:
    """Versions and directories; a second time there is nothing left."""
    said = run(host, "retry", "--all")
    assert "id:222222222222 goes again" in said
    assert "id:333333333333 goes again" in said
    assert "odd goes again" in said
    assert "nothing to retry" in run(host, "retry", "--all")


def test_two_writers_never_meet(host: Path) -> None:
    """While another process holds the writer's lock and no socket answers, nothing is changed."""
    with acquire(host.parent / "state" / "registry.db"), pytest.raises(RegistryError, match="another adapterd"):
        run(host, "retry", "--all")


def test_retry_takes_names_or_all_and_not_both(host: Path) -> None:
    """Neither and both are usage errors."""
    for arguments in (["retry"], ["retry", "--all", "acme/support"]):
        with pytest.raises(UsageFaultError):
            run(host, *arguments)


def test_only_a_lost_registry_is_rebuilt(host: Path) -> None:
    """A registry that is there is never overwritten."""
    with pytest.raises(RegistryError, match="only a lost one is rebuilt"):
        run(host, "registry", "rebuild")
