"""Every way to get a configuration wrong is a file, and so is the exact message that it gives."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.config import Config, ConfigError, load, parse

FOLDER = Path(__file__).parent / "invalid"
CASES = sorted(FOLDER.glob("*.yaml"))
TOKEN = "hf_" + "x" * 34
HOME = Path("/home/alice")
GOOD = "hub: {namespace: my-team}\nroots: [{path: /train}]\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_wrong_file_gives_its_message(path: Path) -> None:
    """Each file is refused with the text beside it: file, line, key, what was there, what was expected, Try."""
    with pytest.raises(ConfigError) as caught:
        load(path, HOME)
    message = str(caught.value).replace(str(path), path.name)
    assert f"{message}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_message_has_its_file() -> None:
    """No message is left over from a file that is gone, and there are at least twenty."""
    assert {path.stem for path in CASES} == {path.stem for path in FOLDER.glob("*.txt")}
    assert len(CASES) >= 20


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_problem_says_what_to_try(path: Path) -> None:
    """There are as many hints as problems, and none is empty."""
    with pytest.raises(ConfigError) as caught:
        load(path, HOME)
    assert all(problem.text and problem.hint for problem in caught.value.problems)
    assert str(caught.value).count("\nTry: ") == len(caught.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}hub2: {TOKEN}\n",
        f"{GOOD}{TOKEN}: x\n",
        f"{GOOD}status: {{listen: {TOKEN}}}\n",
        f"{GOOD}status:\n  listen: |\n    {TOKEN}\n",
        f'{GOOD}log: {{level: "\\x68f_{TOKEN[3:]}"}}\n',
        f"{GOOD}validation: {{probe_texts: [a, see {TOKEN}]}}\n",
        f"{GOOD}log: {{level: info}}\nlog: {{level: {TOKEN}}}\n",
        f"{GOOD}# {TOKEN}\n",
        f"{GOOD}log: *{TOKEN}\n",
        f"{GOOD}log: [{TOKEN}\n",
        f"hub: {{namespace: x, endpoint: 'http://{TOKEN}@h'}}\nroots: [{{path: /train}}]\n",
    ],
)
def test_a_token_is_refused_and_never_shown(text: str) -> None:
    """Wherever a token stands, the file is refused, and no part of the error holds it."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "config.yaml")
    assert TOKEN[3:] not in str(caught.value)
    assert "revoke it" in str(caught.value)


@pytest.mark.parametrize("key", ["token", "hf_token", "password", "api_key", "client_secret"])
def test_a_secret_by_its_key_is_not_shown(key: str) -> None:
    """A key that names a secret is refused with a word about token_file, and without its value."""
    with pytest.raises(ConfigError) as caught:
        parse(f"hub: {{namespace: my-team, {key}: correct-horse}}\nroots: [{{path: /train}}]\n", "config.yaml")
    assert "correct-horse" not in str(caught.value)
    assert "token_file" in caught.value.hint


@pytest.mark.parametrize("key", ["endpoint", "proxy"])
def test_credentials_in_an_address_are_not_shown(key: str) -> None:
    """User and password in an address are refused without being echoed, whatever else is wrong with it."""
    for address in (
        "http://bob:horse@h:80",
        "bob:horse@h",
        "http://bob:ho/horse@h:99999",
        "ftp://bob:horse@h",
        "http://bob:horse@h /x",
    ):
        with pytest.raises(ConfigError) as caught:
            parse(f"hub: {{namespace: my-team, {key}: '{address}'}}\nroots: [{{path: /train}}]\n", "config.yaml")
        assert "horse" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is named, with the command that writes one."""
    with pytest.raises(ConfigError, match=r"absent\.yaml: there is no such file\nTry: adapterd config example"):
        load(tmp_path / "absent.yaml")


def test_a_directory_and_a_device_are_no_files(tmp_path: Path) -> None:
    """What is not a regular file is refused before it is read."""
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="no regular file"):
        load(Path("/dev/zero"))


def test_a_file_that_this_user_may_not_read(tmp_path: Path) -> None:
    """A file of another user is named, with what to do about it."""
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(ConfigError, match="permission denied\nTry: chmod or chown"):
            load(path)
    finally:
        os.seteuid(user)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    """Any other failure of the file system is told in its own words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load(tmp_path / "file" / "config.yaml")


def test_a_huge_file_is_not_parsed(tmp_path: Path) -> None:
    """More than a mebibyte is refused by its size alone."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * (1024**2 + 1))
    with pytest.raises(ConfigError, match="is larger than 1024 KiB"):
        load(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file in another encoding is refused with the line of its first foreign byte."""
    path = tmp_path / "config.yaml"
    path.write_bytes("hub:\n  namespace: größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml:2: byte 0xf6 is not UTF-8"):
        load(path)


def test_a_flood_of_problems_is_cut() -> None:
    """A file of the wrong kind gives the first fifty problems and the number of the others."""
    with pytest.raises(ConfigError) as caught:
        parse("".join(f"key{number}: x\n" for number in range(100)), "config.yaml")
    assert str(caught.value).startswith("config.yaml: 102 problems; the last 52 are not shown\n")
    assert len(caught.value.problems) == 102
    assert str(caught.value).count("\nTry: ") == 50


def test_several_faults_of_roots_hide_nothing() -> None:
    """A mistyped key in one root does not hide that another root lies inside it."""
    text = "hub: {namespace: x}\nroots:\n  - {path: /train, dept: 3}\n  - path: /train/support\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, "config.yaml")
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (3, "roots[0].dept"),
        (4, "roots[1].path"),
    ]


SCALARS = st.one_of(
    st.none(),
    st.sampled_from(
        ["auto", "/train", "final", "5s", "2GiB", "0", "-1", "1e9", "nan", "true", "x/y", "{run}", "@", "~/"]
    ),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
)
KEYS = st.sampled_from(
    [
        *Config.model_fields,
        "namespace",
        "path",
        "rule",
        "id",
        "written_as",
        "limits",
        "devices",
        "quiet",
        "main",
        "token",
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def flow(value: object) -> str:
    """Write a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"


@given(st.dictionaries(st.sampled_from(list(Config.model_fields)), VALUES, max_size=5))
def test_whatever_stands_there_is_a_config_or_a_config_error(sections: dict[str, object]) -> None:
    """No shape of values makes the parser fail in any other way."""
    text = "".join(f"{key}: {flow(value)}\n" for key, value in sections.items())
    with contextlib.suppress(ConfigError):
        parse(text, "config.yaml", HOME)


@given(st.text(max_size=60))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    """Text that is no YAML at all is refused in the same way."""
    with pytest.raises(ConfigError):
        parse(text, "config.yaml", HOME)
