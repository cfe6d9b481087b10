"""From what was measured to an outcome: engines, expectations, waivers and the operator's gates have their say."""

from dataclasses import dataclass, replace
from pathlib import Path

from adapterd.bases import base_license
from adapterd.core import engines
from adapterd.core import verdict as judge
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Advanced, Outcome, Refused, Stage, Stalled
from adapterd.fingerprints import weight_bytes
from adapterd.ports import BaseModel, GateFailed, ProbeResult, Validation
from adapterd.served import engines_of
from adapterd.spool import Snapshot
from adapterd.steps import waivers
from adapterd.steps.expecting import expected_of
from adapterd.steps.gates import Said, ask
from adapterd.steps.host import Host


@dataclass(frozen=True, slots=True)
class Examined:
    """A version, its snapshot, and the base and the policy that it was measured in and under."""

    version: AdapterVersion
    snapshot: Snapshot
    base: BaseModel
    policy: judge.Policy


def judged(host: Host, of: Examined, result: ProbeResult) -> Outcome:
    """Judge what was measured; what nothing speaks against is put before the operator's gates."""
    version, policy, folder = of.version, of.policy, Path(of.base.path)
    of_base = {"base_bytes": weight_bytes(folder), "base_license": base_license(folder)}
    served = engines_of(of.snapshot.payload, folder)
    result = replace(
        result,
        measurements={**result.measurements, **of_base},
        findings=(*result.findings, *engines.findings(served, host.config.validation.require_engines)),
    )
    expected = expected_of(host.registry, version, policy, result.base_fingerprint)
    waived = waivers.given(host.registry.events(version.id))
    decided = judge.decide(result.findings, result.measurements, policy.limits, expected, waived)
    said = Said()
    if decided.verdict == "passed":  # the cheap first: what is refused already is not asked about
        try:
            said = ask(host.gates, host.config, of.snapshot, of.base, waived)
        except GateFailed as failed:
            if failed.tail:
                host.registry.note(version.id, "gate_failed", {"log_tail": failed.tail}, host.clock())
            return Stalled(reason("gate_failed", failed.message))
        findings = (*result.findings, *said.findings)
        result = replace(result, findings=findings, measurements={**result.measurements, **said.measurements})
        decided = judge.decide(result.findings, result.measurements, policy.limits, expected, waived)
    report = judge.report(
        decided,
        policy,
        result,
        engines=engines.document(served) or None,
        waivers=waivers.needed(waived, decided),
        gates=said.entries,
    )
    facts = {
        "validation": Validation(version.id, version.tree, report["policy"], decided.verdict, report, host.clock())
    }
    if decided.verdict == "passed":
        return Advanced(Stage.VALIDATED, facts)
    why = judge.first_of(decided.reasons)
    return Refused(Stage.REJECTED, why, facts) if decided.verdict == "rejected" else Stalled(why)
