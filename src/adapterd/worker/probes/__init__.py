"""The probes: one function each, and one line in the list of its level.

A probe looks at a case, writes down what it measures, and yields the faults that it found. Levels run in order, cheap
before expensive; within a level every probe runs, so that all faults of one level are told at once.
"""

from collections.abc import Callable, Iterable, Sequence

from adapterd.core.version import Reason
from adapterd.worker.case import Case
from adapterd.worker.probes import loaded, passes, static, structural

Probe = Callable[[Case], Iterable[Reason]]

FILES: Sequence[Probe] = (
    static.file_size,
    static.config_numbers,
    static.config_known,
    static.ranks_agree,
    static.tensors_not_empty,
    static.values_in_range,
    static.pages_written,
    static.rows_whole,
)
STRUCTURE: Sequence[Probe] = (
    structural.keys_match,
    structural.head_expected,
    structural.shapes_match,
    structural.kinds_match,
    structural.places_exist,
)
BASE: Sequence[Probe] = (loaded.head_held, loaded.tokens_fit, loaded.embeddings_are_the_bases)
LOADED: Sequence[Probe] = (loaded.round_trip, loaded.placed, loaded.weight_change)
OUTPUTS: Sequence[Probe] = (passes.outputs_finite, passes.repeatable, passes.output_change, passes.exercised)
REMOVED: Sequence[Probe] = (passes.base_unchanged,)


def look(case: Case, probes: Sequence[Probe]) -> list[Reason]:
    """Run every probe of a level, and give all that they found."""
    return [found for probe in probes for found in probe(case)]
