"""Published versions that channels hold are validated again when libraries, base model or policy changed.

The bytes are those of the spool, or else of the Hub, and are held to be the version's tree before anything is measured.
A new report is recorded; version, stage, tag and commit stay as they are. Whatever keeps a measurement from its end (a
worker that dies, a busy device, a base that is not there, a Hub that is away) says nothing about the version.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapterd.bases import BaseMissingError
from adapterd.core import adapter as ad
from adapterd.core import publication as pub
from adapterd.core import revalidation, verdict
from adapterd.core.errors import AdapterdError
from adapterd.core.examples import BadExamplesError
from adapterd.core.reasons import reason
from adapterd.core.standing import erased_numbers
from adapterd.core.version import AdapterVersion, Reason, Stage, Stalled
from adapterd.ports import (
    DeviceBusy,
    DeviceTooSmall,
    NoSuchDevice,
    NotFound,
    RegistryError,
    RepoRecord,
    Transient,
    Validation,
    WorkerDied,
)
from adapterd.roots import SettleError, read_small
from adapterd.spool import Snapshot
from adapterd.steps.host import Host
from adapterd.steps.judging import Examined, judged
from adapterd.steps.validate import base_of, examples_of, policy_of, request_of, root_of


@dataclass(frozen=True, slots=True)
class Unneeded:
    """Nothing changed since its last report."""


@dataclass(frozen=True, slots=True)
class Undone:
    """It could not be measured; it is tried again at the next time."""

    reason: Reason


Again = Validation | Unneeded | Undone
"""The new report, which is in the registry; or why there is none."""


def installed() -> Mapping[str, str]:
    """The versions of the libraries that a worker would measure with."""
    found = {}
    for name in revalidation.LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def held(host: Host) -> tuple[AdapterVersion, ...]:
    """The versions that channels hold, once each; those of one base model after one another, so that it stays warm."""
    found: dict[int, AdapterVersion] = {}
    for record in host.registry.channels():
        if record.number is None:
            continue
        repo = host.registry.repo(record.adapter) or RepoRecord(record.adapter)
        one = host.registry.find(record.adapter, number=record.number)
        if one is not None and one.stage is Stage.PUBLISHED and record.number not in erased_numbers(repo.standing):
            found[one.id] = one
    return tuple(sorted(found.values(), key=lambda v: (v.base, v.intake)))


def again(host: Host, of: AdapterVersion, libraries: Mapping[str, str], *, anyway: bool = False) -> Again:
    """Validate one published version again, if anything changed or `anyway`; record what came of it."""
    try:
        return _again(host, of, libraries, anyway=anyway)
    except RegistryError:
        raise
    except (SettleError, BaseMissingError) as error:
        return Undone(reason(error.code, error.message, error.hint))
    except BadExamplesError as error:
        return Undone(reason("bad_probes", str(error)))
    except WorkerDied as error:
        host.registry.note(of.id, "worker_died", {"cause": error.cause, "log_tail": error.log_tail}, host.clock())
        return Undone(reason(error.cause, error.message, error.hint))
    except OSError as error:
        return Undone(reason("system_refused", f"{error.filename or 'the system'}: {error.strerror or error}"))
    except AdapterdError as error:
        return Undone(reason(_code(error), error.message, error.hint))


def _code(error: AdapterdError) -> str:
    match error:
        case Transient():
            return error.code
        case NoSuchDevice():
            return "device_missing"
        case DeviceTooSmall():
            return "device_too_small"
        case DeviceBusy():
            return "device_busy"
        case NotFound():
            return "repo_vanished"
        case _:
            return "denied"


def _again(host: Host, of: AdapterVersion, libraries: Mapping[str, str], *, anyway: bool) -> Again:
    root = root_of(host, of)
    base = base_of(host, of, _config(host, of), root)
    examples = examples_of(host.config, base, root)
    policy = policy_of(host.config, base, examples, host.digests)
    rows = host.registry.validations(of.id)
    last = rows[-1] if rows else None
    today = verdict.policy_id(policy)
    if not anyway and not revalidation.why(last, libraries, host.digests.of(Path(base.path)), today):
        return Unneeded()
    with _bytes(host, of) as snapshot:
        result = host.validator.probe(request_of(host.config, snapshot, base, examples))
        outcome = judged(host, Examined(of, snapshot, base, policy), result)
    if isinstance(outcome, Stalled):
        return Undone(outcome.reason)
    validation: Validation = getattr(outcome, "facts", {})["validation"]
    host.registry.report(validation)
    return validation


def _config(host: Host, of: AdapterVersion) -> ad.AdapterConfig:
    """The version's config, from the spool or else from the Hub: what names the base that it belongs to."""
    if host.spool.holds(of.adapter, of.tree):
        data = read_small(host.spool.payload(of.adapter, of.tree), ad.CONFIG, ad.MAX_CONFIG_BYTES)
    else:
        data = host.hub().read(of.adapter, of.commit or "", ad.CONFIG)
    try:
        return ad.parse_config(data)
    except ValueError as error:
        raise SettleError("snapshot_damaged", f"the config of {of.label} cannot be read: {error}") from error


@contextmanager
def _bytes(host: Host, of: AdapterVersion) -> Iterator[Snapshot]:
    """The version's bytes, whole: where they lie in the spool, or pulled from the Hub for as long as it takes."""
    try:
        kept = host.spool.snapshot(of.adapter, of.tree) if host.spool.holds(of.adapter, of.tree) else None
    except SettleError:
        kept = None
    if kept is not None:
        yield kept
        return
    files = _listed(host, of)
    with host.spool.aside(sum(size for _, size in files.values())) as folder:
        for path in sorted(files):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            host.hub().download(of.adapter, of.commit or "", path, str(folder / path))
        try:
            pulled = host.spool.read(folder, of.adapter, of.tree)
        except SettleError as error:
            text = f"{of.label} as it was pulled: {error.message}"
            raise SettleError("tree_differs", text) from error
        yield pulled


def _listed(host: Host, of: AdapterVersion) -> Mapping[str, tuple[str, int]]:
    """The payload that the version's manifest lists; SettleError `manifest_differs` unless it is exactly its tree."""
    try:
        manifest = json.loads(host.hub().read(of.adapter, of.commit or "", pub.MANIFEST))
        files = {str(path): (str(f["sha256"]), int(f["size"])) for path, f in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettleError("manifest_differs", f"the manifest of {of.label} cannot be read: {error}") from error
    if ad.tree_digest(files) != of.tree or not all(map(ad.is_payload, files)):
        raise SettleError("manifest_differs", f"the manifest of {of.label} lists other files than were validated")
    return files
