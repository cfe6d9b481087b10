"""audit: where Hub, registry, spool, index and audit log differ. It only reads."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from adapterd.cli import say
from adapterd.cli.exits import Exit
from adapterd.cli.verbs.settings import config_of, hub_of, reader_of, reference_of
from adapterd.config import places
from adapterd.instance import read_instance
from adapterd.keeping import chain
from adapterd.spool import Spool
from adapterd.steps.compare import Ground, compare

SCHEMA = 1


def audit(given: Path | None, adapters: Sequence[str], *, deep: bool, as_json: bool) -> int:
    """Compare, and tell what was found; 4 where anything differs."""
    config = config_of(given)
    at = places(config, os.environ, Path.home())
    named = [reference_of(adapter).adapter for adapter in adapters]
    with reader_of(config) as registry, hub_of(given) as hub:
        ground = Ground(config, registry, hub, Spool(at.spool), read_instance(at) or "", at.index)
        compared = compare(ground, named, deep=deep)
    findings = (*compared.findings, *(() if named else chain(at)))
    if as_json:
        found = [{**asdict(finding), "hint": finding.hint} for finding in findings]
        counts = {"adapters": compared.adapters, "versions": compared.versions}
        say.document({"schema": SCHEMA, "deep": deep, **counts, "findings": found})
    else:
        for finding in findings:
            say.line(f"{finding.subject}: {finding.code}: {finding.message}")
            say.line(f"  Try: {finding.hint}")
        how = "every manifest and snapshot read" if deep else "refs, visibility and standing"
        what = f"{compared.adapters} adapters with {compared.versions} versions compared ({how})"
        say.line(f"{what}: {len(findings) or 'no'} drift")
    return Exit.STALLED if findings else Exit.DONE
