"""validate: a report on exactly this tree exists under the current policy.

Its side effects are a worker process and the operator's gates; nothing of ours changes, so it may be done again at any
time. A worker that dies, or a gate that comes to no answer, is never a rejection. A gate that wrote to the snapshot is
found out when publish hashes it again.
"""

from collections.abc import Sequence
from dataclasses import replace

from adapterd.bases import BaseMissingError, composition, locate, variant_of
from adapterd.config import Config, Root
from adapterd.core import verdict as judge
from adapterd.core.adapter import AdapterConfig
from adapterd.core.examples import MAX_BYTES, BadExamplesError, Example, digest, parse_examples
from adapterd.core.naming import is_commit
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Advanced, Outcome, Reason, Refused, Stage, Stalled
from adapterd.fingerprints import Digests
from adapterd.ports import (
    BaseModel,
    Claim,
    DeviceBusy,
    ProbeRequest,
    WorkerDied,
)
from adapterd.roots import SettleError
from adapterd.spool import Snapshot
from adapterd.steps.coalescing import superseding
from adapterd.steps.host import Host
from adapterd.steps.judging import Examined, judged
from adapterd.steps.mishaps import since_it_moved, unmeasured, unread


def validate(host: Host, claim: Claim) -> Outcome:
    """Probe a STAGED version in its base model, and decide."""
    version = claim.version
    root = root_of(host, version)
    if by := superseding(host, version, root):
        return Refused(Stage.SUPERSEDED, by)
    try:
        snapshot = host.spool.snapshot(version.adapter, version.tree)
        base = base_of(host, version, snapshot.config, root)
        snapshot, version = _repaired(host, claim, snapshot, base)
    except (SettleError, BaseMissingError) as error:
        return unread(error)
    if changed := _series_changed(host, version, snapshot, base):
        return Stalled(changed)
    try:
        examples = examples_of(host.config, base, root)
    except BadExamplesError as error:
        return Stalled(reason("bad_probes", str(error)))
    try:
        policy = policy_of(host.config, base, examples, host.digests)
    except BaseMissingError as error:
        return Stalled(reason(error.code, error.message, error.hint))
    if passed(host, version, policy):
        return _bound(host, version, snapshot, base, Advanced(Stage.VALIDATED))
    past = since_it_moved(host.registry.events(version.id), host.clock())
    try:
        result = host.validator.probe(replace(request_of(host.config, snapshot, base, examples), waited=past.waited))
    except (WorkerDied, DeviceBusy) as error:
        return unmeasured(host, version, past, error)
    return _bound(host, version, snapshot, base, judged(host, Examined(version, snapshot, base, policy), result))


def root_of(host: Host, version: AdapterVersion) -> Root | None:
    """The configured root that the version was first seen under."""
    sightings = host.registry.sightings(version.id)
    return host.root(sightings[0].root) if sightings else None


def base_of(host: Host, version: AdapterVersion, saved: AdapterConfig, root: Root | None) -> BaseModel:
    """The base model of a version on this host. BaseMissingError says why there is none."""
    labelled = version.labels.get("base")
    wanted = labelled.get("revision") if isinstance(labelled, dict) else None
    named = saved.revision
    return locate(
        version.base or saved.base,
        str(wanted or (named if is_commit(named) else "")),
        host.config,
        host.hub,
        root,
        host.digests,
    )


def _repaired(host: Host, claim: Claim, snapshot: Snapshot, base: BaseModel) -> tuple[Snapshot, AdapterVersion]:
    """Write the base's Hub id into a snapshot that was taken before anything said which it is."""
    version = claim.version
    public = base.id or base.path.rstrip("/").rsplit("/", 1)[-1]
    if snapshot.config.base == public:
        return snapshot, version
    limits = (host.config.settle.max_size, host.config.settle.max_files)
    repaired = host.spool.freeze(snapshot.payload, version.adapter, lambda _: public, limits)
    repairs = [*version.repairs, *repaired.repairs]
    version = host.registry.retree(claim, repaired.tree, version.base, repairs, host.clock())
    return repaired, version


def _series_changed(host: Host, version: AdapterVersion, snapshot: Snapshot, base: BaseModel) -> Reason | None:
    """Whether base, PEFT type or task differ from those that the adapter is bound to."""
    model = base.id or "local"
    config = snapshot.config
    bound = next((a for a in host.registry.adapters() if a.name == version.adapter), None)
    if bound is None:
        return None
    pairs = (
        ("base model", bound.base, model),
        ("PEFT type", bound.peft_type, config.peft_type),
        ("task", bound.task, config.task),
    )
    for what, was, now in pairs:
        if was and was.casefold() != now.casefold():
            return reason("series_changed", f"the {what} of {version.adapter} is {was}; this one has {now or 'none'}")
    return None


def _bound(host: Host, version: AdapterVersion, snapshot: Snapshot, base: BaseModel, outcome: Outcome) -> Outcome:
    """Bind the series to what passed first; what was rejected binds nothing."""
    if isinstance(outcome, Advanced):
        root = host.registry.sightings(version.id)[0].root
        config = snapshot.config
        host.registry.bind(version.adapter, root, base.id or "local", config.peft_type, config.task)
    return outcome


def policy_of(
    config: Config, base: BaseModel, examples: Sequence[Example] = (), digests: Digests | None = None
) -> judge.Policy:
    """The rules under which a verdict would be reached now.

    Raises BaseMissingError where an adapter that is merged into the base first is not there.
    """
    rules = config.validation
    limits = judge.Limits(
        rules.limits.max_loss,
        rules.limits.max_loss_increase,
        rules.limits.min_effect,
        rules.limits.max_effect,
        rules.limits.expected_loss_tolerance,
    )
    return judge.Policy(
        base=base.id or "local",
        revision=base.revision,
        texts=digest(examples),
        tokens=rules.probe_tokens,
        limits=limits,
        devices=rules.devices,
        dtype=_dtype(config, base),
        variant=variant_of(base),
        trained_on=composition(base, digests),
        gates=tuple(gate.command for gate in rules.gates),
        engines=rules.require_engines,
        structural=rules.too_large == "structural",
    )


def examples_of(config: Config, base: BaseModel, root: Root | None) -> tuple[Example, ...]:
    """The probe examples: those of the root, else of the base, else the configured texts, else none for the built-in.

    Raises BadExamplesError where a file of them cannot be read.
    """
    entry = next((e for e in config.base_models if e.id == base.id), None)
    path = (root.probes if root else None) or (entry.probes if entry else None)
    if path is None:
        return tuple(Example(text) for text in config.validation.probe_texts)
    try:
        with path.open("rb") as file:
            return parse_examples(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise BadExamplesError(f"{path} cannot be read: {error.strerror or error}") from error
    except BadExamplesError as error:
        raise BadExamplesError(f"{path}: {error}") from error


def _dtype(config: Config, base: BaseModel) -> str:
    return config.validation.dtype if config.validation.dtype != "auto" else base.dtype


def passed(host: Host, version: AdapterVersion, policy: judge.Policy) -> bool:
    """Whether a passing report exists for exactly this tree under this policy."""
    wanted = judge.policy_id(policy)
    return any(
        v.tree == version.tree and v.policy == wanted and v.verdict == "passed"
        for v in host.registry.validations(version.id)
    )


def request_of(config: Config, snapshot: Snapshot, base: BaseModel, examples: tuple[Example, ...]) -> ProbeRequest:
    """What the worker is asked to measure under a configuration."""
    rules = config.validation
    return ProbeRequest(
        snapshot=str(snapshot.payload),
        base=base,
        devices=rules.devices,
        dtype=_dtype(config, base),
        examples=examples,
        tokens=rules.probe_tokens,
        seconds=rules.deadline,
        max_wait=rules.max_wait,
        structural=rules.too_large == "structural",
    )
