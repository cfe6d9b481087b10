"""What a faulty variant is, and how its outcome counts."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.core.expected import Expected
from adapterd.core.verdict import Limits, Verdict
from corpus.changes import Change, nothing
from corpus.good import Good
from corpus.judge import Judge
from corpus.workshop import Workshop

LOSS, FINGERPRINT = "loss", "fingerprint"


@dataclass(frozen=True)
class Faulty:
    """One way to be broken.

    Attributes:
        group: the class of fault that it belongs to.
        source: the good adapter that it is a broken copy of: its name, or how it is made.
        change: what is done to the copy.
        codes: the code that must stand first; several where they are equally right.
        base: the base it is judged in, where that is not the source's.
        recorded: what was written down of the source in its own base: its loss, or the base's fingerprint.
        unknowable: whether nothing in the files or the base can tell, so that it cannot be asked for.
        limits: what measurements may be, where they are not as usual.
    """

    group: str
    name: str
    source: str | Good
    codes: frozenset[str]
    change: Change = nothing
    base: str = ""
    recorded: frozenset[str] = frozenset()
    unknowable: bool = False
    limits: Limits = field(default_factory=Limits)


def faulty(
    group: str,
    name: str,
    source: str | Good,
    codes: str,
    change: Change = nothing,
    *,
    base: str = "",
    recorded: str = "",
    limits: Limits | None = None,
) -> Faulty:
    """Describe a variant; `codes` and `recorded` are words with spaces between, no codes: unknowable."""
    wanted = frozenset(codes.split())
    told = frozenset(recorded.split())
    return Faulty(group, name, source, wanted, change, base, told, not wanted, limits or Limits())


@dataclass
class Grounds:
    """Where faulty variants are made and judged."""

    shop: Workshop
    judge: Judge
    goods: dict[str, Good]

    def good(self, good: str | Good) -> tuple[Good, Path]:
        """Give a good adapter and its folder, made once."""
        good = self.goods[good] if isinstance(good, str) else good
        if good.name not in self.shop.made:
            self.shop.made[good.name] = good.make(self.shop)
        return good, self.shop.made[good.name]

    def make(self, variant: Faulty) -> Path:
        """Break a copy of its source."""
        _, folder = self.good(variant.source)
        broken = Path(tempfile.mkdtemp(prefix="broken-", dir=self.shop.home))
        shutil.copytree(folder, broken, dirs_exist_ok=True)
        variant.change(broken)
        return broken

    def verdict_on_good(self, good: Good) -> Verdict:
        """Judge a good adapter in its base."""
        return self.judge(self.good(good)[1], self.shop.bases.path(good.base))

    def verdict_on(self, variant: Faulty) -> Verdict:
        """Make it and judge it."""
        good, folder = self.good(variant.source)
        right = self.shop.bases.path(good.base)
        expected = None
        if variant.recorded:
            measured = self.judge.reference(folder, right)
            expected = Expected(
                loss=measured.measurements["loss_adapter"] if LOSS in variant.recorded else None,
                fingerprint=measured.base_fingerprint if FINGERPRINT in variant.recorded else "",
            )
        base = self.shop.bases.path(variant.base) if variant.base else right
        return self.judge(self.make(variant), base, variant.limits, expected)
