"""Hints name what their reader can change: the environment's variables and options, or keys of a configuration."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from adapterd import reach
from adapterd.config import ConfigError
from adapterd.core.errors import AdapterdError
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub

AWAY = "http://127.0.0.1:9"


def ask(hub: HubClient) -> object:
    """Ask what an adapter's channels hold."""
    return hub.refs("acme/nothing")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Mapping[str, str]], None]:
    """Let this process have the environment of a shell whose home is empty."""
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "CREDENTIALS_DIRECTORY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def do(environ: Mapping[str, str]) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    return do


@pytest.mark.parametrize(
    ("environ", "endpoint", "call", "hint"),
    [
        ({"HF_ENDPOINT": AWAY}, None, ask, "check HF_ENDPOINT, HTTPS_PROXY and the network"),
        ({"HF_ENDPOINT": AWAY}, AWAY, ask, "check --endpoint, HTTPS_PROXY and the network"),
        ({"HF_ENDPOINT": "{server}", "HF_TOKEN": "hf_" + "x" * 34}, None, ask, "give a valid token (HF_TOKEN)"),
        ({"HF_ENDPOINT": AWAY}, None, HubClient.whoami, "give one (HF_TOKEN)"),
    ],
)
def test_without_a_configuration_hints_name_the_environment(
    shell: Callable[[Mapping[str, str]], None],
    server: RunningHub,
    environ: Mapping[str, str],
    endpoint: str | None,
    call: Callable[[HubClient], object],
    hint: str,
) -> None:
    """Who only deploys has no keys of a configuration to set."""
    shell({name: value.replace("{server}", server.endpoint) for name, value in environ.items()})
    with pytest.raises(AdapterdError) as failed, reach.hub_of(endpoint=endpoint) as hub:
        call(hub)
    assert hint in failed.value.hint
    assert "hub." not in failed.value.hint


def test_with_a_configuration_hints_name_its_keys(shell: Callable[[Mapping[str, str]], None], tmp_path: Path) -> None:
    """Its Hub is the one that was asked: a configuration that somebody names goes before the variable."""
    shell({"HF_ENDPOINT": f"{AWAY}9"})
    file = tmp_path / "config.yaml"
    file.write_text(f"hub: {{namespace: acme, endpoint: '{AWAY}'}}\nroots: [{{path: {tmp_path}/train}}]\n")
    with pytest.raises(AdapterdError) as failed, reach.hub_of(file) as hub:
        ask(hub)
    assert failed.value.hint == "check hub.endpoint, hub.proxy and the network"


def test_a_variable_that_holds_no_token_is_named_alone(shell: Callable[[Mapping[str, str]], None]) -> None:
    """The hint of a variable that cannot be a token names the places that a shell has."""
    shell({"HF_TOKEN": "Bearer abc"})
    with pytest.raises(ConfigError) as failed, reach.hub_of():
        pass
    assert failed.value.hint == "HF_TOKEN, HF_TOKEN_PATH, or hf auth login (HF_HOME/token)"
