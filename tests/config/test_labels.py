"""``adapterd.yaml`` in a run folder: optional, bounded, and exact about its keys."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.config import Labels, LabelsError, read_labels

TOKEN = "hf_" + "x" * 34
WHOLE = b"""\
adapter: support-lora
publish: no
datasets: [org/tickets, org/chats]
license: apache-2.0
language: [en, no]
tracker: https://tracker.example.org/#/runs/42
git: git@github.com:org/training.git
notes: |
  First try
  with rank 16.
base:
  revision: 0123456789012345678901234567890123456789
  fingerprint: sha256:abc
expect:
  loss: 1.25
"""


def test_all_labels() -> None:
    """Every label of the contract is read into its type."""
    labels = read_labels(WHOLE)
    assert labels.adapter == "support-lora"
    assert labels.publish is False
    assert labels.datasets == ("org/tickets", "org/chats")
    assert labels.language == ("en", "no")
    assert labels.notes == "First try\nwith rank 16.\n"
    assert labels.base.revision == "0123456789012345678901234567890123456789"
    assert labels.expect.loss == 1.25


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"---\n", b"base:\nexpect:\n"])
def test_no_labels(data: bytes) -> None:
    """An empty file, or one of headings alone, says nothing: the adapter is published."""
    labels = read_labels(data)
    assert labels == Labels()
    assert labels.publish
    assert labels.record() == {}


def test_one_word_is_a_list_of_one() -> None:
    """A single dataset or language needs no brackets, and no is Norwegian."""
    labels = read_labels(b"datasets: org/tickets\nlanguage: no\n")
    assert (labels.datasets, labels.language) == (("org/tickets",), ("no",))


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"adapter: a\npublsh: no\n", "adapterd.yaml:2: publsh: is no key here", "publish, if that was meant"),
        (b"base:\n  revison: x\n", "adapterd.yaml:2: base.revison: is no key here", "revision, if that was meant"),
        (b"loss: 1.5\n", "adapterd.yaml:1: loss: is no key here", "expect.loss, if that was meant"),
        (
            b"colour: blue\n",
            "adapterd.yaml:1: colour: is no key here; expected adapter, publish,",
            "x-colour for a note",
        ),
        (b"api_key: blue\n", "adapterd.yaml:1: api_key: is no key here, and a secret must not", "hub.token_file"),
    ],
)
def test_a_key_that_is_no_label_is_refused(data: bytes, message: str, hint: str) -> None:
    """A mistyped `publish: no` must not publish: the error has the key, its line, and the key that was meant."""
    with pytest.raises(LabelsError) as caught:
        read_labels(data)
    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)


def test_keys_of_the_users_own_are_ignored() -> None:
    """What begins with x- is a note for nobody but its writer: read by no one, and not published."""
    labels = read_labels(b"adapter: a\nx-colour: blue\nx-more: {any: [thing]}\nexpect: {loss: 1, x-bleu: 2}\n")
    assert labels.record() == {"adapter": "a", "expect": {"loss": 1.0}}


def test_errors_name_the_file_as_the_caller_does() -> None:
    """Many runs have labels; the error says whose they are."""
    with pytest.raises(LabelsError, match=r"^run-7/adapterd\.yaml:1: colour: "):
        read_labels(b"colour: blue\n", "run-7/adapterd.yaml")


def test_the_record_holds_what_was_said() -> None:
    """The manifest gets only labels that were given, as JSON values."""
    labels = read_labels(b"adapter: a\nlanguage: de\nexpect: {loss: 1.5}\n")
    assert labels.record() == {"adapter": "a", "language": ["de"], "expect": {"loss": 1.5}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"- a\n", "adapterd.yaml:1: found a list; expected a section with adapter, publish,"),
        (b"adapter: my adapter\n", "adapterd.yaml:1: adapter: found 'my adapter'"),
        (b"publish: later\n", "adapterd.yaml:1: publish: found 'later'; expected true or false"),
        (
            b"base: org/base\n",
            "adapterd.yaml:1: base: found 'org/base'; expected a section with revision, fingerprint and adapters",
        ),
        (b"base:\n  revision: main\n", "adapterd.yaml:2: base.revision: found 'main'; expected a commit of 40"),
        (b"expect: {loss: low}\n", "adapterd.yaml:1: expect.loss: found 'low'; expected a number, at least 0"),
        (b"expect: {loss: nan}\n", "adapterd.yaml:1: expect.loss: found 'nan'"),
        (b"tracker: runs/42\n", "adapterd.yaml:1: tracker: found 'runs/42'; expected an http:// or https://"),
        (b"tracker: https://t.example.org/r?key=1\n", "without a query"),
        (b"tracker: ['https://t.example.org']\n", "adapterd.yaml:1: tracker: found a list"),
        (
            b"license: |\n  two\n  lines\n",
            "adapterd.yaml:1: license: found 'two\\nlines\\n'; expected text on one line",
        ),
        (b"adapter: a\nadapter: b\n", "adapterd.yaml:2: adapter: the key comes again"),
        (b"adapter: &a b\n", "adapterd.yaml:1: adapter: found the anchor &a"),
        (b"adapter: [\n", "is no valid YAML"),
        (b"adapter: \xff\n", "adapterd.yaml:1: byte 0xff is not UTF-8"),
        (b"#" * (64 * 1024 + 1), "is larger than 64 KiB"),
    ],
)
def test_wrong_labels(data: bytes, message: str) -> None:
    """What cannot be understood is refused with its line and its key, never ignored."""
    with pytest.raises(LabelsError) as caught:
        read_labels(data)
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (f"notes: see {TOKEN}\n".encode(), TOKEN),
        (f"colour: {TOKEN}\n".encode(), TOKEN),
        (b"git: https://bob:horse@git.example.org/x\n", "horse"),
        (b"tracker: https://bob:horse@t.example.org/x\n", "horse"),
    ],
)
def test_secrets_are_refused_and_not_shown(data: bytes, secret: str) -> None:
    """Labels are published, so a secret in them is refused, and the error does not repeat it."""
    with pytest.raises(LabelsError) as caught:
        read_labels(data)
    assert secret not in str(caught.value)


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_labels_or_a_labels_error(data: bytes) -> None:
    """A training job may write anything here; it never makes anything else fail."""
    with contextlib.suppress(LabelsError):
        read_labels(data)
