"""The losses of an adapter's published versions, for the picture: from their reports, or what a rebuild noted."""

from collections.abc import Collection

from adapterd.core.facts import Losses, losses, section
from adapterd.core.picture import MOST
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import RegistryReader

MEASURED = "measured"
"""Kind of the event that stands for a report: a registry that was rebuilt has the manifest's numbers alone."""


def losses_before(registry: RegistryReader, adapter: str, erased: Collection[str] = ()) -> tuple[Losses, ...]:
    """The losses of the newest published versions that are not erased, by number."""
    published = [v for v in registry.versions(adapter, Stage.PUBLISHED) if v.number and v.identity not in erased]
    newest = sorted(published, key=lambda v: v.number or 0)[-MOST:]
    noted = registry.noted(MEASURED, adapter)
    found = (_losses(registry, version, restored=version.id in noted) for version in newest)
    return tuple(each for each in found if each is not None)


def _losses(registry: RegistryReader, version: AdapterVersion, *, restored: bool) -> Losses | None:
    number = version.number or 0
    for row in reversed(registry.validations(version.id)):
        if row.verdict == "passed" and row.tree == version.tree:
            return losses(number, section(row.report, "measurements"))
    if not restored:
        return None
    notes = (event.detail for event in registry.events(version.id) if event.kind == MEASURED)
    return next((found for detail in notes if (found := losses(number, detail))), None)
