"""Verbs that need no daemon: validation by hand, the configuration, base models, the embedded Hub."""

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli import lazily
from adapterd.cli.exits import UsageFaultError
from adapterd.cli.grouping import TOOLS
from adapterd.cli.options import ConfigOption, EndpointOption, JsonOption, end

config_ = typer.Typer(help="The configuration file.", no_args_is_help=True)
base = typer.Typer(help="Base models.", no_args_is_help=True)
hub = typer.Typer(help="The embedded Hub.", no_args_is_help=True)


def validate(  # noqa: PLR0913, PLR0917 - an argument for each option
    directories: Annotated[list[Path], typer.Argument(metavar="DIR", help="Adapter directories.")],
    base: Annotated[
        str, typer.Option("--base", metavar="PATH_OR_ID", help="Base model; else the one that the adapter names.")
    ] = "",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="DURATION", help="Longest time for one of them.")
    ] = "10m",
    probes: Annotated[
        Path | None,
        typer.Option("--probes", metavar="FILE", help="JSONL file of probe examples; else the built-in texts."),
    ] = None,
    convert_pickle: Annotated[
        bool,
        typer.Option("--convert-pickle", help="Prove a copy of a pickle's tensors, made where no code of it runs."),
    ] = False,
    golden: Annotated[
        bool,
        typer.Option(
            "--golden", help="DIR is a pulled version: compare its outputs with those that its manifest recorded."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove adapters in their base model, here and now.

    Needs no daemon and no configuration, and publishes nothing. With --golden the answer is adapter (exit code 0),
    base (3), or inconclusive (4); files that are not those of the manifest are 3 too.
    """
    how = (device, dtype, deadline)
    if golden and convert_pickle:
        raise UsageFaultError(
            "--golden takes pulled versions, which hold no pickle", "leave out one of the two options"
        )
    if golden:
        end(lazily.comparing.compare(directories, base, how, as_json=as_json))
    end(
        lazily.validating.validate(
            directories, base, how, probes=probes, convert_pickle=convert_pickle, as_json=as_json
        )
    )


@config_.command()
def check(
    config: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Also ask the Hub whose token it is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the configuration and say what is wrong with it, or missing on this host."""
    end(lazily.configuring.check(config, online=online, as_json=as_json))


@config_.command()
def example(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Write it there; nothing is overwritten.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="The labels of a run instead, adapterd.yaml in its folder.")
    ] = False,
) -> None:
    """Write a configuration with every key, commented."""
    end(lazily.configuring.example(file, labels=labels))


@config_.command()
def schema() -> None:
    """Write the JSON Schema of the configuration, for editors."""
    end(lazily.configuring.schema())


@base.command()
def fetch(
    model: Annotated[str, typer.Argument(metavar="ID", help="Its id on the Hub.")],
    revision: Annotated[str | None, typer.Option("--revision", help="Commit, tag or branch; default: main.")] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download a base model into the local Hub cache."""
    end(lazily.fetching.fetch(config, model, revision, endpoint, as_json=as_json))


@base.command()
def fingerprint(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a base model.")],
    as_json: JsonOption = False,
) -> None:
    """Print a base model's fingerprint, for `base.fingerprint` in a run's adapterd.yaml.

    All of its weights are read, which takes a while.
    """
    end(lazily.fetching.fingerprint(directory, as_json=as_json))


@hub.command()
def serve(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where its repos lie; made if absent.")],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8080,
    user: Annotated[str, typer.Option("--user", help="The one account's name and namespace.")] = "adapterd",
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="hf_...", help="Its token; default: one that the data directory keeps."),
    ] = None,
    org: Annotated[list[str] | None, typer.Option("--org", help="A further namespace; may be repeated.")] = None,
    faults: Annotated[
        Path | None,
        typer.Option("--faults", metavar="FILE", help="Misbehave by this plan, which is read again when it changes."),
    ] = None,
) -> None:
    """Serve a small Hub on this host.

    For trying out, for tests, and for sites without a network.
    """
    end(lazily.serving.serve(data, port, user, token, org or [], faults))


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command(rich_help_panel=TOOLS)(validate)
    app.add_typer(config_, name="config", rich_help_panel=TOOLS)
    app.add_typer(base, name="base", rich_help_panel=TOOLS)
    app.add_typer(hub, name="hub", rich_help_panel=TOOLS)
