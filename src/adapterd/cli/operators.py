"""Verbs for whoever runs a training host."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from adapterd.cli import lazily
from adapterd.cli.exits import UsageFaultError
from adapterd.cli.grouping import CARE, HOST, LOOKING
from adapterd.cli.options import ConfigOption, EndpointOption, JsonOption, WhyOption, YesOption, end

registry = typer.Typer(help="The durable record of every version.", no_args_is_help=True)


class WatchCommand(TyperCommand):
    """Tells `watch --` from `watch`, which the parser does not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps the class to itself
        """Refuse a `--` that nothing follows: a variable of a script was empty."""
        last = args[-1:]
        rest = super().parse_args(ctx, args)
        if last == ["--"] and not ctx.params.get("command"):
            raise UsageFaultError("nothing follows `--`", "adapterd watch -- CMD, or adapterd watch alone")
        return rest


def watch(
    config: ConfigOption = None,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- CMD", help="Watch while it runs, drain, end with its exit code; 127 where there is none."
        ),
    ] = None,
) -> None:
    """Run the daemon: find, prove and publish adapters."""
    end(lazily.watching.watch(config, command or []))


def sync(
    directories: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Publish these whatever baseline and filters say.")
    ] = None,
    max_wait: Annotated[
        str | None,
        typer.Option("--max-wait", metavar="DURATION", help="Longest wait; default: the quiet time and 60s."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Work the line until it is empty, then end."""
    end(lazily.watching.sync(config, directories or [], max_wait))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say how daemon and line stand, and what waits for a person."""
    end(lazily.standing.status(config, as_json=as_json))


def list_(
    adapter: Annotated[str | None, typer.Argument(metavar="ADAPTER", help="Only this one, version by version.")] = None,
    directories: Annotated[
        bool, typer.Option("--directories", help="List the adapter directories seen, and what became of each.")
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--hub",
            metavar="NAMESPACE",
            help="List the adapters of a namespace on the Hub, by its index repo: no registry is needed.",
        ),
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List adapters, the versions of one, directories seen, or what a namespace on the Hub has."""
    if namespace is not None:
        if adapter or directories:
            raise UsageFaultError("--hub lists a whole namespace", "for one of its adapters: adapterd show ADAPTER")
        end(lazily.browsing.adapters(config, namespace, endpoint, as_json=as_json))
    if directories:
        end(lazily.listing.directories(config, as_json=as_json))
    end(lazily.listing.adapters(config, adapter, as_json=as_json))


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ADAPTER@..|PATH", help="A version, or any directory: what it is, and what becomes of it."
        ),
    ],
    hub: Annotated[
        bool,
        typer.Option(
            "--hub", help="As the Hub has it, also a whole ADAPTER; without a configuration this is so in any case."
        ),
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell all about an adapter or one version of it, or explain any directory."""
    if lazily.browsing.is_of_hub(config, what, asked=hub):
        end(lazily.browsing.show(config, what, endpoint, as_json=as_json))
    end(lazily.showing.show(config, what, as_json=as_json))


def retry(
    references: Annotated[
        list[str] | None, typer.Argument(metavar="REF", help="ADAPTER, ADAPTER@.., or a directory.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is stalled or rejected.")] = False,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Set what is stalled or rejected going again."""
    end(lazily.changing.retry(config, references or [], every=every, why=why))


def waive(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The reason that shall not count, such as no_effect.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="ADAPTER@id:HEX, or its directory.")],
    why: Annotated[str, typer.Option("--reason", help="Why; it is published with the version.")],
    config: ConfigOption = None,
) -> None:
    """Publish a refused version all the same: set one reason aside."""
    end(lazily.changing.waive(config, code, version, why))


def revalidate(
    version: Annotated[str, typer.Argument(metavar="ADAPTER[@..]", help="A published version; or all in channels.")],
    config: ConfigOption = None,
) -> None:
    """Validate a published version again, with today's libraries, base model and policy.

    The daemon does it. The version stays what it is; one that fails is taken by no channel until it passes.
    """
    end(lazily.changing.revalidate(config, version))


def adopt(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="namespace/name")],
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Take over a repo that others have written to."""
    end(lazily.changing.adopt(config, adapter, why))


def rebind(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="namespace/name")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The configured root where it is trained now.")],
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Let an adapter follow its root to another path."""
    end(lazily.changing.rebind(config, adapter, root, why))


def audit(
    adapters: Annotated[
        list[str] | None, typer.Argument(metavar="ADAPTER", help="Only these; default: all, and the index.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every manifest, and every byte in the spool.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare Hub, registry, spool and index; exit code 4 where they differ.

    It only reads, with or without a daemon.
    """
    end(lazily.auditing.audit(config, adapters or [], deep=deep, as_json=as_json))


def erase(
    versions: Annotated[list[str], typer.Argument(metavar="VERSION", help="ADAPTER@vN, or ADAPTER@id:HEX.")],
    why: Annotated[str, typer.Option("--reason", help="Why; whoever may read the repo can read it.")],
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take versions from the Hub and from this host, for good.

    They are never published again, their tags and large files are deleted, channels go back to what they held before.
    Says what it cannot reach. If it was interrupted, the same again completes it.
    """
    end(lazily.tidying.erase(config, versions, why, yes=yes, as_json=as_json))


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would go from this host, and why.")
    ] = False,
    hub: Annotated[bool, typer.Option("--hub", help="Versions on the Hub instead, by retention.hub.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="With --hub: show which would go, and how many bytes.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="With --hub: erase those.")] = False,
    yes: YesOption = False,
    why: Annotated[str, typer.Option("--reason", help="With --apply: why; it can be read in the repo.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go of snapshots and histories that nobody needs any more; with --hub, of old versions there."""
    if hub:
        if dry_run or plan == apply:
            raise UsageFaultError("prune --hub takes either --plan or --apply", "adapterd prune --hub --plan")
        if plan:
            end(lazily.tidying.plan_hub(config, as_json=as_json))
        end(lazily.tidying.prune_hub(config, why, yes=yes, as_json=as_json))
    if plan or apply:
        raise UsageFaultError("--plan and --apply belong to --hub", "adapterd prune --dry-run, or prune --hub --plan")
    if dry_run:
        end(lazily.tidying.plan(config, as_json=as_json))
    end(lazily.tidying.prune(config, as_json=as_json))


@registry.command()
def rebuild(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADAPTER", help="Repos to read beside those that spool, index and namespace name."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Make a lost or damaged registry anew, from the Hub and the spool."""
    end(lazily.keeping.rebuild(config, adapters or []))


@registry.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it must not be there yet.")],
    config: ConfigOption = None,
) -> None:
    """Copy the registry, also while the daemon runs."""
    end(lazily.keeping.backup(config, file))


@registry.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `backup` or the daemon made.")],
    config: ConfigOption = None,
) -> None:
    """Put a copy in the registry's place; what is there is kept beside it."""
    end(lazily.keeping.restore_(config, file))


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    # What follows the first argument belongs to the command, options and all.
    options = {"allow_interspersed_args": False}
    app.command(cls=WatchCommand, context_settings=options, rich_help_panel=HOST)(watch)
    for verb in (sync, retry, waive, revalidate, adopt, rebind):
        app.command(rich_help_panel=HOST)(verb)
    app.command(rich_help_panel=LOOKING)(status)
    app.command("list", rich_help_panel=LOOKING)(list_)
    app.command(rich_help_panel=LOOKING)(show)
    for care in (audit, prune, erase):
        app.command(rich_help_panel=CARE)(care)
    app.add_typer(registry, name="registry", rich_help_panel=CARE)
