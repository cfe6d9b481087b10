"""prune and erase: what goes, after a person was asked, and what cannot be called back."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapterd import tidy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.changing import do_
from adapterd.cli.verbs.settings import config_of, path_of, reader_of, reference_of
from adapterd.compose import host_of
from adapterd.config import places
from adapterd.core.words import size
from adapterd.steps.host import Host

LONG = 3600.0
"""Seconds that the daemon may take for it: every tree of a repo may have to be read."""


def erase(given: Path | None, references: Sequence[str], why: str, *, yes: bool, as_json: bool) -> int:
    """Erase versions."""
    for reference in references:
        parsed = reference_of(reference)
        if parsed.number is None and parsed.identity is None:
            raise UsageFaultError(f"{reference} names no single version", "namespace/name@v3, or namespace/name@id:HEX")
    _ask(f"Erase {', '.join(references)} from the Hub and from this host, for good?", yes=yes)
    answer = do_(
        path_of(given),
        ("erase", {"references": list(references)}, why),
        lambda host, user: tidy.erase(host, references, user, why),
        LONG,
    )
    return _erased(answer, as_json=as_json)


def prune(given: Path | None, *, as_json: bool) -> int:
    """Let go of what this host does not need."""
    answer = do_(path_of(given), ("prune", {"hub": False}, ""), lambda host, _: tidy.prune_here(host), LONG)
    done = answer["tidied"]
    if as_json:
        say.document(answer)
        return Exit.DONE
    say.line(f"{done['snapshots']} snapshots of {size(done['bytes'])} went")
    say.line(f"{done['histories']} histories were cut, {done['observations']} directories that are gone forgotten")
    return Exit.DONE


def plan(given: Path | None, *, as_json: bool) -> int:
    """Show what `prune` would do."""
    with _reading(given) as host:
        found = tidy.plan_here(host)
    if as_json:
        say.document(found)
        return Exit.DONE
    snapshots = sorted(found["snapshots"], key=lambda each: (each["stays"], each["adapter"], each["tree"]))
    rows = [
        (
            "stays" if each["stays"] else "goes",
            each["version"] or f"{each['adapter']} {each['tree'][:12]}",
            size(each["bytes"]),
            each["why"],
        )
        for each in snapshots
    ]
    say.table(("snapshot", "of", "size", "why"), rows)
    going = [each["bytes"] for each in snapshots if not each["stays"]]
    say.line(f"{len(going)} of {len(snapshots)} snapshots would go, {size(sum(going))}")
    say.line(f"{found['histories']} histories would be cut, {len(found['observations'])} directories forgotten")
    return Exit.DONE


def plan_hub(given: Path | None, *, as_json: bool) -> int:
    """Show what `prune --hub --apply` would do."""
    with _reading(given) as host:
        found = tidy.plan_hub(host)
    if as_json:
        say.document(found)
        return Exit.DONE
    versions = [each for plan in found["adapters"] for each in plan["versions"]]
    rows = [("stays" if each["stays"] else "goes", each["label"], each["why"]) for each in versions]
    say.table(("on the Hub", "version", "why"), rows)
    going = sum(not each["stays"] for each in versions)
    say.line(f"{going} of {len(versions)} versions would go, {size(sum(plan['bytes'] for plan in found['adapters']))}")
    return Exit.DONE


def prune_hub(given: Path | None, why: str, *, yes: bool, as_json: bool) -> int:
    """Erase what the policy takes."""
    if not yes:
        plan_hub(given, as_json=False)
    _ask("Erase these from the Hub and from this host, for good?", yes=yes)
    answer = do_(
        path_of(given), ("prune", {"hub": True}, why), lambda host, user: tidy.prune_hub(host, user, why), LONG
    )
    return _erased(answer, as_json=as_json)


def _erased(answer: Mapping[str, Any], *, as_json: bool) -> int:
    """Tell what went, what stays with others, and what cannot be called back."""
    if as_json:
        say.document(answer)
        return Exit.DONE
    if not answer["erased"]:
        say.line("nothing to erase")
    for each in answer["erased"]:
        _tell(each)
    return Exit.DONE


def _tell(each: Mapping[str, Any]) -> None:
    say.line(f"{each['adapter']}: {', '.join(each['names'])} erased")
    for branch, tag in each["moved"].items():
        say.line(f"  {branch} holds {tag or 'nothing'} now")
    say.line(
        f"  {len(each['tags'])} tags, {len(each['objects'])} large files of {size(sum(each['objects'].values()))} and"
        f" {each['snapshots']} snapshots deleted"
    )
    for who in sorted(set(each["shared"].values())):
        count = list(each["shared"].values()).count(who)
        say.line(
            f"  {count} large files stay, since {who} holds the same; once that is gone, the same again deletes them"
        )
    if each["not_recalled"]:
        say.line("  this cannot be called back:")
    for text in each["not_recalled"]:
        say.line(f"  - {text}")


def _ask(question: str, *, yes: bool) -> None:
    """Demand a yes; a usage error where nobody can be asked, or somebody says no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageFaultError("nobody can be asked here", "the same with --yes, after a look at what it would do")
    sys.stderr.write(f"{say.clean(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageFaultError("nothing was done", "answer y, or add --yes")


@contextmanager
def _reading(given: Path | None) -> Iterator[Host]:
    """A host that is only asked what it would do; the daemon goes on beside it."""
    config = config_of(given)
    with reader_of(config) as reader:
        yield host_of(config, places(config, os.environ, Path.home()), reader, "")  # type: ignore[arg-type]  # it only reads
