"""Chores of keeping: the registry is copied once a day, and everything is compared with everything else."""

import os
from datetime import UTC, datetime
from pathlib import Path

from adapterd import log as logs
from adapterd.audit import AuditLog
from adapterd.config import Places, places
from adapterd.core import drift
from adapterd.core.drift import Finding
from adapterd.health import Drift, Health
from adapterd.registry import backup as copy
from adapterd.registry import engine, folder_of, prune
from adapterd.spool import replace_file
from adapterd.steps.compare import Ground, compare
from adapterd.steps.host import Host

log = logs.get_logger(__name__)

SAID = 20
"""Findings that one audit logs one by one; the command line tells all."""

_PREFIX = "drift_"


def backup(host: Host, health: Health) -> None:  # noqa: ARG001 - a chore's signature
    """Copy the registry where today's copy is not there yet, with who this publisher is beside it; old copies go."""
    keep, at = host.config.registry.backups, _places(host)
    if not keep:
        return
    folder = folder_of(at.registry)
    target = folder / f"registry-{datetime.fromtimestamp(host.clock(), UTC):%Y-%m-%d}.db"
    if not target.exists():
        size = copy(at.registry, target)
        log.info("registry_copied", file=str(target), bytes=size)
        try:
            replace_file(folder / at.instance.name, at.instance.read_bytes())
        except FileNotFoundError:
            pass
        except OSError as error:
            raise engine.unwritable(folder, error) from error
    for old in prune(at.registry, keep):
        log.info("registry_copy_removed", file=str(old))


def audit(host: Host, health: Health) -> None:
    """Compare Hub, registry, spool and index cheaply, and say what differs. Nothing is mended, nothing is written."""
    host.spool.recount()
    ground = Ground(host.config, host.registry, host.hub(), host.spool, host.publisher, host.index)
    found = compare(ground)
    findings = (*found.findings, *chain(_places(host)))
    counts = drift.counted(findings)
    for code in [code for code in health.problems if code.startswith(_PREFIX)]:
        health.problems.pop(code, None)
    for code, count in counts.items():
        first = next(finding for finding in findings if finding.code == code)
        more = f" (and {count - 1} more: `adapterd audit`)" if count > 1 else ""
        health.problems[f"{_PREFIX}{code}"] = (f"{first.subject}: {first.message}{more}", first.hint)
    for finding in findings[:SAID]:
        log.warning("drift_found", reason=finding.code, subject=finding.subject, message=finding.message)
    health.drift = Drift(host.clock(), counts)
    log.info("audited", adapters=found.adapters, versions=found.versions, findings=len(findings))


def chain(at: Places) -> tuple[Finding, ...]:
    """Whether the audit log is what was written to it."""
    if not at.audit.exists():
        return ()
    line = AuditLog(at.audit).broken_at()
    if line is None:
        return ()
    return (Finding("audit_log_broken", str(at.audit), f"line {line} does not vouch for what stands before it"),)


def _places(host: Host) -> Places:
    return places(host.config, os.environ, Path.home())
