"""validate --golden: does a pulled version do here what it did where it was published?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapterd.cli import say
from adapterd.cli.exits import Exit, code_of
from adapterd.cli.verbs import telling
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.validating import DIED, DTYPES, TOO_SMALL, base_of, cached_base, request_for, worst
from adapterd.core.errors import AdapterdError
from adapterd.core.golden import BadGoldenError, Golden, parse
from adapterd.core.likeness import ADAPTER, BASE, INCONCLUSIVE
from adapterd.core.likeness import compare as liken
from adapterd.core.naming import is_commit
from adapterd.core.publication import MANIFEST
from adapterd.core.version import Reason
from adapterd.deploy import Manifest, VerificationError, altered, parse_manifest
from adapterd.ports import (
    BaseModel,
    DeviceBusy,
    NoSuchDevice,
    NotFound,
    ProbeRequest,
    ProbeResult,
    Validator,
    WorkerDied,
)
from adapterd.roots import read_if_there
from adapterd.worker.supervisor import WorkerSupervisor

_MAX_MANIFEST = 4 * 1024 * 1024
_EXIT = {ADAPTER: Exit.DONE, BASE: Exit.REJECTED, INCONCLUSIVE: Exit.STALLED}
_NONE = "its manifest holds no golden outputs"
_OTHER = "upgrade adapterd here; or tell the publisher of this repo"
_PULL = "`adapterd pull ADAPTER@vN DIR` brings a version with its manifest"
_AGAIN = "pull it again with --force; nothing was loaded"
_HINTS = {
    BASE: "the adapter has no effect here: load it with the library versions that its manifest names",
    INCONCLUSIVE: "compare on the device, in the type and in the base that its manifest names; see docs/golden.md",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of one directory; `answer` is empty where nothing was asked, and `log_tail` a worker's last words."""

    directory: Path
    answer: str
    why: str
    exit: Exit
    hint: str = ""
    distances: Mapping[str, float] = field(default_factory=dict)
    greedy: tuple[int, int] | None = None
    result: ProbeResult | None = None
    log_tail: str = ""

    def document(self) -> dict[str, Any]:
        """As one line of JSON."""
        met = {"tokens": self.greedy[0], "of": self.greedy[1]} if self.greedy else None
        found = {
            "dir": str(self.directory),
            "answer": self.answer or None,
            "why": self.why,
            "hint": self.hint or None,
            "distances": dict(self.distances),
            "greedy": met,
            "device": self.result.device if self.result else None,
            "dtype": self.result.dtype if self.result else None,
            "versions": dict(self.result.versions) if self.result else {},
        }
        return found | ({"log_tail": self.log_tail} if self.log_tail else {})


def compare(
    directories: Sequence[Path],
    base: str,
    how: tuple[str, str, str],
    *,
    as_json: bool,
    worker: Validator | None = None,
) -> int:
    """Compare each directory; `how` is device, dtype and deadline. Without a worker one is started."""
    request = request_for(directories, how)
    validator = worker or WorkerSupervisor()
    codes = []
    try:
        for directory in directories:
            with progress(f"comparing {directory}"):
                compared = _compared(validator, directory.absolute(), base, request)
            if as_json:
                say.record(compared.document())
            else:
                _tell(compared)
            codes.append(compared.exit)
    finally:
        validator.close()
    return worst(codes)


def _compared(worker: Validator, directory: Path, named: str, request: ProbeRequest) -> Compared:
    """What can be told from the files alone first; then ask the worker."""
    try:
        manifest = _verified(directory)
    except AdapterdError as error:
        return Compared(directory, "", error.message, code_of(error), error.hint)
    if manifest.golden is None:
        hint = "only versions that were probed on a device have them; `adapterd validate DIR` probes this one here"
        return Compared(directory, INCONCLUSIVE, _NONE, Exit.STALLED, hint)
    base = _base(directory, named, manifest)
    if isinstance(base, Reason):
        return Compared(directory, INCONCLUSIVE, base.message, Exit.STALLED, base.hint)
    try:
        recorded = parse(manifest.golden)
    except BadGoldenError as error:
        return Compared(directory, INCONCLUSIVE, str(error), Exit.STALLED, _OTHER)
    dtype = recorded.dtype if request.dtype == "auto" and recorded.dtype in DTYPES else request.dtype
    asked = replace(request, snapshot=str(directory), base=base, dtype=dtype, golden=manifest.golden)
    try:
        result = worker.probe(asked)
    except WorkerDied as died:
        hint = DIED.get(died.cause, died.hint)
        return Compared(directory, INCONCLUSIVE, died.message, Exit.STALLED, hint, log_tail=died.log_tail)
    except NoSuchDevice:
        raise
    except DeviceBusy as busy:
        return Compared(directory, INCONCLUSIVE, busy.message, code_of(busy), busy.hint or TOO_SMALL)
    return _likened(directory, manifest, recorded, result)


def _verified(directory: Path) -> Manifest:
    """The manifest of a pulled version, each file of which is what it says."""
    data = read_if_there(directory, MANIFEST, _MAX_MANIFEST)
    if data is None:
        raise NotFound(f"{directory} holds no {MANIFEST}, so that it is no pulled version", _PULL)
    manifest = parse_manifest(data, str(directory))
    if problem := altered(directory, manifest.files):
        raise VerificationError(f"{directory} is not {manifest.adapter}@v{manifest.number}: {problem}", _AGAIN)
    return manifest


def _base(directory: Path, named: str, manifest: Manifest) -> BaseModel | Reason:
    """The base model: the folder or id given, else the one that the manifest names, at its commit."""
    if named:
        return base_of(directory, named)
    if not manifest.base_id:
        text = "it was validated in a base model that is not on the Hub"
        return Reason("base_unknown", text, "name its folder with --base")
    return cached_base((manifest.base_id,), manifest.base_revision if is_commit(manifest.base_revision) else None)


def _likened(directory: Path, manifest: Manifest, recorded: Golden, result: ProbeResult) -> Compared:
    """Weigh what the worker observed."""
    if result.golden is None:
        why = "; ".join(finding.message for finding in result.findings) or "no outputs could be made here"
        hint = next((finding.hint for finding in result.findings), _HINTS[INCONCLUSIVE])
        return Compared(directory, INCONCLUSIVE, why, Exit.STALLED, hint, result=result, log_tail=result.log_tail)
    found = liken(manifest.golden, result.golden)
    why, wanted, here = found.why, manifest.base_fingerprint, result.base_fingerprint
    if wanted and here and wanted != here:
        why += f"; the base model here has the fingerprint {here[:12]}, the recorded one {wanted[:12]}"
    if others := _other_versions(recorded.versions, result.versions):
        why += f"; recorded with {others}"
    hint = _HINTS.get(found.answer, "")
    return Compared(directory, found.answer, why, _EXIT[found.answer], hint, found.distances, found.greedy, result)


def _other_versions(recorded: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Which libraries were others when the outputs were recorded."""
    pairs = [(name, was, here[name]) for name, was in sorted(recorded.items()) if name in here]
    others = [f"{name} {was}, here {now}" for name, was, now in pairs if was != now]
    return ", ".join(others)


def _tell(compared: Compared) -> None:
    say.line(f"{compared.directory}: {compared.answer or 'not compared'}")
    say.line(f"  {compared.why}")
    if compared.greedy:
        met, total = compared.greedy
        say.line(f"  of the recorded continuations {met} of {total} tokens came again")
    if compared.result and compared.result.device:
        say.line(f"  on {compared.result.device} {compared.result.dtype}")
    if compared.hint:
        say.line(f"  Try: {compared.hint}")
    telling.tail({"log_tail": compared.log_tail})
