"""The verb for sidecars of serving engines."""

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli import lazily
from adapterd.cli.exits import UsageFaultError
from adapterd.cli.grouping import DEPLOYING
from adapterd.cli.options import EndpointOption, end


def follow(  # noqa: PLR0913, PLR0917 - an argument for each option
    adapter: Annotated[
        str | None, typer.Argument(metavar="[ADAPTER[@..]", help="Follow this one; else what --config names.")
    ] = None,
    directory: Annotated[Path | None, typer.Argument(metavar="DIR]", help="Where its versions shall lie.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Many adapters and engines; see --example.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", metavar="URL", help="A vLLM or SGLang server; may be repeated."),
    ] = None,
    command: Annotated[
        str, typer.Option("--exec", metavar="CMD", help="Start CMD load and CMD unload, without a shell.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="Stable name; else the repo's name.")] = "",
    interval: Annotated[str, typer.Option("--interval", metavar="DURATION", help="Between two looks; 60s.")] = "",
    drain: Annotated[
        str, typer.Option("--drain", metavar="DURATION", help="Until a former version is unloaded; 30s.")
    ] = "",
    golden: Annotated[str, typer.Option("--golden", help="off, warn or require; warn.")] = "",
    once: Annotated[
        bool, typer.Option("--once", help="One turn: 0 all at rest, 75 try again, else what is wrong.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Write a commented configuration.")] = False,
    endpoint: EndpointOption = None,
) -> None:
    """Keep serving engines at the versions that channels hold.

    Pulls and verifies what is new, has every engine load it under its own name, writes aliases.json for routers, and
    unloads what was there before.
    """
    if example:
        end(lazily.following.example())
    one = (adapter, directory, engine, command, name, interval, drain, golden, endpoint)
    if config is not None and any(one):
        raise UsageFaultError("--config goes with --once alone", "put the rest into the file")
    if config is not None:
        end(lazily.following.follow(config, once=once))
    if adapter is None or directory is None:
        raise UsageFaultError("nothing to follow", "adapterd follow ADAPTER DIR, or adapterd follow --config FILE")
    given = lazily.following.Given(engine or (), command, name, interval, drain, golden)
    end(lazily.following.follow_one(adapter, directory, given, endpoint, once=once))


def add_to(app: typer.Typer) -> None:
    """Add this verb."""
    app.command(rich_help_panel=DEPLOYING)(follow)
