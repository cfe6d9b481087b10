"""resolve and pull."""

from pathlib import Path
from typing import Any

from adapterd import deploy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import hub_of, reference_of
from adapterd.core.publication import MANIFEST


def resolve(given: Path | None, adapter: str, endpoint: str | None, *, as_json: bool) -> int:
    """Say which version a name means now."""
    reference = reference_of(adapter)
    with hub_of(given, endpoint) as hub:
        found = deploy.resolve(hub, reference)
    for warning in found.warnings:
        say.complain(f"warning: {warning}")
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


def pull(given: Path | None, adapter: str, directory: Path, endpoint: str | None, *, force: bool, as_json: bool) -> int:
    """Bring one version to this host."""
    reference = reference_of(adapter)
    target = directory.absolute()
    if ".." in target.parts or not target.name:
        target = target.resolve()
    if not target.name:
        raise UsageFaultError(f"{directory} cannot hold a version", "name a directory below it")
    with hub_of(given, endpoint) as hub:
        found = deploy.resolve(hub, reference)
        for warning in found.warnings:
            say.complain(f"warning: {warning}")
        with progress(f"pulling {found.adapter}@{found.tag}, commit {found.commit[:12]}") as tell:
            deploy.pull(hub, found, target, tell, force=force)
    if as_json:
        say.document({**document(found), "path": str(target)})
    else:
        say.line(f"{found.adapter}@{found.tag} lies verified in {target}")
    return Exit.DONE


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
