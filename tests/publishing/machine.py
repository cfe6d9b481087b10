"""Hypothesis writes the schedules of a yard: any order of crashes, other writers, persons and clocks."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from adapterd.core import publication as pub
from publishing.stations import BAD, DOUBTFUL, GOOD
from publishing.yard import Yard

_repos = itertools.count(1)

CONTENT = st.sampled_from((*GOOD, DOUBTFUL, BAD))
STEP = st.sampled_from((None, 5, 10))
STATION = st.integers(0, 1)
HAND = st.sampled_from("xy")
FAR = st.one_of(
    st.integers(1, 30),
    st.none(),
    st.sampled_from(
        [f"{when} {effect}" for when in ("before", "after") for effect in ("plan", "commit", "create_tag", "advance")]
    ),
)
SECONDS = (10.0, 120.0, 3000.0, 90_000.0, -120.0, -90_000.0)
HARMLESS = ("edits main's card", "edits the newest card")
HARMFUL = ("tags", "tags a version", "adds code", "adds code to main", "cleans", "rot")
LEASE_OVER = 3000.0


class Publishing(RuleBasedStateMachine):
    """One or two publishers, three hands each, and what befalls them; nothing of it may break a truth."""

    endpoint: str
    template: Path
    counted: Counter[str]

    def __init__(self) -> None:
        """Wait for `begin`."""
        super().__init__()
        self.yard: Yard | None = None
        self.broken = False

    @initialize(
        names=st.sampled_from(("a", "ab")),
        calm=st.booleans(),
        checkpoints=st.sampled_from(("all", "latest")),
        first=st.lists(st.tuples(CONTENT, STEP), min_size=1, max_size=3),
    )
    def begin(self, names: str, checkpoints: str, first: list[tuple[int, int | None]], *, calm: bool) -> None:
        """Decide how many publishers there are, whether a person interferes, and what is there to begin with."""
        folder = Path(tempfile.mkdtemp(prefix="yard-"))
        repo = f"acme/model-{next(_repos)}"
        self.calm, self.names = calm, names
        self.yard = Yard(folder, self.endpoint, repo, self.template, names, checkpoints=checkpoints)
        self.counted["schedules"] += 1
        for number, (content, step) in enumerate(first):
            self.yard.write(self._at(number), content, step, same_run=True)
        for name in names:
            self.yard.work(name, "intake", "intake")

    @contextmanager
    def _move(self, what: str) -> Iterator[Yard]:
        assert self.yard is not None
        self.counted[what] += 1
        try:
            yield self.yard
        except BaseException:
            self.broken = True
            raise

    def _at(self, station: int) -> str:
        return self.names[station % len(self.names)]

    @rule(
        station=STATION, content=CONTENT, step=STEP, same_run=st.booleans(), places=st.sampled_from((None, None, 4, 9))
    )
    def write(self, station: int, content: int, step: int | None, places: int | None, *, same_run: bool) -> None:
        """A training saves something, and the intake lane looks."""
        with self._move("write") as yard:
            yard.write(self._at(station), content, step, same_run=same_run)
            yard.work(self._at(station), "intake", "intake", places)

    @rule(station=STATION, places=st.one_of(st.none(), st.integers(1, 12)))
    def validate(self, station: int, places: int | None) -> None:
        """The lane that validates goes on."""
        with self._move("validate") as yard:
            yard.work(self._at(station), "validate", "validate", places)

    @rule(station=STATION, hand=HAND, places=FAR, promote=st.booleans())
    def publish(self, station: int, hand: str, places: int | str | None, *, promote: bool) -> None:
        """A hand goes on with what it publishes, or takes up the next that is validated; the channels follow or not."""
        with self._move("publish") as yard:
            yard.work(self._at(station), "validate", "validate")
            yard.work(self._at(station), hand, "publish", places)
            if promote:
                yard.work(self._at(station), "channels", "promote")

    @rule(first=STATION, second=STATION, there=FAR, then=FAR)
    def publish_in_turns(self, first: int, second: int, there: int | str | None, then: int | str | None) -> None:
        """Two hands, perhaps of two publishers, in the middle of each other's work."""
        with self._move("publish_in_turns") as yard:
            for station in {first, second}:
                yard.work(self._at(station), "validate", "validate")
            yard.work(self._at(first), "x", "publish", there)
            yard.work(self._at(second), "y", "publish", then)
            yard.work(self._at(first), "x", "publish", there)

    @rule(station=STATION, first=FAR, second=FAR)
    def sleep_over_the_lease(self, station: int, first: int | str | None, second: int | str | None) -> None:
        """A hand sleeps in the middle of publishing until its lease is over, another takes the version, both go on."""
        with self._move("sleep_over_the_lease") as yard:
            name = self._at(station)
            yard.work(name, "validate", "validate")
            yard.work(name, "x", "publish", first)
            yard.pass_time(name, LEASE_OVER)
            yard.work(name, "y", "publish", second)
            yard.work(name, "x", "publish", second)

    @rule(station=STATION, places=FAR)
    def promote(self, station: int, places: int | str | None) -> None:
        """The one lane that moves channels goes on."""
        with self._move("promote") as yard:
            yard.work(self._at(station), "channels", "promote", places)

    @rule(
        station=STATION,
        hand=st.sampled_from(("x", "y", "intake", "validate", "channels")),
        far=st.integers(1, 20),
        how=st.sampled_from(("kill", "lose_answer", "power_cut", "lose_registry", "rebuild", "half a rebuild")),
    )
    def die(self, station: int, hand: str, how: str, far: int) -> None:
        """A hand is gone, or the Hub's answer to it, or its whole process, or even the registry."""
        with self._move(how) as yard:
            name = self._at(station)
            match how:
                case "kill":
                    yard.kill(name, hand)
                case "lose_answer":
                    yard.lose_answer(name, hand)
                case "power_cut":
                    yard.power_cut(name)
                case _:
                    yard.lose_registry(name, rebuild="rebuild" in how, places=far if "half" in how else None)

    @rule(station=STATION, what=st.sampled_from((*SECONDS, "policy", "retry")))
    def host(self, station: int, what: float | str) -> None:
        """Time goes by, or jumps; an operator changes the policy, or retries."""
        with self._move(f"clock {what:+g}" if isinstance(what, float) else what) as yard:
            name = self._at(station)
            if isinstance(what, float):
                yard.pass_time(name, what)
            elif what == "policy":
                yard.change_policy(name)
            else:
                yard.retry(name)

    @rule(station=STATION, what=st.sampled_from((*HARMLESS, *HARMFUL)))
    def person(self, station: int, what: str) -> None:
        """Somebody edits a card, tags by hand, adds a file that a loader would read, removes it; a disk loses bytes."""
        what = HARMLESS[station] if self.calm else what
        with self._move(f"person {what}") as yard:
            match what:
                case "edits main's card":
                    yard.person_commits("main", pub.CARD, harmless=True)
                case "edits the newest card":
                    yard.person_commits(pub.BRANCH, pub.CARD, harmless=True)
                case "tags" | "tags a version":
                    yard.person_tags(1 + station, version=what == "tags a version")
                case "adds code" | "adds code to main":
                    yard.person_commits("main" if "main" in what else pub.BRANCH, "notes.py", harmless=False)
                case "cleans":
                    yard.person_cleans()
                case _:
                    yard.rot(self._at(station))

    def teardown(self) -> None:
        """Drive it to its end, unless it broke before."""
        if self.yard is None:
            return
        try:
            if not self.broken:
                self.yard.settle()
                self.counted["versions"] += len(self.yard.truths.versions)
        finally:
            self.yard.close()


def run(
    endpoint: str, template: Path, examples: int, steps: int = 14, *, anew: bool = False, shrink: bool = True
) -> Counter[str]:
    """Let Hypothesis write so many schedules; what was done in them, counted. `anew`: not the same ones every time."""

    class Here(Publishing):
        pass

    Here.endpoint, Here.template, Here.counted = endpoint, template, Counter()
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not anew,
            database=None,
            print_blob=False,
            phases=(Phase.generate, *([Phase.shrink] if shrink else [])),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Here.counted
