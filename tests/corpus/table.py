"""What the corpus says about the validator: a row for each class of fault and for each kind of good adapter."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapterd.core.verdict import Verdict
from corpus.faults import Faulty
from corpus.good import Good


@dataclass(frozen=True)
class Outcome:
    """One variant and what was said about it."""

    variant: Faulty | Good
    verdict: Verdict

    @property
    def code(self) -> str:
        """The code that stands first, or an empty string."""
        return self.verdict.reasons[0].code if self.verdict.reasons else ""

    @property
    def refused(self) -> bool:
        """Whether it would not be published."""
        return self.verdict.verdict != "passed"

    @property
    def right(self) -> bool:
        """Whether a faulty one is refused for what is wrong with it, or a good one passes with its warnings."""
        if isinstance(self.variant, Faulty):
            return self.refused and self.code in self.variant.codes
        return not self.refused and self.variant.warns <= {found.code for found in self.verdict.warnings}

    @property
    def told(self) -> str:
        """In a line, for one that is not right."""
        if isinstance(self.variant, Faulty):
            name, wanted = f"{self.variant.group}: {self.variant.name}", " or ".join(sorted(self.variant.codes))
        else:
            name, wanted = f"good: {self.variant.name}", ", ".join(["passed", *sorted(self.variant.warns)])
        found = self.code or ", ".join([self.verdict.verdict, *(warning.code for warning in self.verdict.warnings)])
        why = f" ({self.verdict.reasons[0].message[:160]})" if self.verdict.reasons else ""
        return f"{name}: expected {wanted}, got {found}{why}"


@dataclass(frozen=True)
class Table:
    """All outcomes, sorted."""

    faulty: tuple[Outcome, ...]
    unknowable: tuple[Outcome, ...]
    good: tuple[Outcome, ...]

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Table":
        """Sort them."""
        told = tuple(outcomes)
        faults = [o for o in told if isinstance(o.variant, Faulty)]
        return cls(
            tuple(o for o in faults if isinstance(o.variant, Faulty) and not o.variant.unknowable),
            tuple(o for o in faults if isinstance(o.variant, Faulty) and o.variant.unknowable),
            tuple(o for o in told if isinstance(o.variant, Good)),
        )

    @property
    def wrong(self) -> tuple[Outcome, ...]:
        """Everything that is not as it should be."""
        return tuple(outcome for outcome in (*self.faulty, *self.good) if not outcome.right)

    def text(self) -> str:
        """As it is printed."""
        lines = [_row("class of fault", "variants", "caught", "right code")]
        for group, outcomes in _grouped(self.faulty):
            lines.append(_row(group, *_counts(outcomes)))
        lines += [_row("all", *_counts(self.faulty)), "", _row("good adapters", "variants", "passed", "false alarms")]
        for kind, outcomes in _grouped(self.good):
            alarms = sum(outcome.refused for outcome in outcomes)
            lines.append(_row(kind, len(outcomes), len(outcomes) - alarms, alarms))
        alarms = sum(outcome.refused for outcome in self.good)
        lines += [_row("all", len(self.good), len(self.good) - alarms, alarms), ""]
        lines.append(_row("what no machine can know", "variants", "passed", ""))
        for group, outcomes in _grouped(self.unknowable):
            lines.append(_row(group, len(outcomes), sum(not outcome.refused for outcome in outcomes), ""))
        lines += ["", *(outcome.told for outcome in self.wrong), *([""] if self.wrong else []), self.total()]
        return "\n".join(lines)

    def total(self) -> str:
        """In one sentence."""
        variants, caught, right = _counts(self.faulty)
        alarms = sum(outcome.refused for outcome in self.good)
        return (
            f"{caught} of {variants} faulty variants caught, {right} with the right code; "
            f"{alarms} false alarms over {len(self.good)} good adapters; {len(self.unknowable)} cannot be known."
        )


def _row(name: str, *cells: object) -> str:
    return f"{name:<32}" + "".join(f"{cell!s:>14}" for cell in cells)


def _counts(outcomes: Iterable[Outcome]) -> tuple[int, int, int]:
    """Variants, those caught, and those caught with the right code."""
    told = tuple(outcomes)
    return len(told), sum(o.refused for o in told), sum(o.right for o in told)


def _grouped(outcomes: Iterable[Outcome]) -> list[tuple[str, list[Outcome]]]:
    """Outcomes by class, or by kind, as they come."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        name = outcome.variant.group if isinstance(outcome.variant, Faulty) else outcome.variant.kind
        groups.setdefault(name, []).append(outcome)
    return list(groups.items())
