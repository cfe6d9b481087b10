"""Which Hub is meant, and as whom: the configuration's where there is one, else the environment's.

For the command line and for Python alike. A deployer needs neither a configuration nor a token.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapterd.config import Config, ConfigError, Problem, find_token, load

if TYPE_CHECKING:
    from adapterd.hub.client import HubClient

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


@contextmanager
def hub_of(given: Path | None = None, endpoint: str | None = None, *, guest: bool = False) -> Iterator["HubClient"]:
    """The Hub of the configuration where there is one, else of the environment, as the Hub's own tools take it.

    Args:
        given: the configuration file; looked for at its usual places where there is none.
        endpoint: the Hub's address, before any other.
        guest: whether the process is somebody else's; then it is for reading alone.

    Without a token, public repos can be read.
    """
    path = find(given)
    config = load(path) if path is not None else None
    named = endpoint or (os.environ.get("HF_ENDPOINT") if given is None else None)
    address = (named or (config.hub.endpoint if config else PUBLIC)).rstrip("/")
    if config is not None and address != config.hub.endpoint.rstrip("/"):
        config = None  # its token, proxy and certificates are for its own Hub
    by = "HF_ENDPOINT" if not endpoint else "the endpoint" if guest else "--endpoint"
    with hub_at(address, config, guest=guest, by=by) as client:
        yield client


@contextmanager
def hub_at(
    address: str, config: Config | None, *, guest: bool = False, by: str = "HF_ENDPOINT"
) -> Iterator["HubClient"]:
    """The Hub at an address, with this configuration's token and settings, or with those of the environment.

    Hints name the configuration's keys, or without one what the address was given `by`.
    """
    from adapterd.hub.client import GuestClient, HubClient  # noqa: PLC0415 - it costs a library
    from adapterd.hub.named import by_environment  # noqa: PLC0415 - in a package that costs a library

    if not address.startswith(("http://", "https://")):
        problem = Problem(None, "", f"{address!r} is no address of a Hub", "https://..., in HF_ENDPOINT or --endpoint")
        raise ConfigError("hub", (problem,))
    hub = config.hub if config else None
    plain = address == PUBLIC and (hub is None or hub.ca_file is None)
    client = (GuestClient if guest else HubClient)(
        address,
        _token(config),
        xet=hub.xet if hub is not None and isinstance(hub.xet, bool) else plain,
        ca_file=hub.ca_file if hub else None,
        proxy=hub.proxy if hub else None,
        deadline=LONG,
    )
    if config is None:
        client.named = by_environment(by)
    try:
        yield client
    except Exception:  # raised again; only an interrupt leaves the client open
        client.close()
        raise
    # After Ctrl-C it stays open: the call that was interrupted may hold a lock that closing needs.
    client.close()


def _token(config: Config | None) -> str | None:
    """The token; None where none is to be found in any place. A place that was named and has none is an error."""
    try:
        return find_token(config, os.environ, Path.home()).value
    except ConfigError as error:
        if error.source == "hub":
            return None
        raise
