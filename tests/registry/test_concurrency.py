"""Several lanes at one registry: no version in two hands, no number twice, nothing lost."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from adapterd.core.version import Stage
from adapterd.ports import Claim, LostLease, Registry

if TYPE_CHECKING:
    from registry.conftest import Trainer

LEASE, HORIZON = 60.0, 3600.0
LANES, VERSIONS = 6, 24


def test_lanes_race_for_versions(registry: Registry, trainer: "Trainer") -> None:
    """Of lanes that claim at the same time, each version goes to one."""
    for _ in range(VERSIONS):
        trainer.staged(registry)
    start = threading.Barrier(LANES)

    def lane(n: int) -> list[int]:
        start.wait()
        mine = []
        while claim := registry.claim(Stage.STAGED, f"lane-{n}", trainer.now, LEASE, HORIZON):
            mine.append(claim.version.id)
        return mine

    with ThreadPoolExecutor(LANES) as pool:
        taken = Counter(version for mine in pool.map(lane, range(LANES)) for version in mine)
    assert taken == dict.fromkeys((v.id for v in registry.versions()), 1)


def test_lanes_race_down_the_line(registry: Registry, trainer: "Trainer") -> None:
    """Lanes that claim, plan and publish at once, while the status page reads, give each version its own number."""
    for _ in range(VERSIONS):
        trainer.staged(registry)
    start = threading.Barrier(LANES + 1)
    done = threading.Event()

    def work(stage: Stage, owner: str) -> bool:
        claim = registry.claim(stage, owner, trainer.now, LEASE, HORIZON)
        if claim is None:
            return False
        if stage is Stage.STAGED:
            registry.advance(claim, Stage.VALIDATED, trainer.now, validation=trainer.report(claim.version))
        else:
            number = registry.plan(claim, 0, trainer.intent).number
            registry.advance(claim, Stage.PUBLISHED, trainer.now, commit=f"{number:040x}")
        return True

    def lane(n: int) -> None:
        start.wait()
        while not done.is_set() and registry.counts()[Stage.PUBLISHED] < VERSIONS:
            work(Stage.VALIDATED if n % 2 else Stage.STAGED, f"lane-{n}")

    def page() -> set[int]:
        start.wait()
        seen = {VERSIONS}
        while not done.is_set():
            counts = registry.counts()
            seen.add(sum(counts[stage] for stage in Stage))
        return seen

    with ThreadPoolExecutor(LANES + 1) as pool:
        reading = pool.submit(page)
        lanes = [pool.submit(lane, n) for n in range(LANES)]
        try:
            for finished in lanes:
                finished.result(timeout=60)
        finally:
            done.set()
        assert reading.result(timeout=60) == {VERSIONS}
    assert sorted(v.number or 0 for v in registry.versions()) == list(range(1, VERSIONS + 1))
    assert registry.generation() == VERSIONS


def test_successors_race_a_sleeper(registry: Registry, trainer: "Trainer") -> None:
    """Of a sleeper whose lease ran out and everybody who takes over, one gets to write."""
    version = trainer.staged(registry)
    holders = [trainer.claim(registry, Stage.STAGED, f"lane-{n}", trainer.now + n * LEASE) for n in range(LANES)]
    start = threading.Barrier(LANES)

    def write(claim: Claim) -> bool:
        start.wait()
        try:
            registry.advance(claim, Stage.VALIDATED, trainer.now, validation=trainer.report(version))
        except LostLease:
            return False
        return True

    with ThreadPoolExecutor(LANES) as pool:
        assert list(pool.map(write, holders)) == [False] * (LANES - 1) + [True]
    assert len(registry.validations(version.id)) == 1
