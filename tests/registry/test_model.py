"""The line under any order of claims, moves, sleepers and clock steps, compared with a model that fits on a page."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapterd.core.version import MOVES, Reason, Stage
from adapterd.ports import Claim, Draft, Intent, LostLease
from adapterd.registry import open_registry

LEASE, HORIZON = 60.0, 3600.0
WHY = Reason("hub_unreachable", "no answer")
MOVED = st.sampled_from([Stage.VALIDATED, Stage.REJECTED, Stage.STAGED, Stage.PUBLISHED, Stage.SUPERSEDED])
HOW = st.sampled_from(["wait", "stall", "free"])


@dataclass
class Modelled:
    """What the model knows of a version."""

    stage: Stage = Stage.STAGED
    due: float = 0.0
    lease: float = 0.0
    holder: int | None = None
    stalled: bool = False
    number: int | None = None


class Line(RuleBasedStateMachine):
    """Every claim ever given may be used at any time; the model says whether it still counts."""

    template: Path

    def __init__(self) -> None:
        """Open a registry of its own."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.registry = open_registry(shutil.copy(self.template, self.folder / "registry.db"), clock=lambda: self.now)
        self.now = 1_000_000.0
        self.model: dict[int, Modelled] = {}
        self.claims: list[Claim] = []
        self.highest = 0

    def teardown(self) -> None:
        """Close it."""
        self.registry.close()
        shutil.rmtree(self.folder)

    @initialize()
    def first(self) -> None:
        """There is something to claim."""
        self.intake()

    @rule()
    def intake(self) -> None:
        """A version comes in."""
        mark = f"{len(self.model):064x}"
        draft = Draft("a/b", mark, mark, "/train", mark, "run", None, None, False, "base", "LORA", "CAUSAL_LM", mark)
        version, _ = self.registry.intake(draft, self.now)
        self.model[version.id] = Modelled(due=self.now)

    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE, HORIZON, -30.0, -86_400.0]))
    def clock(self, seconds: float) -> None:
        """The clock goes on, or is set back."""
        self.now += seconds

    @rule(stage=st.sampled_from([Stage.STAGED, Stage.VALIDATED]))
    def claim(self, stage: Stage) -> None:
        """A lane claims: it gets the first that is due and free, or nothing."""
        claim = self.registry.claim(stage, "lane", self.now, LEASE, HORIZON)
        open_to = [v for v, m in self.model.items() if m.stage is stage and not m.stalled and self._free(m)]
        assert (claim.version.id if claim else None) == min(open_to, default=None)
        if claim:
            mine = self.model[claim.version.id]
            mine.holder, mine.lease = len(self.claims), self.now + LEASE
            self.claims.append(claim)

    def _free(self, m: Modelled) -> bool:
        due = m.due <= self.now or m.due > self.now + HORIZON
        return due and (m.holder is None or m.lease <= self.now or m.lease > self.now + HORIZON)

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 50), to=MOVED)
    def advance(self, which: int, to: Stage) -> None:
        """Whoever ever had a claim moves its version: it works exactly for the holder, along the line."""
        claim, m, holds = self._pick(which)
        commit = "c" * 40 if to is Stage.PUBLISHED else None
        if not holds:
            with pytest.raises(LostLease):
                self.registry.advance(claim, to, self.now, commit=commit)
        elif to not in MOVES[m.stage] or (to is Stage.PUBLISHED and m.number is None):
            with pytest.raises(ValueError, match=r"no version moves|without a number"):
                self.registry.advance(claim, to, self.now, commit=commit)
        else:
            self.registry.advance(claim, to, self.now, commit=commit)
            m.stage, m.due, m.holder, m.stalled = to, self.now, None, False

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 50), above=st.integers(0, 9), anew=st.booleans())
    def plan(self, which: int, above: int, *, anew: bool) -> None:
        """A number is above all that there were, or the one reserved before."""
        claim, m, holds = self._pick(which)
        try:
            number = self.registry.plan(claim, above, lambda n: Intent(n, "p", {}, ""), anew=anew).number
        except (LostLease, ValueError):
            assert not (holds and m.stage is Stage.VALIDATED)
            return
        if m.number is None or anew:
            assert number == max(above, self.highest) + 1
            m.number = self.highest = number
        assert number == m.number

    @precondition(lambda self: self.claims)
    @rule(
        which=st.integers(0, 50),
        seconds=st.sampled_from([0.0, 10.0, HORIZON]),
        how=st.sampled_from(["wait", "stall", "free"]),
    )
    def put_back(self, which: int, seconds: float, how: str) -> None:
        """A holder waits, stalls or gives back; who holds no longer can do none of it."""
        claim, m, holds = self._pick(which)
        try:
            if how == "wait":
                self.registry.wait(claim, self.now + seconds, WHY, self.now, failed=True)
            elif how == "stall":
                self.registry.stall(claim, WHY, self.now)
            else:
                self.registry.release(claim)
        except LostLease:
            assert not holds
            return
        assert holds
        m.holder, m.stalled = None, how == "stall"
        m.due = {"wait": self.now + seconds, "stall": self.now}.get(how, m.due)

    @rule(which=st.integers(0, 50))
    def retry(self, which: int) -> None:
        """A person sets a version going again."""
        version = sorted(self.model)[which % len(self.model)]
        m = self.model[version]
        self.registry.retry(version, self.now, "alice")
        if m.stage is Stage.PUBLISHED:
            return
        if m.stage in (Stage.REJECTED, Stage.SUPERSEDED):
            m.stage, m.holder = Stage.STAGED, None
        m.due, m.stalled = self.now, False

    def _pick(self, which: int) -> tuple[Claim, Modelled, bool]:
        index = which % len(self.claims)
        m = self.model[self.claims[index].version.id]
        return self.claims[index], m, m.holder == index

    @invariant()
    def registry_is_the_model(self) -> None:
        """What the registry says of each version is what the model says."""
        told = {v.id: (v.stage, v.due_at, v.stalled, v.number) for v in self.registry.versions()}
        assert told == {version: (m.stage, m.due, m.stalled, m.number) for version, m in self.model.items()}


def test_line_is_its_model(template: Path) -> None:
    """In any order of events the registry does what the model does, and only a holder gets to write."""

    class Here(Line):
        pass

    Here.template = template
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
