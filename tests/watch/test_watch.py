"""The daemon as its operator meets it: a process with signals, exit codes, a page and a log."""

import json
import os
import pwd
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion
from adapterd.registry import open_reader
from helpers.adapters import write_adapter
from helpers.hosts import NAMESPACE, World
from helpers.sites import Daemon, Site, get, until
from publishing.conftest import stage
from publishing.test_refusals import drive_only_validation

Watch = Callable[..., Daemon]


def test_sigterm_ends_it_with_zero_and_sighup_reads_the_configuration_again(site: Site, watch: Watch) -> None:
    """A second root joins at SIGHUP; a broken file is refused, and the old configuration stays in force."""
    (site.tmp / "more").mkdir()
    daemon = watch().ready()
    site.configure(roots=f"[{{path: {site.tmp}/train}}, {{path: {site.tmp}/more}}]")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration_reloaded" in daemon.said(), "reloaded")
    site.config.write_text("hub: {namespace: acme}\nrotos: []\n")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration_refused" in daemon.said(), "refused")
    write_adapter(site.tmp / "more" / "late-support")
    until(lambda: "late-support" in site.states(), "the new root is watched")
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.said()


def test_what_lies_there_is_baseline_and_a_new_directory_is_taken_in(site: Site, watch: Watch) -> None:
    """Nothing of the backlog is published; a directory without a base at hand stalls with its hint, nothing is lost."""
    site.configure(base_models="[]")
    write_adapter(site.tmp / "train" / "legacy-run")
    daemon = watch().ready()
    until(lambda: site.states().get("legacy-run") == "baseline", "baseline")
    write_adapter(site.tmp / "train" / "support-run", seed=1)
    until(lambda: "base_not_at_hand" in daemon.said(), "stalled")
    status = site.run("status", "--config", str(site.config))
    assert "base_not_at_hand" in status.stdout
    assert site.states() == {"legacy-run": "baseline", "support-run": "settled"}
    assert daemon.stop() == 0


def test_the_page_answers_on_loopback(site: Site, watch: Watch) -> None:
    """/healthz, /readyz, /metrics and the page, at the address that the log names."""
    site.configure(status="{listen: '127.0.0.1:0'}")
    daemon = watch().ready()
    until(lambda: "status_page_on" in daemon.said(), "the page")
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+", daemon.said().split("status_page_on")[1])[:1] or re.findall(
        r'"url": ?"(http://127\.0\.0\.1:\d+)', daemon.said()
    )
    until(lambda: get(url, "/healthz")[0] == 200, "healthy")
    assert get(url, "/readyz")[0] == 200
    assert "adapterd_versions" in get(url, "/metrics")[1]
    assert "<html" in get(url, "/")[1]
    assert daemon.stop() == 0


def test_a_second_daemon_on_one_registry_is_refused(site: Site, watch: Watch) -> None:
    """It ends at once with the pid of the first, and the first goes on."""
    first = watch().ready()
    second = site.run("watch", "--config", str(site.config))
    assert second.returncode == 78
    assert str(first.process.pid) in second.stderr
    assert "Try:" in second.stderr
    assert first.process.poll() is None


def test_a_missing_registry_is_refused_and_rebuilt_on_demand(site: Site, watch: Watch) -> None:
    """With instance.json there and the registry gone the daemon does not guess; `registry rebuild` makes it start."""
    assert watch().ready().stop() == 0
    for path in site.registry.parent.glob("registry.db*"):
        path.unlink()
    refused = site.run("watch", "--config", str(site.config))
    assert refused.returncode == 78
    assert "registry rebuild" in refused.stderr
    rebuilt = site.run("registry", "rebuild", "--config", str(site.config))
    assert rebuilt.returncode == 0, rebuilt.stderr
    site.tmp.joinpath("daemon.log").unlink()
    assert watch().ready().stop() == 0


def test_a_file_that_is_no_registry_is_refused(site: Site) -> None:
    """Whatever it is, it is not overwritten."""
    site.registry.parent.mkdir(parents=True)
    site.registry.write_bytes(b"not a database at all" * 100)
    refused = site.run("watch", "--config", str(site.config))
    assert refused.returncode == 78
    assert "Try:" in refused.stderr
    assert site.registry.read_bytes().startswith(b"not a database")


def test_a_wrong_configuration_ends_with_78_and_its_line(site: Site) -> None:
    """The supervisor must not start it again: file, line, key and hint."""
    site.config.write_text("hub: {namespace: acme}\nrotos: []\n")
    refused = site.run("watch", "--config", str(site.config))
    assert refused.returncode == 78
    assert "adapterd.yaml:2" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_beside_a_command_it_drains_and_returns_the_commands_exit_code(site: Site) -> None:
    """`watch -- CMD`: what CMD wrote is taken in after it ended, and its code is the daemon's."""
    script = site.tmp / "train.py"
    tests = Path(__file__).parents[1]
    script.write_text(
        f"import sys; sys.path.insert(0, {str(tests)!r})\n"
        "from pathlib import Path\nfrom helpers.adapters import write_adapter\n"
        f"write_adapter(Path({str(site.tmp)!r}) / 'train' / 'sql-run', seed=5)\nsys.exit(7)\n"
    )
    site.configure(base_models="[]")
    done = site.run("watch", "--config", str(site.config), "--", sys.executable, str(script))
    assert done.returncode == 7, done.stderr
    assert site.states() == {"sql-run": "settled"}


def test_a_root_that_is_not_there_is_waited_for(site: Site, watch: Watch) -> None:
    """The daemon starts without it, says so, and takes in what appears with it."""
    site.configure(roots=f"[{{path: {site.tmp}/later}}]", base_models="[]")
    daemon = watch().ready()
    until(lambda: "root_missing" in daemon.said(), "said")
    write_adapter(site.tmp / "later" / "billing-run")
    until(lambda: site.states().get("billing-run") == "settled", "taken in")
    assert daemon.stop() == 0


def test_the_log_is_json_where_nobody_looks(watch: Watch) -> None:
    """Each line is an object with schema, time, level and event."""
    daemon = watch().ready()
    daemon.stop()
    lines = [json.loads(line) for line in daemon.said().splitlines()]
    assert {"daemon_started", "daemon_stopped"} <= {line["event"] for line in lines}
    assert all({"schema", "timestamp", "level"} <= line.keys() for line in lines)


def test_retry_takes_up_a_configuration_that_was_changed_since(site: Site, watch: Watch) -> None:
    """The hint names the entry to add; after that one `retry` is enough, without a signal."""
    write_adapter(site.tmp / "train" / "legacy-run", base=str(site.tmp / "base"))
    site.configure(base_models="[]")
    daemon = watch().ready()
    until(lambda: site.states().get("legacy-run") == "baseline", "baseline")
    write_adapter(site.tmp / "train" / "support-run", seed=1, base=str(site.tmp / "base"))
    until(lambda: "base_unknown" in daemon.said(), "stalled")
    assert f"path: {site.tmp}/base" in site.run("status", "--config", str(site.config)).stdout.replace("\n", " ")
    site.configure()
    done = site.run("retry", "--config", str(site.config), f"{NAMESPACE}/support-run")
    assert done.returncode == 0, done.stderr
    until(lambda: "configuration_reloaded" in daemon.said(), "reloaded")
    assert daemon.stop() == 0


def _rejected(site: Site, name: str) -> AdapterVersion:
    """A version that was refused before the daemon was started."""
    world = World(site.tmp, site.hub.endpoint)
    world.validator.result = replace(world.validator.result, findings=(reason("no_effect", "nothing changes"),))
    version = stage(world, f"{NAMESPACE}/{name}", 1)
    drive_only_validation(world)
    world.close()
    return version


def test_a_reload_names_what_was_refused_under_other_rules(site: Site, watch: Watch) -> None:
    """While the policy is the same nothing is named; a gate more is another policy."""
    version = _rejected(site, "affected-run")
    daemon = watch().ready()
    site.configure(log="{level: debug}")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration_reloaded" in daemon.said(), "reloaded")
    assert "rejected_under_older_policy" not in daemon.said()
    site.configure(validation="{gates: [{command: [/bin/true]}]}")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "rejected_under_older_policy" in daemon.said(), "named")
    assert f"adapterd retry {version.label}" in daemon.said()
    assert daemon.stop() == 0


def test_a_waiver_goes_through_the_running_daemon(site: Site, watch: Watch) -> None:
    """Recorded with who the kernel says it was, and audited; the version goes again. Some codes are never waived."""
    version = _rejected(site, "waived-run")
    site.configure(base_models="[]")
    daemon = watch().ready()
    asked = ["waive", "--config", str(site.config), "no_effect", version.label]
    done = site.run(*asked, "--reason", "meant so")
    assert done.returncode == 0, done.stderr
    until(lambda: "base_not_at_hand" in daemon.said(), "went again")
    refused = site.run("waive", "--config", str(site.config), "bad_weights", version.label, "--reason", "meant so")
    assert (refused.returncode, "never waived" in refused.stderr) == (6, True)
    with open_reader(site.registry) as reader:
        (event,) = [e for e in reader.events(version.id) if e.kind == "waived"]
    assert (event.detail["code"], event.detail["reason"]) == ("no_effect", "meant so")
    user = pwd.getpwuid(os.getuid()).pw_name
    assert event.detail["actor"] == user
    audit = [json.loads(line) for line in (site.tmp / "state" / "audit.jsonl").read_text().splitlines()]
    assert [(e["do"], e["user"], e["outcome"]) for e in audit] == [("waive", user, "done"), ("waive", user, "failed")]
    assert daemon.stop() == 0


def test_a_missing_token_is_said_at_the_start(site: Site, watch: Watch) -> None:
    """Not first when there is something to publish."""
    site.configure(hub=f"{{endpoint: '{site.hub.endpoint}', namespace: {NAMESPACE}, token_file: {site.tmp}/none}}")
    daemon = watch().ready()
    assert "token_missing" in daemon.said()
    assert "hub.token_file" in site.run("status", "--config", str(site.config)).stdout
    assert daemon.stop() == 0


def test_the_mirror_is_looked_at_without_being_asked_for(site: Site, watch: Watch) -> None:
    """A lane of the daemon's own does it; what is wrong there is said with a hint, and holds nothing up."""
    site.configure(mirror=f"'{site.tmp}/mnt'", schedule="{backoff: 10ms, backoff_max: 20ms}")
    daemon = watch().ready()
    until(lambda: f"the mirror is behind: {site.tmp}/mnt is not there" in daemon.said(), "the problem")
    status = site.run("status", "--config", str(site.config))
    assert "the mirror is behind" in status.stdout
    (site.tmp / "mnt").mkdir()
    until(lambda: "the mirror" not in site.run("status", "--config", str(site.config)).stdout, "no problem")
    assert daemon.stop() == 0
