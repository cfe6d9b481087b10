"""One worker, one workshop and one set of tiny bases for the whole corpus."""

from collections.abc import Iterator

import pytest

from corpus.catalogue import GOODS
from corpus.faults import Grounds
from corpus.judge import judging
from corpus.workshop import Workshop


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """Where variants are made and judged."""
    with judging() as judge:
        yield Grounds(Workshop.at(tmp_path_factory.mktemp("corpus") / "workshop"), judge, GOODS)
