"""Verbs for whoever serves adapters: no daemon, no registry, no torch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from adapterd.cli import lazily
from adapterd.cli.exits import UsageFaultError
from adapterd.cli.grouping import DEPLOYING
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


def verify(
    what: Annotated[str, typer.Argument(metavar="DIR|ADAPTER", help="What was pulled; with --engine, what is served.")],
    engine: Annotated[
        str, typer.Option("--engine", metavar="URL", help="Ask this vLLM or SGLang the golden prompts of ADAPTER.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="SERVED", help="What the engine calls it; else the serving name.")
    ] = "",
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Holds the API key of the engine.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Compare DIR with its own manifests alone, without the Hub.")
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that what lies in a directory, or what an engine serves, is what was published."""
    if engine and offline:
        raise UsageFaultError("--engine needs the Hub, for the version's golden outputs", "leave --offline out")
    if engine:
        end(lazily.verifying.engine(config, engine, what, name, key_file, endpoint, as_json=as_json))
    if name or key_file:
        raise UsageFaultError("--name and --key-file go with --engine", "--engine URL")
    end(lazily.verifying.directory(config, what, endpoint, offline=offline, as_json=as_json))


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
    for verb in (resolve, pull, verify, flags):
        app.command(rich_help_panel=DEPLOYING)(verb)
