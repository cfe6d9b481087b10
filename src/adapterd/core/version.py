"""The state machine, on one page: what an adapter version is, where it can stand, and what a step may say.

*Stage* is which facts are established. *Standing* is when the version moves next. The two are separate axes: a
version that waits out a rate limit is still VALIDATED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """Which facts about an adapter version are established."""

    STAGED = "staged"
    """A snapshot lies in the spool. Set by settle; left by validate. A crash leaves it here: validate begins anew."""
    VALIDATED = "validated"
    """A passing report for exactly this tree exists. Set by validate; left by publish, or by coalescing. A crash
    leaves it here, perhaps with a commit on the Hub: publish asks the Hub first."""
    PUBLISHED = "published"
    """The Hub holds exactly this tree under the tag. Final. Number and commit are set."""
    REJECTED = "rejected"
    """The probes said no under one policy. `retry` moves it back to STAGED."""
    SUPERSEDED = "superseded"
    """Coalesced within its run, by its final or a newer checkpoint, where the root does not ask for all. A wanted
    sighting moves it back to STAGED."""


LIVE = (Stage.STAGED, Stage.VALIDATED)
"""The stages from which a lane takes versions: STAGED by validate, VALIDATED by publish."""

MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.STAGED: frozenset({Stage.VALIDATED, Stage.REJECTED, Stage.SUPERSEDED}),
    Stage.VALIDATED: frozenset({Stage.STAGED, Stage.PUBLISHED, Stage.SUPERSEDED}),
    Stage.REJECTED: frozenset({Stage.STAGED}),
    Stage.SUPERSEDED: frozenset({Stage.STAGED}),
    Stage.PUBLISHED: frozenset(),
}
"""Every move of a step. A rebuild inserts what the Hub already holds as PUBLISHED, and what is not published can be
erased from every stage, to REJECTED for good."""


@dataclass(frozen=True, slots=True)
class AdapterVersion:
    """One immutable version of an adapter, as the registry knows it.

    Attributes:
        id: the registry's row.
        adapter: ``namespace/name``, which is also the repo id.
        identity: 64 hex digits; what makes two saves one version.
        tree: 64 hex digits; names the snapshot in the spool.
        intake: position in the order of settling, unique within the registry.
        base: the base model as the snapshot's config names it.
        run: the training run's folder, relative to its root.
        step: the trainer's step, where a sighting knows one.
        final: whether any sighting was a final save.
        labels: what the run's ``adapterd.yaml`` said, as plain JSON values.
        repairs: what the snapshot's config says differently from the source.
        trained: the trainer's last `loss` and `eval_loss`, where its state file says them.
        number: the version's number once one is reserved; its tag is ``v<number>``.
        commit: the 40-character commit once published.
        due_at: when the version moves next, seconds since the epoch.
        attempts: transient failures in a row.
        reason: the code of what it waits for, stalls on, or was refused for; empty when it simply moves.
        stalled: whether a person must act.
    """

    id: int
    adapter: str
    identity: str
    tree: str
    intake: int
    stage: Stage
    base: str = ""
    run: str = ""
    step: int | None = None
    final: bool = False
    labels: Mapping[str, Any] = field(default_factory=dict)
    repairs: tuple[Mapping[str, Any], ...] = ()
    number: int | None = None
    commit: str | None = None
    due_at: float = 0.0
    attempts: int = 0
    lease_until: float = 0.0
    reason: str = ""
    message: str = ""
    hint: str = ""
    stalled: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0
    trained: Mapping[str, float] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The version's tag on the Hub, or an empty string while it has no number."""
        return "" if self.number is None else f"v{self.number}"

    @property
    def label(self) -> str:
        """The name a person may give it on the command line: by tag, else by identity."""
        return f"{self.adapter}@{self.tag}" if self.number else f"{self.adapter}@id:{self.identity[:12]}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits, stalls or was refused: a code of `core.reasons`, the numbers, and what to do."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The step made its facts true; the version stands at `stage` now."""

    stage: Stage
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The version leaves the line: REJECTED by its report."""

    stage: Stage
    reason: Reason
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The world is not ready. Attempts do not grow; the version is due again at `until` (epoch seconds)."""

    until: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Stalled:
    """A person must act; `retry` sets the version going again."""

    reason: Reason


Outcome = Advanced | Refused | Waiting | Stalled


def backoff(attempts: int, first: float, longest: float, jitter: float) -> float:
    """Seconds to wait after the given number of failures in a row.

    Doubles from `first` up to `longest`, then takes "equal jitter": half of it fixed, half of it scaled by `jitter`
    in [0, 1), so that many versions that failed together do not come back together.
    """
    full = min(longest, first * 2.0 ** min(max(attempts - 1, 0), 32))
    return full / 2 + full / 2 * jitter
