"""resolve and pull."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd import deploy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import hub_of, reference_of
from adapterd.core.publication import MANIFEST
from adapterd.ports import Denied


def resolve(given: Path | None, adapter: str, endpoint: str | None, *, as_json: bool) -> int:
    """Say which version a name means now."""
    reference = reference_of(adapter)
    with hub_of(given, endpoint) as hub:
        found = deploy.resolve(hub, reference)
    for warning in found.warnings:
        _warn(warning)
    if as_json:
        say.document(document(found))
        return Exit.DONE
    say.line(f"{found.adapter}@{found.tag}")
    say.line(f"commit        {found.commit}")
    say.line(f"identity      {found.identity}")
    say.line(f"base model    {found.base_id or 'a local model'} at {found.base_revision}")
    say.line(f"serving name  {found.serving_name}")
    for path, (sha256, size) in sorted(found.files.items()):
        say.line(f"{sha256}  {size:>12,}  {path}")
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version shall lie, and how; `link` is a name for it, `keep` how many former ones stay."""

    directory: Path
    layout: str = deploy.Layout.PLAIN
    keep: int = 1
    link: str = ""
    force: bool = False


def pull(given: Path | None, adapter: str, place: Place, endpoint: str | None, *, as_json: bool) -> int:
    """Bring one version to this host."""
    reference = reference_of(adapter)
    directory = place_of(place.directory)
    layout = deploy.Layout(place.layout)
    if place.link and layout is not deploy.Layout.VLLM:
        raise UsageFaultError(f"the layout {layout} has no links", "--link goes with --layout vllm")
    shelf = deploy.Shelf(directory, layout)
    with hub_of(given, endpoint) as hub, progress(f"pulling {adapter} from {hub.endpoint}") as tell:
        brought = deploy.bring(
            hub, reference, shelf, tell, now=time.time(), force=place.force, link=place.link, warn=_warn
        )
    name, held = brought.resolved.serving_name, brought.held
    with suppress(Denied):  # what lies there whole is good, whoever may write there
        shelf.tidy(place.keep, but=[name])
    if as_json:
        found = {**document(brought.resolved), "warnings": list(brought.warnings)}
        say.document({**found, "path": str(held.path), "layout": str(layout), "offline": brought.offline})
    else:
        say.line(f"{held.adapter}@v{held.number} lies verified in {held.path}")
    return Exit.DONE


def _warn(text: str) -> None:
    say.complain(f"warning: {text}")


def place_of(directory: Path) -> Path:
    """A directory of the command line, as an absolute path."""
    target = directory.absolute()
    if ".." in target.parts or not target.name:
        target = target.resolve()
    if not target.name:
        raise UsageFaultError(f"{directory} cannot hold a version", "name a directory below it")
    return target


def document(of: deploy.Resolved) -> dict[str, Any]:
    """One resolved version as plain JSON values."""
    return {
        "adapter": of.adapter,
        "number": of.number,
        "tag": of.tag,
        "commit": of.commit,
        "identity": of.identity,
        "base": {"id": of.base_id, "revision": of.base_revision},
        "serving_name": of.serving_name,
        "manifest": MANIFEST,
        "files": {path: {"sha256": sha256, "size": size} for path, (sha256, size) in of.files.items()},
        "yanked": of.yanked,
        "warnings": list(of.warnings),
    }
