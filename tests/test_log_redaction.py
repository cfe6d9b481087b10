"""What the redactor takes out of a text, and what it leaves."""

import json
from urllib.parse import quote

import pytest

from adapterd import log

TOKEN = "hf_" + "aB3" * 11 + "z"
PLANTED = "pl4nted/se\"cret+'w0rd"


@pytest.mark.parametrize(
    ("leak", "kept"),
    [
        (f"token {TOKEN} refused", "token hf_*** refused"),
        (f"prefix{TOKEN}", "prefixhf_***"),
        ("hf_oauth_abc.def-ghi", "hf_***"),
        ("Authorization: Bearer abcdefgh\nnext", "Authorization: ***\nnext"),
        ('Authorization: Digest username="alice", response="pl4nted"', "Authorization: ***"),
        ("{'authorization': 'Basic pl4nted', 'a': 1}", "{'authorization': '***', 'a': 1}"),
        ('{"Authorization":"Basic pl4nted","a":1}', '{"Authorization":"***","a":1}'),
        ("(b'authorization', b'Basic pl4nted')", "(b'authorization', b'***')"),
        ("sent bearer pl4ntedtoken", "sent bearer ***"),
        ("postgresql+psycopg://bob:pl4nted@db:5432/r", "postgresql+psycopg://***@db:5432/r"),
        ("https://pl4nted@hub.example/a", "https://***@hub.example/a"),
        ("https://bob:p@pl4nted@hub.example/a", "https://***@hub.example/a"),
        ("GET https://hub.example/a?X-Amz-Signature=pl4nted failed", "GET https://hub.example/a?*** failed"),
        ("for url: '/lfs/ab?sig=pl4nted&x=1'", "for url: '/lfs/ab?***'"),
        ("export HF_TOKEN=pl4nted now", "export HF_TOKEN=*** now"),
        ("TrainingArguments(hub_token=pl4nted, lr=1)", "TrainingArguments(hub_token=***, lr=1)"),
        ("{'hub_token': 'pl4nted', 'lr': 1}", "{'hub_token': '***', 'lr': 1}"),
    ],
)
def test_what_looks_like_a_secret_is_masked(leak: str, kept: str) -> None:
    """Tokens, headers, user information and query strings go; the words around them stay, also a second time."""
    assert log.redact(leak) == kept
    assert log.redact(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "acme/support@v7 published to main",
        "http://127.0.0.1:8080/acme/support/tree/v7",
        "no token: the file is missing",
        "hub.token_file: expected a path",
        "why? because/of/this",
        "hf_hub_download",
        "3.5 MiB in 0.2 s (17 MiB/s)",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    """Ordinary messages come through unchanged."""
    assert log.redact(text) == text


def test_a_hidden_secret_is_gone_in_every_spelling() -> None:
    """A registered secret is found as it is, quoted for a URL, in JSON and in a repr, and inside a longer word."""
    redactor = log.Redactor()
    redactor.hide(f"  {PLANTED}\n")
    for form in (PLANTED, quote(PLANTED, safe=""), json.dumps(PLANTED), repr(PLANTED), f"x{PLANTED}x"):
        assert "pl4nted" not in redactor.text(form)


def test_a_blank_secret_hides_nothing() -> None:
    """An empty token file does not turn every log line into asterisks."""
    redactor = log.Redactor()
    redactor.hide("")
    redactor.hide(" \n")
    assert redactor.text("a b") == "a b"


def test_the_longer_of_two_secrets_goes_as_a_whole() -> None:
    """Where one secret begins like another, nothing of the longer one stays."""
    redactor = log.Redactor()
    redactor.hide("swordfish")
    redactor.hide("swordfish-and-more")
    assert redactor.text("swordfish-and-more, swordfish") == "***, ***"


@pytest.mark.parametrize("unit", ["a", "a-", "-/", "a://", "'token", "authorization ", "hf_", "token=", "Bearer "])
def test_a_long_hostile_text_is_redacted_all_the_same(unit: str) -> None:
    """No text that an adapter can bring makes the patterns run away: this test ends."""
    assert log.redact(unit * (50_000 // len(unit)))
