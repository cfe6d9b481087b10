"""The whole grammar: which verbs there are."""

import os
from typing import Annotated

import typer

from adapterd.cli import channels, deployers, followers, operators, rest
from adapterd.cli.grouping import Grouped

app = typer.Typer(
    cls=Grouped,
    rich_markup_mode=None,  # importing rich doubles the time of --help
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    """Say which adapterd this is."""
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - it costs a sixth of --help

        typer.echo(f"adapterd {version('adapterd')}")
        raise typer.Exit


@app.callback()
def adapterd(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with every error.")] = False,
) -> None:
    """Finds, proves and publishes the PEFT adapters of a training host, as versions on the Hugging Face Hub."""
    if debug:
        os.environ["ADAPTERD_DEBUG"] = "1"


operators.add_to(app)
rest.add_to(app)
deployers.add_to(app)
followers.add_to(app)
channels.add_to(app)
