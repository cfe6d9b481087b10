"""Secrets are recognised by how their issuers write them; paths of the host are shortened to their last part."""

import json

import pytest

from adapterd.core import leaks

HOME = leaks.paths_of(["/home/alice", "/train/", "/", "/tmp"])  # noqa: S108 - a name, not a file


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hf_" + "a" * 34, "a Hugging Face token"),
        ("ghp_" + "A1" * 18, "a GitHub token"),
        ("github_pat_" + "a" * 22 + "_" + "b" * 59, "a GitHub token"),
        ("AKIA" + "A2" * 8, "an AWS access key"),
        ("AIza" + "b" * 35, "a Google API key"),
        ("sk-proj-" + "c" * 48, "an OpenAI or Anthropic key"),
        ("sk-ant-api03-" + "d" * 90, "an OpenAI or Anthropic key"),
        ("xoxb-1234567890-" + "e" * 24, "a Slack token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_secret_is_known_by_its_form_wherever_it_stands(text: str, kind: str) -> None:
    """At the beginning, at the end, between quotes; the answer names the kind and never the secret."""
    for data in (text, f'{{"a": "{text}"}}', f"x {text}\ny"):
        assert leaks.secret_in(data.encode()) == kind


@pytest.mark.parametrize(
    "text",
    [
        "hf_" + "a" * 33,
        "xhf_" + "a" * 34,
        "hf_" + "a" * 35,
        "AKIA" + "A2" * 7,
        "sk-short",
        "ask-proj-",
        "-----BEGIN CERTIFICATE-----",
        "a task-proj-plan",
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    """What is shorter, longer or part of a longer word is something else."""
    assert leaks.secret_in(text.encode()) == ""


def test_paths_of_the_host_are_shortened_and_nothing_else_is() -> None:
    """Below the home or a root only the last part stays; the base model's entry, names like it and keys stay whole."""
    document = {
        "base_model_name_or_path": "/home/alice/models/llama",
        "tokenizer_file": "/home/alice/models/llama/tokenizer.json",
        "corda_config": {"cache_file": "/train/support/cache.pt", "covariance": ["/train"]},
        "other": ["/home/alicetoo/x", "/trainer", "see /home/alice/x", 3, None],
    }
    data, records = leaks.without_paths(json.dumps(document).encode(), HOME, "adapter_config.json")
    assert json.loads(data) == {
        "base_model_name_or_path": "/home/alice/models/llama",
        "tokenizer_file": "tokenizer.json",
        "corda_config": {"cache_file": "cache.pt", "covariance": ["train"]},
        "other": ["/home/alicetoo/x", "/trainer", "see /home/alice/x", 3, None],
    }
    assert [(r["key"], r["now"]) for r in records] == [
        ("tokenizer_file", "tokenizer.json"),
        ("corda_config.cache_file", "cache.pt"),
        ("corda_config.covariance", "train"),
    ]
    assert "/home" not in json.dumps(records)


@pytest.mark.parametrize("data", [b'{"a": "/data/x"}', b"no JSON", b"[" * 5000, b"\xff"])
def test_bytes_without_such_a_path_stay_as_they_are(data: bytes) -> None:
    """Not even their spaces change."""
    assert leaks.without_paths(data, HOME, "tokenizer_config.json") == (data, ())


def test_a_host_without_a_telling_home_hides_nothing() -> None:
    """The root folder and `/tmp` tell nothing of anybody."""
    assert leaks.paths_of(["/", "", "/tmp", "/tmp/"]) == ()  # noqa: S108 - names, not files


def test_vocabularies_are_left_alone() -> None:
    """`/data` is an ordinary token of one."""
    assert [leaks.names_places(name) for name in ("tokenizer.json", "vocab.json", "tokenizer_config.json")] == [
        False,
        False,
        True,
    ]
