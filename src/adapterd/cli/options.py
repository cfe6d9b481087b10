"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="ADAPTERD_CONFIG",
        show_envvar=True,
        help="Configuration file; else ~/.config/adapterd/config.yaml, then /etc/adapterd/config.yaml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can be asked.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", help="Address of the Hub; else the configuration's, or HF_ENDPOINT.")
]
AdapterArgument = Annotated[
    str,
    typer.Argument(metavar="ADAPTER[@..]", help="namespace/name[@vN|@CHANNEL|@COMMIT|@id:HEX]; without @ it is main."),
]


def end(code: int) -> None:
    """End the verb with this exit code."""
    raise typer.Exit(code)
