"""All variants, good and faulty, each by a name of its own."""

from corpus import faulty_bases, faulty_config, faulty_effect, faulty_files, faulty_keys, faulty_numbers
from corpus.faults import Faulty
from corpus.good_odd import GOOD

GOODS = {good.name: good for good in GOOD}
FAULTS: tuple[Faulty, ...] = (
    *faulty_effect.FAULTS,
    *faulty_keys.FAULTS,
    *faulty_numbers.FAULTS,
    *faulty_bases.FAULTS,
    *faulty_config.FAULTS,
    *faulty_files.FAULTS,
)
KNOWABLE = tuple(fault for fault in FAULTS if not fault.unknowable)
UNKNOWABLE = tuple(fault for fault in FAULTS if fault.unknowable)


def base_of(fault: Faulty) -> str:
    """Name the base that a variant is judged in."""
    source = GOODS[fault.source] if isinstance(fault.source, str) else fault.source
    return fault.base or source.base
