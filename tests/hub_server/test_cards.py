"""The metadata of a card, refused where the Hub refuses it."""

import httpx2
import pytest
from huggingface_hub import HfApi

GOOD = {
    "full": "---\nlicense: apache-2.0\nbase_model: acme/base-1.0\ntags: [lora, peft]\nlanguage: en\n---\n# T",
    "lists": "---\nbase_model:\n- acme/a\n- gpt2\nlanguage: [en, de]\ndatasets: [acme/d]\n---\n",
    "crlf": "---\r\nlicense: mit\r\n---\r\ntext",
    "null": "---\nlicense:\n---\n",
    "norwegian": "---\nlanguage: no\n---\n",
    "free keys": "---\nanything: {goes: [1, 2]}\n---\n",
}
BAD = {
    "list": ("---\n- a\n---\n", "mapping"),
    "broken": ("---\na: [\n---\n", "Invalid YAML"),
    "license in words": ("---\nlicense: Apache License 2.0\n---\n", "license"),
    "license number": ("---\nlicense: 2\n---\n", "license"),
    "absolute path": ("---\nbase_model: /srv/models/base\n---\n", "base_model"),
    "relative path": ("---\nbase_model: ./base\n---\n", "base_model"),
    "deep path": ("---\nbase_model: [ok/ok, runs/a/b]\n---\n", "base_model"),
    "windows path": ("---\nbase_model: 'C:\\base'\n---\n", "base_model"),
    "language number": ("---\nlanguage: 1\n---\n", "language"),
    "language switch": ("---\nlanguage: true\n---\n", "language"),
    "holds itself": ("---\na: &a [*a]\n---\n", "holds itself"),
    "impossible date": ("---\na: 2026-13-45\n---\n", "out of range"),
    "tags text": ("---\ntags: lora\n---\n", "tags"),
    "tags numbers": ("---\ntags: [1]\n---\n", "tags"),
    "model-index": ("---\nmodel-index: x\n---\n", "model-index"),
}


def check(http: httpx2.Client, content: str) -> httpx2.Response:
    """Ask the Hub about a card."""
    return http.post("/api/validate-yaml", json={"content": content, "repoType": "model"})


@pytest.mark.parametrize("name", GOOD)
def test_sound_metadata_passes(http: httpx2.Client, name: str) -> None:
    """What the Hub knows, and what it does not care about, passes without a word."""
    answer = check(http, GOOD[name])
    assert (answer.status_code, answer.json()) == (200, {"errors": [], "warnings": []})


@pytest.mark.parametrize("name", BAD)
def test_unsound_metadata_is_refused(http: httpx2.Client, name: str) -> None:
    """Each error names its key."""
    content, word = BAD[name]
    answer = check(http, content)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert word in error["message"]


@pytest.mark.parametrize("content", ["", "# Title", "---\n---\n", "text\n---\nlicense: mit\n---\n"])
def test_no_metadata_is_a_warning(http: httpx2.Client, content: str) -> None:
    """A card without metadata is allowed, and the client says so."""
    answer = check(http, content)
    assert answer.status_code == 200
    assert len(answer.json()["warnings"]) == 1


def test_the_client_refuses_before_it_uploads(api: HfApi, repo: str) -> None:
    """The client turns the answer into a ValueError that names the key."""
    with pytest.raises(ValueError, match="base_model"):
        api.upload_file(path_or_fileobj=BAD["absolute path"][0].encode(), path_in_repo="README.md", repo_id=repo)


def test_a_commit_with_an_unsound_card_is_refused(http: httpx2.Client, repo: str) -> None:
    """Also a client that does not ask first can not put such a card on the Hub."""
    lines = (
        '{"key": "header", "value": {"summary": "card"}}\n'
        '{"key": "file", "value": {"path": "README.md", "content": "---\\nlicense: [1]\\n---\\n"}}\n'
    )
    answer = http.post(f"/api/models/{repo}/commit/main", content=lines)
    assert answer.status_code == 400
    assert "license" in answer.json()["error"]


def test_the_card_becomes_the_repos_description(api: HfApi, repo: str) -> None:
    """Card data and the tags made of it come back with the repo's info."""
    facts = "license: mit\nbase_model: acme/b\nlibrary_name: peft\ntags: [lora]\n"
    card = f"---\n{facts}date: 2026-01-01\nx: {{2026-01-01: [1]}}\n---\n"
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)
    info = api.model_info(repo)
    assert info.card_data is not None
    assert (info.card_data.license, info.card_data.base_model) == ("mit", "acme/b")
    assert info.library_name == "peft"
    assert {"lora", "peft", "license:mit", "base_model:acme/b"} <= set(info.tags or [])
