"""Files of probe examples: what they may hold, and how a wrong line is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.examples import BUILT_IN, MAX_EXAMPLES, BadExamplesError, Example, digest, parse_examples


def lines(*examples: object) -> bytes:
    """Write examples as lines of JSON."""
    return "\n".join(json.dumps(example) for example in examples).encode()


def test_a_line_is_a_prompt_alone_or_with_what_should_follow() -> None:
    """Plain text, a completion, or a label by index or name; empty lines count for nothing."""
    data = lines({"prompt": "a"}, {"prompt": "b", "completion": " c"}, {"prompt": "d", "label": 2}) + b"\n\n"
    data += lines({"prompt": "e", "label": "good"})
    assert parse_examples(data) == (
        Example("a"),
        Example("b", " c"),
        Example("d", label=2),
        Example("e", label="good"),
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "holds no example"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "line 1 is not JSON"),
        (b'{"prompt": "a"}\n[]', "line 2 is no object"),
        (b'{"text": "a"}', "unknown key 'text'"),
        (b'{"prompt": ""}', "needs a prompt"),
        (b'{"prompt": 1}', "needs a prompt"),
        (b'{"prompt": "a", "completion": null}', "needs a prompt"),
        (b'{"prompt": "a", "label": true}', "label"),
        (b'{"prompt": "a", "label": 1.5}', "label"),
        (b'{"prompt": "a", "label": 1, "completion": "b"}', "completion beside it"),
        (lines(*[{"prompt": "a"}] * (MAX_EXAMPLES + 1)), "at most"),
        (b" " * (1024 * 1024 + 1), "bytes"),
        (b"[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_a_wrong_file_is_told_by_its_first_wrong_line(data: bytes, told: str) -> None:
    """The line's number, and what is wrong with it."""
    with pytest.raises(BadExamplesError, match=told):
        parse_examples(data)


@given(st.binary(max_size=200))
def test_anything_is_examples_or_one_error(data: bytes) -> None:
    """No bytes end in another error."""
    try:
        found = parse_examples(data)
    except BadExamplesError:
        found = BUILT_IN
    assert all(example.prompt for example in found)


def test_a_digest_names_what_is_measured_on_without_giving_it_away() -> None:
    """Order, labels and completions count; none means the built-in ones."""
    sets = [(), (Example("a"),), (Example("a", "b"),), (Example("a", label=0),), (Example("a"), Example("b"))]
    assert len({digest(examples) for examples in sets}) == len(sets)
    assert digest(()) == digest(BUILT_IN)
