"""Whatever a file holds, its parser takes it or refuses it in its own words; nothing else ever comes out."""

import random

import pytest

from durability.mutations import mutated
from durability.targets import TARGETS

INPUTS, OF_A_SLOW_ONE = 4000, 300
"""For each parser, from a fixed seed; `make fuzz` tries new ones for as long as one likes."""


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_parser_takes_its_own_documents(name: str) -> None:
    """The documents that the fuzzer begins from are valid, or it would only ever see the first refusal."""
    target = TARGETS[name]
    assert target(target.seeds[0])


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_document_makes_a_parser_raise_what_it_must_not(name: str) -> None:
    """Nearly valid documents, bombs and nonsense."""
    target, choice = TARGETS[name], random.Random(name)  # noqa: S311 - no secret
    for _ in range(OF_A_SLOW_ONE if target.slow else INPUTS):
        data = mutated(target.seeds, target.words, choice)
        try:
            target(data)
        except Exception as error:
            error.add_note(f"the document: {data[:2000]!r}")
            raise
