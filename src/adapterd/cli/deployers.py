"""Verbs for whoever serves adapters: no daemon, no registry, no torch."""

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli import lazily
from adapterd.cli.options import AdapterArgument, ConfigOption, EndpointOption, JsonOption, end


def resolve(
    adapter: AdapterArgument, endpoint: EndpointOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Say which version a name means now, and what is in it."""
    end(lazily.deploying.resolve(config, adapter, endpoint, as_json=as_json))


def pull(
    adapter: AdapterArgument,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the version shall lie.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace another version that lies there, in one step.")
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download one version, verify it, put it in place."""
    end(lazily.deploying.pull(config, adapter, directory, endpoint, force=force, as_json=as_json))


def flags(
    adapters: Annotated[
        list[str], typer.Argument(metavar="ADAPTER[@..]...", help="All that one server shall serve together.")
    ],
    engine: Annotated[str, typer.Option("--engine", metavar="ENGINE", help="vllm, sglang or lorax (TGI and LoRAX).")],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            help="Load them at its start from this folder, where each lies under its serving name.",
        ),
    ] = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", min=1, help="How many one batch may mix; else all.")
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an engine's command line needs to serve several adapters together, or why it cannot."""
    end(
        lazily.flagging.flags(config, adapters, engine, endpoint, directory=directory, at_once=at_once, as_json=as_json)
    )


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(resolve)
    app.command()(pull)
    app.command()(flags)
