"""Which version each adapter shall serve, asked of the Hub no more than is needed.

One conditional request for the index tells that nothing changed. What it says has changed is resolved at the adapter's
own repo, which alone is believed; so is, now and then, what it says has not. Where there is no index, or where it
lacks an adapter, each turn looks at that repo's refs.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from adapterd.core.errors import AdapterdError
from adapterd.core.following import Golden, of_adapter
from adapterd.core.naming import Reference
from adapterd.deploy.catalogue import Catalogue, Entry, read_catalogue
from adapterd.deploy.faults import NewerSchemaError, VerificationError
from adapterd.deploy.resolving import Resolved, resolve
from adapterd.ports import Hub, NotFound, Refs, Transient

_PATIENCE = 3
"""So many failures of the Hub in a row, and the others are left for the next turn."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One adapter to follow: what of it, under which stable name, on which engines (by key)."""

    reference: Reference
    name: str
    engines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is followed; all times in seconds.

    Attributes:
        index: the index repo; empty for none.
        optional: whether it is no trouble that there is none.
        recheck: after so long every adapter's own repo is looked at, whatever the index says.
        interval: between two turns.
        drain: that requests to a former version have to end.
        patience: after so long a switch no longer waits for an engine that does not answer.
        longest: pause after failures in a row.
        keep: former versions of each adapter that stay on disk.
    """

    index: str = ""
    optional: bool = False
    recheck: float = 3600.0
    interval: float = 60.0
    drain: float = 30.0
    patience: float = 600.0
    longest: float = 900.0
    keep: int = 2
    golden: Golden = Golden.WARN


class Wishes:
    """What is wanted, as far as the Hub has said so to this process.

    Attributes:
        resolved: by stable name, the version that the Hub named last.
        faults: by stable name, why its last asking failed.
        index_fault: why the index could not be read.
    """

    def __init__(self, hub: Hub, specs: Sequence[Spec], settings: Settings, now: float) -> None:
        """Know nothing yet."""
        self._hub, self._specs, self._settings = hub, specs, settings
        self.resolved: dict[str, Resolved] = {}
        self.faults: dict[str, AdapterdError] = {}
        self.index_fault: AdapterdError | None = None
        self._catalogue: Catalogue | None = None
        self._etag = ""
        self._marks: dict[str, Hashable] = {}
        self._seen: dict[str, Refs] = {}
        # Spread out, so that not all of them are looked at in one turn.
        share = settings.recheck / max(len(specs), 1)
        self._looked = {spec.reference.adapter: now - share * place for place, spec in enumerate(specs)}

    def look(self, now: float) -> None:
        """Ask what has to be asked."""
        if not self._read_index():
            return
        failed = 0
        refs: dict[str, Refs] = {}
        for spec in self._specs:
            try:
                if self._due(spec, now, refs):
                    self._resolve(spec, refs)
                elif not isinstance(self.faults.get(spec.name), VerificationError | NewerSchemaError | NotFound):
                    self.faults.pop(spec.name, None)
                failed = 0
            except Transient as error:
                self.faults[spec.name] = error
                failed += 1
            except AdapterdError as error:
                self.faults[spec.name] = error
                failed = 0
            if failed >= _PATIENCE:
                break

    def _read_index(self) -> bool:
        """Read the index; False where the Hub is away, so that nothing else needs to be asked."""
        if not self._settings.index:
            return True
        try:
            found, self._etag = read_catalogue(self._hub, self._settings.index, self._etag)
        except AdapterdError as error:
            self.index_fault = None if isinstance(error, NotFound) and self._settings.optional else error
            if not isinstance(error, Transient):
                self._catalogue, self._etag = None, ""
            return not isinstance(error, Transient)
        self.index_fault = None
        if found is not None:
            self._catalogue = found
        return True

    def _entry(self, adapter: str) -> Entry | None:
        try:
            return None if self._catalogue is None else self._catalogue.entry(adapter)
        except AdapterdError:
            return None

    def _due(self, spec: Spec, now: float, refs: dict[str, Refs]) -> bool:
        """Whether the version must be resolved again."""
        adapter = spec.reference.adapter
        if spec.name not in self.resolved:
            return True
        entry = self._entry(adapter)
        if entry is not None and self._marks.get(spec.name) != self._mark(spec, entry):
            return True
        if entry is not None and now - self._looked[adapter] < self._settings.recheck:
            return False
        if adapter not in refs:
            refs[adapter] = self._hub.refs(adapter)
            self._looked[adapter] = now
        return self._seen.get(spec.name) != refs[adapter]

    def _resolve(self, spec: Spec, refs: dict[str, Refs]) -> None:
        # Read before what is resolved: what moves in between is seen at the next turn.
        entry, adapter = self._entry(spec.reference.adapter), spec.reference.adapter
        if entry is None and adapter not in refs:
            refs[adapter] = self._hub.refs(adapter)
        if adapter in refs:
            self._seen[spec.name] = refs[adapter]
        if entry is not None:
            self._marks[spec.name] = self._mark(spec, entry)
        try:
            found = resolve(self._hub, spec.reference)
            if not of_adapter(found.serving_name, found.adapter):
                raise VerificationError(
                    f"{found.adapter}@{found.tag} has the serving name {found.serving_name}, which is none of its own",
                    "tell the publisher of this repo",
                )
        except AdapterdError:
            self._seen.pop(spec.name, None)
            self._marks.pop(spec.name, None)
            raise
        self.resolved[spec.name] = found
        self.faults.pop(spec.name, None)

    def _mark(self, spec: Spec, entry: Entry) -> Hashable:
        """What the index says of the version that a reference means; another mark means that something moved."""
        known = self.resolved.get(spec.name)
        number = spec.reference.number or (known.number if known is not None else 0)
        listed = entry.in_channel(spec.reference.channel) if spec.reference.channel else entry.versions.get(number)
        return None if listed is None else (listed.number, listed.commit, listed.yanked, listed.erased)
