"""The file of `adapterd follow`: typed, with defaults that are right for most, and every problem told at once."""

from pathlib import Path

import pytest

from adapterd.config import ConfigError
from adapterd.config.following import load_following

ROOT = Path(__file__).parent.parent.parent


def written(tmp_path: Path, text: str) -> Path:
    """A file of this text."""
    file = tmp_path / "follow.yaml"
    file.write_text(text)
    return file


def test_the_example_loads_as_it_is() -> None:
    """Its one adapter is followed under the name of its repo, and its namespace has the index."""
    found = load_following(ROOT / "follow.example.yaml")
    assert [each.stable_name for each in found.adapters] == ["sql"]
    assert found.index_repo == "my-team/adapterd-index"
    assert (found.interval, found.drain, found.golden, found.keep) == (60.0, 30.0, "warn", 2)


@pytest.mark.parametrize(
    ("index", "adapters", "repo"),
    [
        ("auto", "a/x, b/y", ""),
        ("auto", "a/x@v3, a/y@stable", "a/adapterd-index"),
        ("off", "a/x", ""),
        ("other/index", "a/x", "other/index"),
    ],
)
def test_which_index_is_read(tmp_path: Path, index: str, adapters: str, repo: str) -> None:
    """That of the namespace, where it is one and nobody says otherwise."""
    listed = "".join(f"  - adapter: '{each}'\n" for each in adapters.split(", "))
    assert load_following(written(tmp_path, f"dir: /a\nindex: {index}\nadapters:\n{listed}")).index_repo == repo


def test_the_hubs_part_becomes_that_of_a_host(tmp_path: Path) -> None:
    """So that the token is found by the same rules."""
    text = "dir: /a\nadapters: [{adapter: a/x}]\nhub: {endpoint: 'https://hub.example.org', token_file: /t, xet: no}\n"
    host = load_following(written(tmp_path, text)).as_host
    assert (host.hub.endpoint, host.hub.token_file, host.hub.xet) == ("https://hub.example.org", Path("/t"), False)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With how to begin one."""
    with pytest.raises(ConfigError, match="no such file") as raised:
        load_following(tmp_path / "follow.yaml")
    assert "follow --example" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("dir: a\nadapters: [{adapter: a/x}]\n", "dir: found 'a'; expected an absolute path"),
        ("dir: /a\nadapters: [{adapter: x}]\n", "expected namespace/name"),
        ("dir: /a\nadapters: [{adapter: a/x, name: a/b}]\n", "expected a name without / and @"),
        ("dir: /a\nadapters: []\n", "not empty"),
        ("dir: /a\nadapters: [{adapter: a/x}]\nindex: nowhere\n", "expected auto, off"),
        ("dir: /a\nadapters: [{adapter: a/x}]\nintervall: 3s\n", "intervall"),
        ("dir: /a\nadapters: [{adapter: a/x}]\nengines: [{url: 'http://u:p@e'}]\n", "without user and password"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, words: str) -> None:
    """With the file, its line, the key, and what is expected there."""
    with pytest.raises(ConfigError) as raised:
        load_following(written(tmp_path, text))
    assert words in str(raised.value)
    assert "follow.yaml" in str(raised.value)
