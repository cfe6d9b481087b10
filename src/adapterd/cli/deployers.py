"""Verbs for whoever serves adapters: no daemon, no registry, no torch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from adapterd.cli import lazily
from adapterd.cli.options import AdapterArgument, ConfigOption, EndpointOption, JsonOption, end


def resolve(
    adapter: AdapterArgument, endpoint: EndpointOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Say which version a name means now, and what is in it."""
    end(lazily.deploying.resolve(config, adapter, endpoint, as_json=as_json))


def pull(  # noqa: PLR0913, PLR0917 - one for each option
    adapter: AdapterArgument,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the version shall lie.")],
    layout: Annotated[
        Literal["plain", "vllm", "nim"], typer.Option("--layout", help="How DIR is laid out, and for whom.")
    ] = "plain",
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=0, help="Former versions that stay.")] = 1,
    link: Annotated[
        str, typer.Option("--link", metavar="NAME", help="Layout vllm: a name in DIR that means this version from now.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Replace what was altered, or is another adapter's, in one step.")
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring one version to this host, verified, and put it in place in one step."""
    place = lazily.deploying.Place(directory, layout, keep, link, force)
    end(lazily.deploying.pull(config, adapter, place, endpoint, as_json=as_json))


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(resolve)
    app.command()(pull)
