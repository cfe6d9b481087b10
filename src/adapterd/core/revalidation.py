"""When a published version is validated again: something that its last report names is another today. Pure."""

from collections.abc import Mapping
from typing import Any

from adapterd.core.rules import Row

LIBRARIES = ("torch", "transformers", "peft")
"""Whose versions count: what deployers load it with, too."""


def why(last: Row | None, versions: Mapping[str, str], fingerprint: str, policy: str) -> str:
    """What changed since the last report; empty where nothing did.

    Args:
        last: the newest report, under whatever verdict; None where there is none here, as after a rebuild.
        versions: of the libraries that it would be measured with now.
        fingerprint: of the base model that it would be measured in.
        policy: the id of today's.
    """
    if last is None:
        return "there is no report on it here"
    if last.verdict != "passed":
        return "it did not pass the last time"
    report = last.report
    said = report.get("versions")
    known: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    changed = [
        f"{name} was {known[name]}, is {versions[name]}"
        for name in LIBRARIES
        if name in known and name in versions and known[name] != versions[name]
    ]
    if report.get("base_fingerprint") not in (None, "", fingerprint):
        changed.append("the base model's files are others")
    if report.get("policy") != policy:
        changed.append(f"the policy was {report.get('policy') or 'another'}, is {policy}")
    return "; ".join(changed)
