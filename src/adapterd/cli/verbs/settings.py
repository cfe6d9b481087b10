"""Where a verb's settings come from: the configuration file, the environment, and the Hub that they name."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapterd.cli.exits import UsageFaultError
from adapterd.config import Config, ConfigError, Problem, load, places
from adapterd.config.units import parse_duration
from adapterd.core.naming import Reference, parse_reference
from adapterd.ports import RegistryError
from adapterd.reach import PUBLIC, candidates, find, hub_of

if TYPE_CHECKING:
    from adapterd.registry import SqlReader

__all__ = [
    "PUBLIC",
    "Say",
    "config_of",
    "find",
    "hub_of",
    "path_of",
    "reader_of",
    "reference_of",
    "seconds_of",
]


def path_of(given: Path | None, instead: str = "") -> Path:
    """The configuration file; ConfigError where there is none, which says what can be done `instead`."""
    found = find(given)
    if found is None:
        looked = " nor ".join(str(path) for path in candidates(os.environ, Path.home()))
        hint = "--config FILE, or ADAPTERD_CONFIG; `adapterd config example` writes one to begin with"
        if instead:
            hint = f"{instead}; on a training host {hint}"
        raise ConfigError("adapterd", (Problem(None, "", f"there is no configuration: neither {looked}", hint),))
    return found


def config_of(given: Path | None, instead: str = "") -> Config:
    """The configuration; ConfigError where there is none, or it is wrong."""
    return load(path_of(given, instead))


def reference_of(text: str) -> Reference:
    """Parse an ADAPTER; a usage error where it is none."""
    try:
        return parse_reference(text)
    except ValueError as error:
        raise UsageFaultError(
            str(error), "namespace/name, or namespace/name@v3, @main, @COMMIT (40 digits), @id:HEX"
        ) from error


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


Say = Callable[[str], None]
