"""A scan that remembers answers as one that remembers nothing, whatever happened to root, registry and clock."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapterd import operate, roots
from adapterd.core import adapter as ad
from adapterd.registry import open_registry
from adapterd.steps import discover, rescan
from adapterd.steps.discover import Scan
from adapterd.steps.known import Known
from helpers.adapters import write_adapter
from steps.conftest import QUIET, Site

LATER = 10_000_000_000
"""Nanoseconds: the scans believe that what was just written is this old, so that they come to rest at once."""
PATHS = (
    "a",
    "a/checkpoint-1",
    "a/checkpoint-20",
    "a/poet",
    "a/checkpoint-1/poet",
    "team/b",
    "team/b/checkpoint-3",
    ".",
)
FILES = (ad.CONFIG, ad.WEIGHTS, ad.PICKLE, ad.STATE, "tokenizer.json", "README.md")
LABELS = ("publish: no\n", "publish: yes\n", "license: mit\n", "license: gpl\n", "publsh: no\n")
EXAMPLES = int(os.environ.get("ADAPTERD_EXAMPLES", "8"))
PLACES = st.sampled_from(PATHS)


def later() -> int:
    """The clock of a scan for which everything is old."""
    return time.time_ns() + LATER


def spoken(scan: Scan) -> object:
    """What a scan says, without the entries, whose order is the file system's."""
    pending = [(f.folder.path, f.fingerprint, f.at, f.labels, f.before, f.unfinished) for f in scan.pending]
    return pending, scan.known, scan.missed, scan.unreadable, scan.problem


class Twins(RuleBasedStateMachine):
    """One root under two hosts that were told the same: one scans with a memory, one without."""

    template: Path

    def __init__(self) -> None:
        """Make both, each with a registry and a spool of its own."""
        super().__init__()
        self.tmp = Path(tempfile.mkdtemp())
        self.root = self.tmp / "train"
        self.sites = []
        for name in ("remembering", "plain"):
            (self.tmp / name).mkdir()
            path = Path(shutil.copy(self.template, self.tmp / name / "registry.db"))
            site = Site(self.tmp / name, open_registry(path), {"unfinished_after": "1h"})
            site.root = self.root
            self.sites.append(site)
        self.known = Known(later)
        self.wanted: frozenset[str] = frozenset()
        self.replaced = 0

    def teardown(self) -> None:
        """Close both."""
        for site in self.sites:
            site.registry.close()
        shutil.rmtree(self.tmp)

    @initialize(network=st.booleans(), checkpoints=st.sampled_from(["final", "latest", "all"]), first=st.booleans())
    def begin(self, *, network: bool, checkpoints: str, first: bool) -> None:
        """Begin with an empty root, or with a run in it."""
        self.options(checkpoints=checkpoints, network="true" if network else "auto")
        self.root.mkdir()
        if first:
            for path in PATHS[1:4]:
                write_adapter(self.root / path, seed=len(path))

    def options(self, **options: str) -> None:
        """Set options of the root, for both."""
        for site in self.sites:
            site.options |= options

    def tick(self) -> None:
        """Let the kernel's clock move on: it stamps files no finer than its own tick."""
        probe = self.tmp / "probe"
        probe.touch()
        was = probe.stat().st_ctime_ns
        while probe.stat().st_ctime_ns == was:
            probe.touch()

    @rule(path=PLACES, seed=st.integers(0, 3))
    def save(self, path: str, seed: int) -> None:
        """A trainer writes an adapter, perhaps over one that is there."""
        if not (self.root / path).is_file():
            write_adapter(self.root / path, seed=seed)

    @rule(path=PLACES, name=st.sampled_from(FILES), data=st.sampled_from([b"{}", b"[]", b"", b"{"]), keep=st.booleans())
    def rewrite(self, path: str, name: str, data: bytes, *, keep: bool) -> None:
        """A file is written in place, or comes to be; perhaps its time is set back to what it was."""
        file = self.root / path / name
        if file.parent.is_dir():
            was = file.stat() if file.exists() else None
            file.write_bytes(data)
            if was is not None and keep:
                os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))

    @rule(path=PLACES, name=st.sampled_from([*FILES, ""]), seconds=st.sampled_from([-86_400, 0, 86_400]))
    def touch(self, path: str, name: str, seconds: int) -> None:
        """Times are set, to the past or the future."""
        if (self.root / path / name).exists():
            os.utime(self.root / path / name, (time.time() + seconds, time.time() + seconds))

    @rule(path=PLACES, name=st.sampled_from(FILES))
    def delete(self, path: str, name: str) -> None:
        """A file goes."""
        (self.root / path / name).unlink(missing_ok=True)

    @rule(path=PLACES, other=st.sampled_from([*PATHS, "c", "c/checkpoint-7"]))
    def move(self, path: str, other: str) -> None:
        """A folder gets another name, or changes places with one."""
        one, two, aside = self.root / path, self.root / other, self.root / "aside"
        if path == "." or other == "." or not one.is_dir() or two in one.parents or one in two.parents or one == two:
            return
        if two.is_dir():
            two.rename(aside)
        two.parent.mkdir(parents=True, exist_ok=True)
        one.rename(two)
        if aside.is_dir():
            aside.rename(one)

    @rule(path=PLACES)
    def remove(self, path: str) -> None:
        """A folder goes, or all that is in the root."""
        for folder in [self.root / path] if path != "." else list(self.root.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)

    @rule(path=PLACES, text=st.sampled_from([*LABELS, None]))
    def label(self, path: str, text: str | None) -> None:
        """A run is labelled, its labels change, or go."""
        file = self.root / path / ad.LABELS
        if text is None:
            file.unlink(missing_ok=True)
        elif file.parent.is_dir():
            file.write_text(text)

    @rule(path=PLACES, honest=st.booleans())
    def mark(self, path: str, *, honest: bool) -> None:
        """A marker comes to lie beside a folder, or is written anew."""
        folder = self.root if path == "." else self.root / path
        if folder.is_dir():
            files = {e.name: {"size": e.size, "mtime_ns": e.mtime_ns} for e in ad.sources(roots.entries_of(folder))}
            marker = folder.parent / (folder.name + ad.MARKER_SUFFIX)
            marker.write_text(json.dumps({"files": files if honest else {}}))

    @rule(path=PLACES, name=st.sampled_from(["tool.jinja", "notes.txt"]), text=st.sampled_from(["x", "y"]))
    def template_file(self, path: str, name: str, text: str) -> None:
        """A further chat template is written."""
        folder = self.root / path / roots.TEMPLATES
        if folder.parent.is_dir():
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    @rule(seconds=st.sampled_from([1.0, QUIET, 3600.0, -3600.0, 100_000.0]))
    def pass_(self, seconds: float) -> None:
        """Time passes, or the clock is set back."""
        for site in self.sites:
            site.clock.now += seconds

    @rule(checkpoints=st.sampled_from(["final", "latest", "all"]), unfinished=st.sampled_from(["list", "candidate"]))
    def configure(self, checkpoints: str, unfinished: str) -> None:
        """The configuration changes."""
        self.options(checkpoints=checkpoints, unfinished=unfinished)

    @rule()
    def retry(self) -> None:
        """A person lets everything be tried again."""
        for site in self.sites:
            operate.retry(site.host, "--all", "alice", "")

    @rule(path=PLACES)
    def ask(self, path: str) -> None:
        """A person asks for a directory."""
        self.wanted = frozenset({str(self.root if path == "." else self.root / path)})

    @rule(back=st.booleans())
    def replace_root(self, *, back: bool) -> None:
        """Another folder stands at the root's path for one scan, or from now on."""
        away = self.tmp / f"away-{self.replaced}"
        self.replaced += 1
        self.root.rename(away)
        self.root.mkdir()
        write_adapter(self.root / "other", seed=5)
        if back:
            self.compare()
            shutil.rmtree(self.root)
            away.rename(self.root)

    @rule()
    def restart(self) -> None:
        """The memory is lost."""
        self.known = Known(later)

    @invariant()
    def compare(self) -> None:
        """Both say the same, and write the same down, now and once more; both settle what shall come to rest."""
        for _ in range(3):
            self.tick()
            one, two = self.sites
            host, plain = one.host, two.host
            scans = (
                rescan.scan(host, host.config.roots[0], self.known, self.wanted),
                discover.scan(plain, plain.config.roots[0], self.wanted),
            )
            assert spoken(scans[0]) == spoken(scans[1])
            assert one.registry.observations() == two.registry.observations()
            for site, scan in zip(self.sites, scans, strict=True):
                for found in scan.pending:
                    site.take(found, now=str(found.directory) in self.wanted)
            assert one.registry.observations() == two.registry.observations()
            self.tick()
        self.wanted = frozenset()


def test_a_scan_that_remembers_says_what_one_without_memory_says(template: Path) -> None:
    """Files are written in place, moved, marked, labelled, dated anywhere; roots, clocks and settings change."""
    machine = type("Twins", (Twins,), {"template": template})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    kept = settings(max_examples=EXAMPLES, stateful_step_count=12, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=kept)


class Silent:
    """A registry that no scan may ask for an observation."""

    def __init__(self, registry: object) -> None:
        """Stand in for `registry`."""
        self._registry = registry

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the registry has
        """Give the registry's own, but for what is asked about directories."""
        assert not name.startswith("observation"), "a directory was judged that is at rest"
        return getattr(self._registry, name)


@pytest.mark.parametrize("network", ["true", "auto"])
@pytest.mark.parametrize("checkpoints", ["final", "all"])
def test_what_is_at_rest_is_not_judged(make_site: Callable[..., Site], checkpoints: str, network: str) -> None:
    """Once a root is at rest, a scan asks the registry for no directory; whatever happens changes that."""
    site = make_site(checkpoints=checkpoints, network=network)
    write_adapter(site.root / "before" / "checkpoint-1")
    site.turn()
    write_adapter(site.root / "after" / "checkpoint-1", seed=1)
    site.rest()
    known, host = Known(later), site.host
    root = host.config.roots[0]
    for _ in range(2):
        assert rescan.scan(host, root, known).pending == ()
    silent = replace(host, registry=Silent(site.registry))
    assert rescan.scan(silent, root, known).known == 2
    (site.root / "before" / "checkpoint-1" / ad.CONFIG).write_text("{}")
    with pytest.raises(AssertionError):
        rescan.scan(silent, root, known)
    rescan.scan(host, root, known)
    assert site.seen("before/checkpoint-1").state == {"final": "unwanted", "all": "waiting"}[checkpoints]


def in_place(path: Path) -> None:
    """Write the same number of bytes into a file, and set its time back to what it was."""
    was = path.stat()
    path.write_bytes(b"x" * was.st_size)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def made(folder: Path, name: str) -> None:
    """Make a folder with an empty file in it."""
    folder.mkdir()
    (folder / name).touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a payload file is written in place": lambda a: (a / ad.WEIGHTS).write_bytes(b"x"),
    "labels of the same size and time": lambda a: in_place(a / ad.LABELS),
    "labels go": lambda a: (a / ad.LABELS).unlink(),
    "a marker comes": lambda a: (a.parent / f"a{ad.MARKER_SUFFIX}").write_text("{}"),
    "a state file comes": lambda a: (a / "checkpoint-1" / ad.STATE).write_text("{}"),
    "a state file of a named adapter is written": lambda a: (a / "checkpoint-2" / ad.STATE).write_text("[]"),
    "a chat template is written": lambda a: (a / roots.TEMPLATES / "tool.jinja").write_text("other"),
    "a checkpoint changes its place": lambda a: (a / "checkpoint-1").rename(a / "checkpoint-9"),
    "another folder in its place": lambda a: a.rename(a.parent / "b") and write_adapter(a, seed=7),
    "a pickle comes": lambda a: made(a / "checkpoint-3", ad.PICKLE),
}


@pytest.mark.parametrize("network", ["true", "auto"])
@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_found(make_site: Callable[..., Site], what: str, network: str) -> None:
    """Of a run that is held back by its labels: its rows say after one scan what a scan without memory writes."""
    site = make_site(network=network, checkpoints="all").empty()
    run = write_adapter(site.root / "a")
    (run / roots.TEMPLATES).mkdir()
    (run / roots.TEMPLATES / "tool.jinja").write_text("{{ x }}")
    write_adapter(run / "checkpoint-1", seed=1)
    (run / "checkpoint-1" / ad.STATE).unlink()
    write_adapter(run / "checkpoint-2" / "poet", seed=2)
    (run / "checkpoint-2" / ad.STATE).write_text("{}")
    (run / ad.LABELS).write_text("publish: no\n")
    known, host = Known(later), site.host
    root = host.config.roots[0]
    for _ in range(3):
        assert rescan.scan(host, root, known).pending == ()
    before = site.registry.observations()
    CHANGES[what](run)
    rescan.scan(host, root, known)
    after = site.registry.observations()
    assert after != before
    discover.scan(host, root)
    assert site.registry.observations() == after


def test_what_changed_a_moment_ago_is_news_to_the_next_scan_too(site: Site) -> None:
    """A file may change twice within one tick of the clock that dates it: for two seconds nothing comes to rest."""
    write_adapter(site.root / "support" / "checkpoint-1")
    site.rest()
    known, host = Known(), site.host
    for _ in range(3):
        rescan.scan(host, host.config.roots[0], known)
    silent = replace(host, registry=Silent(site.registry))
    with pytest.raises(AssertionError):
        rescan.scan(silent, host.config.roots[0], known)


def test_a_scan_that_fails_leaves_its_news_to_the_next(site: Site) -> None:
    """What a scan saw before an error is not forgotten."""
    write_adapter(site.root / "support" / "checkpoint-1")
    site.rest()
    known, host = Known(later), site.host
    root = host.config.roots[0]
    for _ in range(2):
        rescan.scan(host, root, known)
    write_adapter(site.root / "support" / "checkpoint-2", seed=2)
    silent = replace(host, registry=Silent(site.registry))
    with pytest.raises(AssertionError):
        rescan.scan(silent, root, known)
    (found,) = rescan.scan(host, root, known).pending
    shutil.rmtree(found.directory)
    with pytest.raises(AssertionError):
        rescan.scan(silent, root, known)
    assert rescan.scan(host, root, known).missed == ("support/checkpoint-2",)
