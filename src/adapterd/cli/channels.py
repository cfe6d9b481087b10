"""Verbs that move channels and withdraw versions: by Hub alone, for deployers and operators alike."""

from typing import Annotated

import typer

from adapterd.cli import lazily
from adapterd.cli.grouping import CHANNELS
from adapterd.cli.options import ConfigOption, EndpointOption, JsonOption, end

AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER", help="namespace/name")]
VersionName = Annotated[str, typer.Argument(metavar="ADAPTER@vN", help="namespace/name@vN")]
ChannelOption = Annotated[str, typer.Option("--channel", metavar="CHANNEL", help="Which channel.")]
PublicWhyOption = Annotated[str, typer.Option("--reason", help="Why; whoever may read the repo can read it.")]


def promote(
    version: Annotated[
        str, typer.Argument(metavar="ADAPTER@vN", help="namespace/name@vN, or @CHANNEL for what that holds.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="CHANNEL", help="Where it shall be; made where it is not there.")],
    why: PublicWhyOption = "",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a channel hold a version."""
    end(lazily.moving.promote(config, version, to, why, endpoint))


def rollback(
    adapter: AdapterName,
    channel: ChannelOption = "main",
    to: Annotated[
        str | None, typer.Option("--to", metavar="vN", help="Which version; else what the channel held before.")
    ] = None,
    why: PublicWhyOption = "",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
) -> None:
    """Take a channel back to an older version, and hold it there."""
    end(lazily.moving.rollback(config, adapter, channel, to, why, endpoint))


def hold(
    adapter: AdapterName,
    channel: ChannelOption = "main",
    why: PublicWhyOption = "",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
) -> None:
    """Keep a channel where it is, whatever its rule wants."""
    end(lazily.moving.hold(config, adapter, channel, why, endpoint))


def release(
    adapter: AdapterName,
    channel: ChannelOption = "main",
    why: PublicWhyOption = "",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a channel's rule move it again."""
    end(lazily.moving.release(config, adapter, channel, why, endpoint))


def yank(
    version: VersionName,
    why: PublicWhyOption,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
) -> None:
    """Withdraw a version: nobody gets it unasked, exact pins still work."""
    end(lazily.moving.yank(config, version, why, endpoint))


def unyank(
    version: VersionName, why: PublicWhyOption = "", endpoint: EndpointOption = None, config: ConfigOption = None
) -> None:
    """Take a withdrawal back."""
    end(lazily.moving.unyank(config, version, why, endpoint))


def channels(
    adapter: AdapterName,
    history: Annotated[
        str | None, typer.Option("--history", metavar="CHANNEL", help="All that this channel held, newest first.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The history of every channel.")] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each channel holds, since when, by whom and why."""
    end(lazily.moving.channels(config, adapter, history, endpoint, every=every, as_json=as_json))


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    for verb in (channels, promote, rollback, hold, release, yank, unyank):
        app.command(rich_help_panel=CHANNELS)(verb)
