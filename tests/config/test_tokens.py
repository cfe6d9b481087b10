"""Where the token comes from, in which order, and that it is never shown."""

from pathlib import Path

import pytest

from adapterd.config import Config, ConfigError, find_token, parse

SECRET = "hf_" + "x" * 34


def config_with(token_file: Path | None = None) -> Config:
    """Make a small configuration."""
    line = f", token_file: {token_file}" if token_file else ""
    return parse(f"hub: {{namespace: my-team{line}}}\nroots: [{{path: /train}}]\n", "config.yaml")


def write(path: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    """Write a token file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_order_of_places(tmp_path: Path) -> None:
    """File, systemd credential, variable, variable with a path, HF_HOME, home: the first that has one wins."""
    home = tmp_path / "home"
    named = write(tmp_path / "named", "one\n")
    write(tmp_path / "credentials/hf_token", "two")
    write(tmp_path / "pointed", "four")
    write(tmp_path / "hf/token", "five")
    write(home / ".cache/huggingface/token", "six")
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
        "HF_TOKEN": " three ",
        "HF_TOKEN_PATH": str(tmp_path / "pointed"),
        "HF_HOME": str(tmp_path / "hf"),
    }
    found = [find_token(config_with(named), environ, home)]
    while environ:
        found.append(find_token(config_with(), environ, home))
        environ.pop(next(iter(environ)))
    found.append(find_token(config_with(), environ, home))
    assert [token.value for token in found] == ["one", "two", "three", "four", "five", "six"]
    assert [token.source for token in found] == [
        str(named),
        str(tmp_path / "credentials/hf_token"),
        "HF_TOKEN",
        str(tmp_path / "pointed"),
        str(tmp_path / "hf/token"),
        str(home / ".cache/huggingface/token"),
    ]
    assert {token.warning for token in found} == {""}


def test_a_token_does_not_show_itself(tmp_path: Path) -> None:
    """Neither repr nor str of a token holds its value."""
    token = find_token(config_with(), {"HF_TOKEN": SECRET}, tmp_path)
    assert token.value == SECRET
    assert SECRET not in f"{token!r} {token}"


def test_places_without_a_token_are_passed_over(tmp_path: Path) -> None:
    """A credentials folder without ours, and an empty variable, are no places."""
    write(tmp_path / ".cache/huggingface/token")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "HF_TOKEN": "", "HF_HOME": str(tmp_path / "none")}
    assert find_token(config_with(), environ, tmp_path).value == SECRET


def test_a_path_variable_may_begin_with_home(tmp_path: Path) -> None:
    """HF_TOKEN_PATH is expanded as the Hub's own tools do."""
    write(tmp_path / "my/token")
    assert find_token(config_with(), {"HF_TOKEN_PATH": "~/my/token"}, tmp_path).value == SECRET


def test_no_token_anywhere(tmp_path: Path) -> None:
    """The error names every place that was looked at."""
    with pytest.raises(ConfigError) as caught:
        find_token(config_with(), {}, tmp_path)
    for place in ("hub.token_file", "hf_token", "HF_TOKEN,", "HF_TOKEN_PATH", "hf auth login", "HF_HOME/token"):
        assert place in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds no token"), ("  \n", "holds no token"), ("a b\n", "one word"), ("tök", "one word")],
)
def test_a_file_without_a_token(tmp_path: Path, text: str, message: str) -> None:
    """A named file that holds no token, or more than one word, is an error that does not show it."""
    path = write(tmp_path / "token", text)
    with pytest.raises(ConfigError, match=message) as caught:
        find_token(config_with(path), {"HF_TOKEN": SECRET}, tmp_path)
    assert str(path) in str(caught.value)


def test_a_named_file_is_never_passed_over(tmp_path: Path) -> None:
    """A token_file that is missing, or a directory, is an error even where another place has a token."""
    with pytest.raises(ConfigError, match="there is no such file"):
        find_token(config_with(tmp_path / "absent"), {"HF_TOKEN": SECRET}, tmp_path)
    with pytest.raises(ConfigError, match="is no regular file"):
        find_token(config_with(tmp_path), {"HF_TOKEN": SECRET}, tmp_path)
    with pytest.raises(ConfigError, match=r"there is no such file \(named by HF_TOKEN_PATH\)"):
        find_token(config_with(), {"HF_TOKEN_PATH": str(tmp_path / "absent")}, tmp_path)


def test_a_variable_that_is_no_token(tmp_path: Path) -> None:
    """A variable with spaces inside is refused before it reaches a request."""
    with pytest.raises(ConfigError, match="HF_TOKEN: does not hold a token alone"):
        find_token(config_with(), {"HF_TOKEN": "Bearer abc"}, tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_used_with_a_warning(tmp_path: Path, mode: int) -> None:
    """The token still works, and the warning says what to do about the file."""
    path = write(tmp_path / "token", mode=mode)
    token = find_token(config_with(path), {}, tmp_path)
    assert token.value == SECRET
    assert token.warning == f"{path} can be read by other users (mode {mode:04o}); chmod 600 {path}"
