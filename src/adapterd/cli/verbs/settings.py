"""Where a verb's settings come from: the configuration file, the environment, and the Hub that they name."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapterd.cli.exits import UsageFaultError
from adapterd.config import Config, ConfigError, Problem, find_token, load, places
from adapterd.config.units import parse_duration
from adapterd.core.naming import Reference, parse_reference
from adapterd.ports import RegistryError

if TYPE_CHECKING:
    from adapterd.hub.client import HubClient
    from adapterd.registry import SqlReader

PUBLIC = "https://huggingface.co"
LONG = 24 * 3600.0
"""Longest time in seconds for one call that a person waits for; a silent connection ends long before."""


def candidates(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where a configuration is looked for when nobody names one.

    Not in the working directory: an ``adapterd.yaml`` there is a run's labels.
    """
    own = environ.get("XDG_CONFIG_HOME", "")
    base = Path(own) if own.startswith("/") else home / ".config"
    return base / "adapterd" / "config.yaml", Path("/etc/adapterd/config.yaml")


def find(given: Path | None) -> Path | None:
    """The configuration file to use, as an absolute path; None where there is none."""
    if given is not None:
        return given.absolute()
    return next((path for path in candidates(os.environ, Path.home()) if path.exists()), None)


def path_of(given: Path | None) -> Path:
    """The configuration file; ConfigError where there is none."""
    found = find(given)
    if found is None:
        looked = " nor ".join(str(path) for path in candidates(os.environ, Path.home()))
        hint = "--config FILE, or ADAPTERD_CONFIG; `adapterd config example` writes one to begin with"
        raise ConfigError("adapterd", (Problem(None, "", f"there is no configuration: neither {looked}", hint),))
    return found


def config_of(given: Path | None) -> Config:
    """The configuration; ConfigError where there is none, or it is wrong."""
    return load(path_of(given))


def reference_of(text: str) -> Reference:
    """Parse an ADAPTER; a usage error where it is none."""
    try:
        return parse_reference(text)
    except ValueError as error:
        raise UsageFaultError(str(error), "namespace/name, or namespace/name@v3, @main, @COMMIT, @id:HEX") from error


def seconds_of(text: str, option: str) -> float:
    """Parse a duration of the command line."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageFaultError(f"{option}: {error}", "a number with its unit, such as 90s, 5m or 1h30m") from error


@contextmanager
def reader_of(config: Config) -> Iterator["SqlReader"]:
    """The registry of a configuration, to be read."""
    from adapterd.registry import open_reader  # noqa: PLC0415 - deployers have no SQLAlchemy

    where = places(config, os.environ, Path.home()).registry
    try:
        reader = open_reader(where)
    except RegistryError as error:
        raise _explained(error, config, where) from error
    with reader:
        yield reader


def _explained(error: RegistryError, config: Config, where: Path) -> RegistryError:
    """Say it where the daemon may keep its registry elsewhere: a person's shell lacks what systemd tells a service."""
    if where.exists() or config.state_dir is not None or "STATE_DIRECTORY" in os.environ:
        return error
    hint = (
        f"{error.hint}; where systemd runs the daemon, name its state_dir and runtime_dir in the configuration, since"
        " this shell has no $STATE_DIRECTORY"
    )
    return RegistryError(error.message, hint)


@contextmanager
def hub_of(given: Path | None, endpoint: str | None = None) -> Iterator["HubClient"]:
    """The Hub of the configuration where there is one, else of the environment, as the Hub's own tools take it.

    A deployer needs neither a configuration nor a token: without one, public repos can be read.
    """
    from adapterd.hub.client import HubClient  # noqa: PLC0415 - it costs a library

    path = find(given)
    config = load(path) if path is not None else None
    named = endpoint or (os.environ.get("HF_ENDPOINT") if given is None else None)
    address = (named or (config.hub.endpoint if config else PUBLIC)).rstrip("/")
    if config is not None and address != config.hub.endpoint.rstrip("/"):
        config = None  # its token, proxy and certificates are for its own Hub
    hub = config.hub if config else None
    plain = address == PUBLIC and (hub is None or hub.ca_file is None)
    client = HubClient(
        address,
        _token(config),
        xet=hub.xet if hub is not None and isinstance(hub.xet, bool) else plain,
        ca_file=hub.ca_file if hub else None,
        proxy=hub.proxy if hub else None,
        deadline=LONG,
    )
    try:
        yield client
    except Exception:  # raised again; only an interrupt leaves the client open
        client.close()
        raise
    # After Ctrl-C it stays open: the call that was interrupted may hold a lock that closing needs.
    client.close()


def _token(config: Config | None) -> str | None:
    """The token; None where none is to be found in any place. A place that was named and has none is an error."""
    config = config or Config.model_validate({"hub": {"namespace": "none"}, "roots": [{"path": "/nowhere"}]})
    try:
        return find_token(config, os.environ, Path.home()).value
    except ConfigError as error:
        if error.source == "hub":
            return None
        raise


Say = Callable[[str], None]
