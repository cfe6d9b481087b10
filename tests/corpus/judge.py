"""Judges one directory as `adapterd validate` does: from its files alone, then in a real worker, then by the limits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapterd.cli.verbs.explaining import explain
from adapterd.core.expected import Expected
from adapterd.core.reasons import reason
from adapterd.core.verdict import Limits, Verdict, decide
from adapterd.ports import BaseModel, ProbeRequest, ProbeResult, WorkerDied
from adapterd.worker.supervisor import WorkerSupervisor

SECONDS = 120.0


@dataclass
class Judge:
    """One worker for many adapters; `references` keeps what was measured of good ones in their right bases."""

    worker: WorkerSupervisor
    references: dict[Path, ProbeResult] = field(default_factory=dict)

    def __call__(
        self, folder: Path, base: Path, limits: Limits | None = None, expected: Expected | None = None
    ) -> Verdict:
        """Give the verdict on a directory in a base."""
        limits = limits or Limits()
        found = explain(folder)
        if found["code"] != "adapter":
            return Verdict("rejected", (reason(found["code"], found["message"]),))
        try:
            result = self.probe(folder, base)
        except WorkerDied as died:
            return decide([reason(died.cause, died.message)], {}, limits)
        if expected is not None:
            expected = replace(expected, fingerprint_here=result.base_fingerprint)
        return decide(result.findings, result.measurements, limits, expected)

    def probe(self, folder: Path, base: Path) -> ProbeResult:
        """Measure a directory in a base."""
        where = BaseModel(id="tiny/base", revision="local", path=str(base))
        return self.worker.probe(ProbeRequest(str(folder), where, devices=("cpu",), seconds=SECONDS))

    def reference(self, folder: Path, base: Path) -> ProbeResult:
        """Measure a good adapter in its right base, once."""
        if folder not in self.references:
            self.references[folder] = self.probe(folder, base)
        return self.references[folder]


@contextmanager
def judging() -> Iterator[Judge]:
    """Have a worker for as long as it is needed."""
    worker = WorkerSupervisor(threads=1, environ=os.environ)
    try:
        yield Judge(worker)
    finally:
        worker.close()
