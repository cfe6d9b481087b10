"""The picture of the losses: XML that any viewer reads, within its frame, with words for who cannot see it."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.facts import Losses
from adapterd.core.picture import MOST, picture
from core.test_cards import facts

SVG = "{http://www.w3.org/2000/svg}"
LOSS = st.floats(0, 50, allow_nan=False)


def drawn(*history: Losses, adapter: str = "acme/support") -> ET.Element:
    """The picture of a version that has these behind it, and no loss of its own."""
    made = facts({"measurements": {}}, history=history)
    return ET.fromstring(picture(replace(made, version=replace(made.version, adapter=adapter)), 1000).decode())  # noqa: S314 - our own bytes


def texts(picture: ET.Element) -> list[str]:
    """The words that are drawn."""
    return [str(each.text) for each in picture.iter(f"{SVG}text")]


@given(
    st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=60),
    st.text(alphabet=st.characters(codec="ascii", min_codepoint=32)),
)
def test_whatever_was_measured_is_drawn_within_the_frame(measured: list[tuple[float, float]], name: str) -> None:
    """A point for each of the newest versions and each of its two losses; a name is text, whatever it holds."""
    svg = drawn(*(Losses(n, *pair) for n, pair in enumerate(measured, 1)), adapter=name)
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    circles = list(svg.iter(f"{SVG}circle"))
    assert len(circles) == 2 * min(len(measured), MOST)
    assert all(0 < float(c.attrib["cx"]) < width and 0 < float(c.attrib["cy"]) < height for c in circles)
    assert svg.findtext(f"{SVG}title") == f"Loss on the probe texts over the versions of {name}"


def test_it_says_in_words_what_it_shows() -> None:
    """For a screen reader: every number, and which way is better."""
    svg = drawn(Losses(1, 2.5, 3.0), Losses(2, 2.25, 3.0))
    described = svg.findtext(f"{SVG}desc")
    assert described == (
        "Nats per token. v1: 2.5000 with the adapter, 3.0000 without; v2: 2.2500 with the adapter, 3.0000 without. "
        "Lower is better."
    )
    assert (svg.attrib["role"], svg.attrib["aria-labelledby"]) == ("img", "t d")


@pytest.mark.parametrize(("base", "lines"), [(3.0, 2), (3.001, 2), (3.5, 0)])
def test_losses_on_other_ground_are_not_joined(base: float, lines: int) -> None:
    """Where the bare base's own loss is another, base or probes are, and a line would compare what cannot be."""
    svg = drawn(Losses(1, 2.5, 3.0), Losses(2, 2.0, base))
    assert len(list(svg.iter(f"{SVG}path"))) == lines


def test_many_versions_have_few_labels_and_the_newest_has_one() -> None:
    """Numbers below the axis do not run into each other."""
    svg = drawn(*(Losses(n, 2.0, 3.0) for n in range(1, 41)))
    numbers = [text for text in texts(svg) if re.fullmatch(r"v\d+", text)]
    assert (len(numbers) <= 14, numbers[-1]) == (True, "v40")


def test_the_two_names_never_lie_on_each_other() -> None:
    """A loss as large as the base's own."""
    svg = drawn(Losses(1, 3.0, 3.0))
    levels = [
        float(each.attrib["y"]) for each in svg.iter(f"{SVG}text") if str(each.text).startswith(("base", "adapter"))
    ]
    assert abs(levels[0] - levels[1]) >= 16


def test_no_news_is_not_drawn_as_news() -> None:
    """A difference of a thousandth is a flat line."""
    svg = drawn(Losses(1, 2.499, 2.5), Losses(2, 2.4995, 2.5))
    first, last = (float(c.attrib["cy"]) for c in svg.iter(f"{SVG}circle") if c.attrib["class"] == "f")
    assert abs(first - last) < 12
