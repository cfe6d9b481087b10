"""What a good configuration becomes: typed, frozen, with the defaults that protect."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapterd.config import Channel, Config, Hub, Root, load, parse

FOLDER = Path(__file__).parent / "valid"
HOME = Path("/home/alice")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_good_file_loads(path: Path) -> None:
    """Each file beside this loads, and its values survive being written as JSON and read again."""
    config = load(path, HOME)
    again = Config.model_validate(config.model_dump(mode="json"))
    assert again == config


def test_four_lines_are_enough() -> None:
    """Namespace and one root make a whole configuration with the defaults that protect."""
    config = load(FOLDER / "minimal.yaml")
    assert config.hub.private
    (root,) = config.roots
    assert (root.checkpoints, root.backlog, root.unfinished) == ("final", "none", "list")
    assert {name: channel.rule for name, channel in config.channels.items()} == {
        "main": "finals",
        "candidate": "candidates",
    }
    assert config.base_models == ()
    assert not config.validation.local_base
    assert config.status.address == ("127.0.0.1", 9464)


def test_everything_that_can_be_said() -> None:
    """Durations are seconds, sizes are bytes, paths are absolute and normal, ids keep their case."""
    config = load(FOLDER / "everything.yaml", HOME)
    assert config.hub.endpoint == "https://hub.example.org"
    assert config.hub.token_file == HOME / ".config/adapterd/token"
    assert config.hub.xet is False
    assert config.hub.deadline == 300.0
    assert [root.path for root in config.roots] == [Path("/train/support"), HOME / "runs"]
    assert config.roots[0].unfinished_after == 5400.0
    assert config.roots[0].network is True
    small, large = config.base_models
    assert small.written_as == ("/models/small", "Small", "org/small")
    assert small.revision == "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    assert (large.revision, large.path, large.fetch) == (None, None, False)
    assert config.validation.devices == ("cuda:1", "cpu")
    assert config.validation.probe_texts[1] == "Two\nlines.\n"
    assert config.validation.limits.max_loss == 4.0
    assert config.settle.quiet == 0.25
    assert config.settle.max_size == 1_500_000_000
    assert config.schedule.reconcile == "0 3 * * mon-fri"
    assert list(config.channels) == ["main", "stable", "canary", "slow"]
    assert [config.channels[name].direction for name in ("canary", "slow")] == ["higher", "lower"]
    assert (config.channels["slow"].soak_in, config.channels["slow"].soak_for) == ("canary", 172_800.0)
    assert config.status.address == ("::1", 0)


def test_words_mean_what_the_key_says() -> None:
    """A namespace called no, a status that is off and a commit of digits are not booleans or numbers."""
    config = load(FOLDER / "words_of_yaml_1_1.yaml")
    assert config.hub.namespace == "no"
    assert config.hub.xet is False
    assert config.hub.private is True
    assert config.hub.index_repo == "2026-11-22"
    assert config.roots[0].path == Path("/train/1:30")
    assert config.roots[0].network is True
    assert config.base_models[0].revision == "0123456789012345678901234567890123456789"
    assert config.status.address is None


def test_a_heading_without_keys_is_the_default() -> None:
    """A section whose keys are all commented out is the same as none."""
    assert load(FOLDER / "headings_without_keys.yaml") == load(FOLDER / "minimal.yaml")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    """A file saved by an editor on another system reads the same."""
    path = tmp_path / "config.yaml"
    text = (FOLDER / "minimal.yaml").read_text(encoding="utf-8")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load(path) == load(FOLDER / "minimal.yaml")


def test_home_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is $HOME unless the caller says otherwise; a ~ inside a path is a name."""
    monkeypatch.setenv("HOME", "/home/bob")
    config = parse("hub: {namespace: x}\nroots: [{path: ~/a}, {path: /b~c}]\n", "config.yaml")
    assert [root.path for root in config.roots] == [Path("/home/bob/a"), Path("/b~c")]


def test_a_configuration_cannot_be_changed() -> None:
    """Neither its values nor its channels can be assigned to."""
    config = load(FOLDER / "minimal.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        config.hub.namespace = "other"
    with pytest.raises(TypeError):
        config.channels["main"] = Channel(rule="manual")  # type: ignore[index]  # the same for a mapping


def test_code_may_build_one_without_yaml() -> None:
    """Tests and tools build the same types with seconds, bytes and paths."""
    config = Config(hub=Hub(namespace="x", deadline=2.5), roots=(Root(path=Path("/train"), depth=2),))
    assert (config.hub.deadline, config.roots[0].depth) == (2.5, 2)
