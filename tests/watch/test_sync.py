"""`adapterd sync`, beside a running daemon and alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.adapters import write_adapter
from helpers.sites import Daemon, Site, until

if TYPE_CHECKING:
    from subprocess import CompletedProcess

USAGE, REJECTED, STALLED, NOT_FOUND, WAITING = 2, 3, 4, 5, 75


def sync(site: Site, *words: str | Path) -> "CompletedProcess[str]":
    """Run the verb to its end."""
    return site.run("sync", "--config", str(site.config), *map(str, words))


def empty(site: Site) -> None:
    """Take the baseline while nothing is in the root: what comes later is new."""
    done = sync(site)
    assert (done.returncode, done.stdout) == (0, "nothing moved\n"), done.stderr


def half(folder: Path) -> Path:
    """A directory whose weights never came."""
    (write_adapter(folder) / "adapter_model.safetensors").unlink()
    return folder


def test_sync_comes_back_after_the_daemon_has_looked(site: Site, watch: Callable[..., Daemon]) -> None:
    """What was asked for was taken up before `sync` says how it went, however soon it asks."""
    site.configure(base_models="[]", schedule="{scan: 1h}")
    write_adapter(site.tmp / "train" / "legacy-run")
    daemon = watch().ready()
    until(lambda: site.states().get("legacy-run") == "baseline", "baseline")
    done = sync(site, site.tmp / "train" / "legacy-run")
    assert done.returncode == STALLED, done.stderr
    assert site.states() == {"legacy-run": "settled"}
    said, hint = done.stdout.splitlines()
    assert said.startswith(f"{site.tmp}/train/legacy-run: stalled base_not_at_hand: ")
    assert hint.startswith("  Try: ")
    assert daemon.stop() == 0


def test_sync_of_a_directory_waits_for_no_other(site: Site, watch: Callable[..., Daemon]) -> None:
    """Beside a daemon: another directory that is still half written holds nothing up."""
    site.configure(base_models="[]")
    write_adapter(site.tmp / "train" / "legacy-run", seed=9)
    daemon = watch().ready()
    until(lambda: site.states().get("legacy-run") == "baseline", "the baseline")
    half(site.tmp / "train" / "other-run")
    write_adapter(site.tmp / "train" / "support-run")
    until(lambda: site.states().get("other-run") == "waiting", "waits")
    done = sync(site, site.tmp / "train" / "support-run", "--max-wait", "20s")
    assert done.returncode == STALLED, done.stderr
    assert "other-run" not in done.stdout + done.stderr
    assert site.states()["other-run"] == "waiting"
    assert daemon.stop() == 0


def test_sync_alone_of_a_directory_waits_for_no_other(site: Site) -> None:
    """Without a daemon too; without a directory, it waits for everything, and sums up what moved."""
    site.configure(base_models="[]")
    empty(site)
    half(site.tmp / "train" / "other-run")
    write_adapter(site.tmp / "train" / "support-run")
    done = sync(site, site.tmp / "train" / "support-run")
    assert done.returncode == STALLED, done.stderr
    assert site.states() == {"other-run": "waiting", "support-run": "settled"}
    write_adapter(site.tmp / "train" / "sql-run", seed=2)
    everything = sync(site, "--max-wait", "1s")
    assert everything.returncode == WAITING
    assert everything.stdout.splitlines()[0] == "1 stalled, 1 waiting"


def test_sync_says_how_many_more_are_on_their_way(site: Site) -> None:
    """The listing names three, and tells that there are others."""
    empty(site)
    for name in "abcd":
        half(site.tmp / "train" / f"run-{name}")
    done = sync(site, "--max-wait", "500ms")
    (said,) = [line for line in done.stderr.splitlines() if "on the way" in line]
    assert said.startswith("4 on the way: ")
    assert said.endswith(", …")


def test_sync_of_what_is_not_there(site: Site) -> None:
    """A folder that does not exist is not found, one outside all roots is a fault of the command line."""
    missing = sync(site, site.tmp / "train" / "nowhere")
    assert missing.returncode == NOT_FOUND
    assert "nowhere does not exist" in missing.stderr
    outside = sync(site, site.tmp / "base")
    assert outside.returncode == USAGE
    assert "no configured root" in outside.stderr
    assert "Try:" in outside.stderr
    assert not site.registry.exists()


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["model.safetensors", "config.json"], "full_model"),
        (["adapter_config.json", "adapter_model.bin"], "pickle_only"),
        (["__0_0.distcp"], "sharded_state"),
        (["notes.txt"], "no_adapter"),
    ],
)
def test_sync_of_no_adapter_directory_ends_at_once(site: Site, files: list[str], code: str) -> None:
    """There is nothing to wait for: it is refused with its reason, and nothing is begun."""
    folder = site.tmp / "train" / "support-run"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    done = sync(site, folder)
    assert done.returncode == REJECTED, done.stderr
    assert done.stdout.startswith(f"{folder}: refused {code}: ")
    assert not site.registry.exists()


def test_sync_of_a_run_names_its_last_checkpoint(site: Site) -> None:
    """The folder around checkpoints is no adapter directory; the hint is the command that was meant."""
    run = site.tmp / "train" / "support-run"
    for step in (9, 10):
        write_adapter(run / f"checkpoint-{step}")
    done = sync(site, run)
    assert done.returncode == REJECTED
    assert f"adapterd sync {run}/checkpoint-10`" in done.stdout


def test_sync_of_what_was_refused_already_ends_at_once(site: Site) -> None:
    """Unchanged it stays refused, with its reason; what was asked for beside it is worked all the same."""
    site.configure(base_models="[]", settle="{quiet: 100ms, patience: 100ms}")
    empty(site)
    broken = half(site.tmp / "train" / "broken-run")
    assert sync(site).stdout == "1 refused\n"
    done = sync(site, broken)
    assert done.returncode == REJECTED
    assert done.stdout.startswith(f"{broken}: refused abandoned: config without weights")
    sound = write_adapter(site.tmp / "train" / "support-run")
    both = sync(site, broken, sound)
    assert both.returncode == STALLED
    assert [line.partition(": ")[2].split()[0] for line in both.stdout.splitlines()[::2]] == ["refused", "stalled"]
    write_adapter(broken, seed=3)
    assert sync(site, broken).returncode == STALLED


def test_sync_of_what_its_root_never_shows(site: Site) -> None:
    """A directory deeper than the root's depth is said to be so, instead of done."""
    site.configure(roots=f"[{{path: {site.tmp}/train, depth: 1}}]")
    done = sync(site, write_adapter(site.tmp / "train" / "a" / "b" / "support-run"))
    assert done.returncode == STALLED
    assert "depth" in done.stdout
