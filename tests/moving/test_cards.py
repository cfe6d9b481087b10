"""A channel's card: what a person wrote in it stays, though it is not read where nobody wrote."""

import pytest

from adapterd import moving
from adapterd.core import publication as pub
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from moving.series import SAID, Series

LICENCE = "license: mit\n"


@pytest.fixture
def series(hub: HubClient) -> Series:
    """Three versions, of which the card of the second alone says a licence."""
    made = Series(hub)
    for front in ("", LICENCE, ""):
        made.publish(front=f"library_name: peft\n{front}")
    return made


def card(series: Series) -> str:
    """What `main` shows."""
    return series.hub.read(series.adapter, "main", pub.CARD).decode()


def write_licence(series: Series) -> None:
    """Have a person say the licence, in the very words of the second version's card."""
    series.write("main", pub.CARD, card(series).replace("library_name", f"{LICENCE}library_name", 1).encode())


def promote(series: Series, number: int) -> None:
    """Move `main` by hand."""
    moving.promote(series.hub, series.adapter, number, "main", SAID)


def back(series: Series) -> None:
    """Roll `main` back, and let go of it."""
    moving.rollback(series.hub, series.adapter, "main", None, SAID)
    moving.release(series.hub, series.adapter, "main", SAID)


def test_a_persons_word_that_a_version_says_too_stays(series: Series) -> None:
    """The version's card hides whose word it is; what lay there before does not."""
    promote(series, 1)
    write_licence(series)
    promote(series, 2)
    back(series)
    assert LICENCE in card(series)


def test_the_same_card_may_have_been_nobodys_before(series: Series) -> None:
    """The second version's card lay there when nobody had written, and lies there again when a person had."""
    promote(series, 1)
    promote(series, 2)
    back(series)
    assert LICENCE not in card(series)
    write_licence(series)
    promote(series, 2)
    back(series)
    assert LICENCE in card(series)


def test_a_card_of_versions_alone_is_not_read(series: Series, server: RunningHub) -> None:
    """Move after move, by hand too; once a person has written, it is."""
    promote(series, 1)
    promote(series, 3)
    assert not _read(series, server)
    promote(series, 3)
    series.write("main", pub.CARD, (card(series) + "\nUse it with care.\n").encode())
    assert _read(series, server)
    assert "Use it with care." in card(series)


def _read(series: Series, server: RunningHub) -> bool:
    """Whether a rollback reads the card that lies on `main`."""
    head = series.head("main")
    server.requests.clear()
    back(series)
    return any(record.path.endswith(f"/resolve/{head}/{pub.CARD}") for record in server.requests)
