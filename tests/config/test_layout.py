"""Where the daemon's own files lie, and that none of them lies where training writes."""

from pathlib import Path

import pytest

from adapterd.config import Config, ConfigError, parse, places

HOME = Path("/home/alice")


def config_with(extra: str = "", root: str = "/train") -> Config:
    """Make a small configuration with more keys."""
    return parse(f"hub: {{namespace: my-team}}\nroots: [{{path: {root}}}]\n{extra}", "config.yaml", HOME)


def test_defaults_of_a_bare_environment() -> None:
    """Without anything said, everything lies in the user's state directory, as XDG has it."""
    found = places(config_with(), {}, HOME)
    state = HOME / ".local/state/adapterd"
    assert found.state == state
    assert found.registry == state / "registry.db"
    assert found.spool == state / "spool"
    assert found.index == state / "index.json"
    assert found.instance == state / "instance.json"
    assert found.audit == state / "audit.jsonl"
    assert found.digests == state / "hashes.json"
    assert found.lock == state / "registry.db.lock"
    assert found.socket == state / "run/control.sock"


@pytest.mark.parametrize(
    ("environ", "state", "socket"),
    [
        ({"STATE_DIRECTORY": "/var/lib/adapterd/alice"}, "/var/lib/adapterd/alice", "/var/lib/adapterd/alice/run"),
        ({"STATE_DIRECTORY": "/a:/b", "RUNTIME_DIRECTORY": "/run/x"}, "/a", "/run/x"),
        ({"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7"}, "/s/adapterd", "/run/user/7/adapterd"),
        ({"STATE_DIRECTORY": "/a", "XDG_STATE_HOME": "/s"}, "/a", "/a/run"),
        ({"XDG_STATE_HOME": "relative"}, "/home/alice/.local/state/adapterd", "/home/alice/.local/state/adapterd/run"),
    ],
)
def test_the_environment_decides(environ: dict[str, str], state: str, socket: str) -> None:
    """Folders of systemd win over XDG's, the first of several is taken, and a relative one is ignored."""
    found = places(config_with(), environ, HOME)
    assert (found.state, found.socket) == (Path(state), Path(socket) / "control.sock")


def test_the_configuration_wins() -> None:
    """Folders in the configuration win over the environment; what lives beside the registry follows it."""
    extra = "state_dir: /s\nruntime_dir: /r\nregistry: {path: /db/fleet.db}\nspool: {path: /scratch}\n"
    found = places(config_with(extra), {"STATE_DIRECTORY": "/x", "RUNTIME_DIRECTORY": "/y"}, HOME)
    assert (found.state, found.socket, found.spool) == (Path("/s"), Path("/r/control.sock"), Path("/scratch"))
    assert (found.registry, found.index) == (Path("/db/fleet.db"), Path("/db/index.json"))
    assert (found.instance, found.lock) == (Path("/s/instance.json"), Path("/db/fleet.db.lock"))
    assert found.audit == Path("/s/audit.jsonl")


def test_a_root_that_holds_the_state_directory() -> None:
    """A root that is the whole home would watch the daemon's own files: every one of them is named."""
    with pytest.raises(ConfigError) as caught:
        places(config_with(root="~/"), {}, HOME)
    assert {problem.key for problem in caught.value.problems} >= {"registry", "spool", "socket"}
    assert "roots[0], /home/alice" in str(caught.value)
    assert "state_dir" in caught.value.hint


def test_a_root_inside_the_spool() -> None:
    """Copies must not be found as new adapters."""
    with pytest.raises(ConfigError, match=r"roots\[0\]\.path: /scratch/a lies in the spool"):
        places(config_with("spool: {path: /scratch}\n", root="/scratch/a"), {}, HOME)


def test_a_root_beside_the_state_is_fine() -> None:
    """A root in the state directory's parent folder, or in the state directory itself, is no conflict."""
    assert places(config_with(root="~/.local/state/runs"), {}, HOME).state.name == "adapterd"
    assert places(config_with("state_dir: /srv\n", root="/srv/train"), {}, HOME).state == Path("/srv")


def test_a_socket_whose_path_is_too_long() -> None:
    """The kernel's limit is told before the socket is opened, in bytes."""
    with pytest.raises(ConfigError, match="a socket's path may have 107"):
        places(config_with(f"runtime_dir: /{'ö' * 60}\n"), {}, HOME)
