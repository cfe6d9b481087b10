"""A registry for each test. Whatever else implements the port joins the contract suite by one line in KINDS."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import Claim, Draft, Intent, Observation, Registry, Validation
from adapterd.registry import SqlRegistry, open_registry
from adapterd.registry.migrate import migrate
from helpers.disks import mounted

HORIZON = 3600.0
LEASE = 60.0
NOW = 1_000_000.0
COALESCED = reason("superseded", "a later version of the same run passed")

KINDS: dict[str, Callable[[Path], AbstractContextManager[Registry]]] = {
    "sqlite": lambda path: open_registry(path, clock=lambda: NOW),
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, migrated once and copied for each test."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    migrate(path)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """The file of an empty registry."""
    return Path(shutil.copy(template, tmp_path / "registry.db"))


@pytest.fixture(params=KINDS)
def registry(request: pytest.FixtureRequest, path: Path) -> Iterator[Registry]:
    """An empty registry, open for writing."""
    with KINDS[request.param](path) as opened:
        yield opened


@pytest.fixture
def sqlite(path: Path) -> Iterator[SqlRegistry]:
    """An empty registry, for what only the SQLite one promises."""
    with open_registry(path, clock=lambda: NOW) as opened:
        yield opened


class Trainer:
    """Writes what a training host would: drafts, observations, and versions brought to where a test begins."""

    now = NOW

    def __init__(self) -> None:
        """Number the drafts, so that each has an identity of its own."""
        self._count = itertools.count(1)

    def draft(self, **changes: Any) -> Draft:  # noqa: ANN401 - any field of a draft
        """A checkpoint's draft; each has another identity."""
        n = next(self._count)
        made = Draft(
            adapter="acme/support",
            identity=f"{n:064x}",
            tree=f"{n:x}".rjust(64, "f"),
            root="/train",
            path=f"run-1/checkpoint-{n}",
            run="run-1",
            checkpoint=n,
            step=n,
            final=False,
            base="acme/base",
            peft_type="LORA",
            task="CAUSAL_LM",
            fingerprint=f"print-{n}",
        )
        return replace(made, **changes)

    def observation(self, path: str = "run-1", **changes: Any) -> Observation:  # noqa: ANN401 - any field of an observation
        """A waiting directory."""
        return replace(Observation("/train", path, "waiting", "print-1", first_seen=NOW, changed_at=NOW), **changes)

    def staged(self, registry: Registry, **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that waits for validation."""
        return registry.intake(self.draft(**changes), NOW)[0]

    def claim(self, registry: Registry, stage: Stage, owner: str = "lane", now: float = NOW) -> Claim:
        """A lease on the next version of a stage, which there is."""
        claim = registry.claim(stage, owner, now, LEASE, HORIZON)
        assert claim is not None
        return claim

    def report(self, version: AdapterVersion, verdict: str = "passed") -> Validation:
        """A report on a version's tree."""
        report = {"loss": 1.5, "policy_terms": {"tokens": 64}, "engines": {"peft": {"takes": "yes", "reasons": []}}}
        return Validation(version.id, version.tree, "policy-1", verdict, report, NOW)

    def validated(self, registry: Registry, **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that waits to be published."""
        version = self.staged(registry, **changes)
        claim = self.claim(registry, Stage.STAGED)
        assert claim.version.id == version.id
        return registry.advance(claim, Stage.VALIDATED, NOW, validation=self.report(version))

    def published(self, registry: Registry, **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that is on the Hub."""
        self.validated(registry, **changes)
        claim = self.claim(registry, Stage.VALIDATED)
        number = registry.plan(claim, 0, self.intent).number
        return registry.advance(claim, Stage.PUBLISHED, NOW, commit=f"{number:040x}")

    def superseded(self, registry: Registry, **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that was coalesced away."""
        self.staged(registry, **changes)
        return registry.advance(self.claim(registry, Stage.STAGED), Stage.SUPERSEDED, NOW, reason=COALESCED)

    def intent(self, number: int) -> Intent:
        """What publish would render for a number."""
        files = {"adapterd.json": f'{{"number":{number}}}'.encode(), "README.md": b"\x00\xffcard"}
        return Intent(number, "policy-1", files, f"v{number}")


@pytest.fixture
def trainer() -> Trainer:
    """A training host that writes."""
    return Trainer()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a MiB."""
    with mounted(tmp_path / "small", "512k") as disk:
        yield disk
