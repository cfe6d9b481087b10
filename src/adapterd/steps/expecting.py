"""What the registry knows beforehand about a version that is being validated, for `core.expected` to compare."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from adapterd.core.examples import digest
from adapterd.core.expected import Expected, number, own_fingerprint
from adapterd.core.naming import is_commit
from adapterd.core.verdict import Policy, jsonable
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import RegistryReader

_LOOK_BACK = 20
"""Published versions whose reports are looked at; one further back says little about today's."""
_SAME_BASE = ("base", "revision")
_SAME_PROBES = (*_SAME_BASE, "texts", "tokens", "dtype", "variant", "trained_on", "validator")


def expected_of(registry: RegistryReader, version: AdapterVersion, policy: Policy, fingerprint: str) -> Expected:
    """Collect what labels, trainer and the versions before say.

    Args:
        registry: where they stand.
        version: that was measured.
        policy: under which.
        fingerprint: of the base model that it was measured in; empty where it came to no base.
    """
    labelled, wanted = _section(version.labels, "base"), _section(version.labels, "expect")
    trained = version.trained.get("eval_loss", version.trained.get("loss"))
    former, former_loss = _former_loss(registry, version, policy)
    same_commit, former_fingerprint = _former_fingerprint(registry, version, policy)
    return Expected(
        loss=number(wanted, "loss"),
        trained_loss=trained,
        former=former,
        former_loss=former_loss,
        own_probes=policy.texts != digest(()),
        fingerprint=own_fingerprint(str(labelled.get("fingerprint") or "")),
        fingerprint_here=fingerprint,
        same_commit=same_commit,
        former_fingerprint=former_fingerprint,
        composed=tuple(str(name) for name in labelled.get("adapters") or ()),
        composed_here=bool(policy.trained_on),
    )


def _section(labels: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = labels.get(name)
    return found if isinstance(found, Mapping) else {}


def _former_loss(registry: RegistryReader, version: AdapterVersion, policy: Policy) -> tuple[str, float | None]:
    """The newest version before that was measured on the same probes in the same base, and its loss there."""
    for tag, report in _reports_before(registry, version, policy, _SAME_PROBES):
        if (loss := number(report.get("measurements") or {}, "loss_adapter")) is not None:
            return tag, loss
    return "", None


def _former_fingerprint(registry: RegistryReader, version: AdapterVersion, policy: Policy) -> tuple[str, str]:
    """The newest version before that was measured at the same commit of the same base, and what that base was.

    Without a commit nothing says that it should be the same: a local base may be trained further.
    """
    if is_commit(policy.revision):
        for tag, report in _reports_before(registry, version, policy, _SAME_BASE):
            if found := str(report.get("base_fingerprint") or ""):
                return tag, found
    return "", ""


def _reports_before(
    registry: RegistryReader, version: AdapterVersion, policy: Policy, same: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Tag and newest passing report of the published versions before, newest first, under policies alike in `same`."""
    wanted = {name: jsonable(getattr(policy, name)) for name in same}
    published = (v for v in registry.versions(version.adapter, Stage.PUBLISHED) if v.intake < version.intake)
    for former in islice(published, _LOOK_BACK):
        for row in reversed(registry.validations(former.id)):
            terms = _section(row.report, "policy_terms")
            if row.verdict == "passed" and all(terms.get(name) == value for name, value in wanted.items()):
                yield former.tag, row.report
                break
