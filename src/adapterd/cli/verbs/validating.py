"""validate: prove adapter directories in their base model by hand. Publishes nothing, asks no daemon."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs import telling
from adapterd.cli.verbs.explaining import explain
from adapterd.cli.verbs.pickles import converted
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import PUBLIC, seconds_of
from adapterd.core import adapter as ad
from adapterd.core import engines
from adapterd.core import verdict as judge
from adapterd.core.examples import MAX_BYTES, BadExamplesError, Example, digest, parse_examples
from adapterd.core.naming import is_commit, is_hub_id
from adapterd.core.quantized import originals
from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.version import Reason
from adapterd.core.words import losses
from adapterd.ports import BaseModel, DeviceBusy, DeviceTooSmall, NoSuchDevice, NotFound, ProbeRequest, WorkerDied
from adapterd.roots import SettleError, read_small
from adapterd.served import engines_of
from adapterd.worker.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from adapterd.hub.client import HubClient

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")
WORST = (Exit.BUG, Exit.CONFIGURATION, Exit.REJECTED, Exit.DENIED, Exit.NOT_FOUND, Exit.STALLED, Exit.WAITING)
DIED = {
    "worker_crashed": "the end of its log says what it did last; another --device or --dtype may spare it that",
    "worker_timeout": "a longer --deadline; the end of its log says what it did last",
    "worker_out_of_memory": "a smaller --dtype, another --device, or more memory",
    "worker_protocol": "the worker is not of this installation; reinstall adapterd",
}
"""What to do about a worker that died here, where there is nothing to show and nothing to retry."""
TOO_SMALL = "another --device or a smaller --dtype, or a host with more memory"
DTYPES = ("auto", "float32", "bfloat16", "float16")
_NEEDED = ("torch", "transformers", "peft")
_UNASKED = "save with safe_serialization=True; or --convert-pickle, which proves a copy of its tensors"
_UNCONVERTED = "a longer --deadline, or more memory"
_FETCH = "`adapterd base fetch ID` downloads it; or name a folder or an id with --base"


@dataclass(frozen=True, slots=True)
class Judged:
    """One directory's verdict; `log_tail` is what the worker wrote last."""

    directory: Path
    verdict: str
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)
    policy: str = ""
    log_tail: str = ""
    engines: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As one line of JSON."""
        found = {
            "dir": str(self.directory),
            "verdict": self.verdict,
            "reasons": [asdict(r) for r in self.reasons],
            "warnings": [asdict(w) for w in self.warnings],
            "measurements": judge.jsonable(self.measurements),
            "policy": self.policy or None,
            "engines": self.engines or None,
        }
        return found | ({"log_tail": self.log_tail} if self.log_tail and self.verdict != "passed" else {})

    @property
    def exit(self) -> Exit:
        """The exit code that this verdict means."""
        if self.verdict != "stalled":
            return Exit.DONE if self.verdict == "passed" else Exit.REJECTED
        waits = all(BY_CODE[r.code].severity is Severity.WAIT for r in self.reasons)
        return Exit.WAITING if waits else Exit.STALLED


def request_for(directories: Sequence[Path], how: tuple[str, str, str]) -> ProbeRequest:
    """What to measure but for directory and base; `how` is device, dtype and deadline. Each may be wrong."""
    device, dtype, deadline = how
    seconds = seconds_of(deadline, "--deadline")
    if not _DEVICE.fullmatch(device):
        raise UsageFaultError(f"--device: {device!r} is no device", "one of auto, cpu, cuda, cuda:N, mps")
    if dtype not in DTYPES:
        raise UsageFaultError(f"--dtype: {dtype!r} is no type", f"one of {', '.join(DTYPES)}")
    for directory in directories:
        if not directory.is_dir():
            raise NotFound(f"{directory} is no directory", "name adapter directories")
    for library in _NEEDED:
        if find_spec(library) is None:
            raise ModuleNotFoundError(name=library)
    return ProbeRequest("", BaseModel("", "", ""), devices=(device,), dtype=dtype, seconds=seconds)


def validate(
    directories: Sequence[Path],
    base: str,
    how: tuple[str, str, str],
    *,
    probes: Path | None = None,
    convert_pickle: bool = False,
    as_json: bool,
) -> int:
    """Prove each directory; `how` is device, dtype and deadline, `probes` a file of examples."""
    request = replace(request_for(directories, how), examples=_examples(probes))
    worker = WorkerSupervisor()
    codes = []
    try:
        for directory in directories:
            with progress(f"validating {directory}"):
                judged = _judge(worker, directory.absolute(), base, request, convert_pickle=convert_pickle)
            if as_json:
                say.record(judged.document())
            else:
                _tell(judged)
            codes.append(judged.exit)
    finally:
        worker.close()
    return worst(codes)


def _examples(probes: Path | None) -> tuple[Example, ...]:
    """The examples of a file; none means the built-in ones."""
    if probes is None:
        return ()
    hint = 'one JSON object a line: {"prompt": "...", "completion": "..."}, or with a label'
    try:
        with probes.open("rb") as file:
            return parse_examples(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise UsageFaultError(f"--probes: {probes} cannot be read: {error.strerror}", hint) from error
    except BadExamplesError as error:
        raise UsageFaultError(f"--probes: {probes}: {error}", hint) from error


def worst(codes: Collection[int]) -> int:
    """The one exit code for several directories: what was refused counts most, and what waits least."""
    return next((code for code in WORST if code in codes), max(codes, default=Exit.DONE))


def _judge(
    worker: WorkerSupervisor, directory: Path, base: str, request: ProbeRequest, *, convert_pickle: bool
) -> Judged:
    """What can be told from the files alone first, since it needs no base model."""
    if refused := _static(directory, pickles=convert_pickle):
        return refused
    try:
        with converted(directory, request.seconds) as payload:
            return replace(_prove(worker, payload, base, request), directory=directory)
    except SettleError as error:
        why = reason(error.code, error.message, _UNCONVERTED if error.code == "conversion_stalled" else "")
        rejects = BY_CODE[why.code].severity is Severity.REJECT
        return Judged(directory, "rejected" if rejects else "stalled", (why,))


def _prove(worker: WorkerSupervisor, directory: Path, base: str, request: ProbeRequest) -> Judged:
    """Load a whole adapter directory into its base model."""
    found = base_of(directory, base)
    if isinstance(found, Reason):
        return Judged(directory, "stalled", (found,))
    policy = judge.Policy(
        base=found.id or "local",
        revision=found.revision,
        texts=digest(request.examples),
        tokens=request.tokens,
        devices=request.devices,
        dtype=request.dtype,
    )
    try:
        result = worker.probe(replace(request, snapshot=str(directory), base=found))
    except WorkerDied as died:
        return Judged(
            directory, "stalled", (reason(died.cause, died.message, DIED.get(died.cause, "")),), log_tail=died.log_tail
        )
    except NoSuchDevice:
        raise
    except DeviceTooSmall as small:
        return Judged(directory, "stalled", (reason("device_too_small", small.message, TOO_SMALL),))
    except DeviceBusy as busy:
        return Judged(directory, "stalled", (reason("device_busy", busy.message),))
    served = engines_of(directory, Path(found.path))
    decided = judge.decide((*result.findings, *engines.findings(served)), result.measurements, policy.limits)
    return Judged(
        directory,
        decided.verdict,
        decided.reasons,
        decided.warnings,
        {**result.measurements, "device": result.device, "dtype": result.dtype},
        judge.policy_id(policy),
        result.log_tail,
        engines.document(served),
    )


def _static(directory: Path, *, pickles: bool) -> Judged | None:
    """A verdict from the files alone; None where they are a whole adapter directory."""
    found = explain(directory, pickles=pickles)
    if found["code"] == "adapter":
        return None
    why = reason(found["code"], found["message"], _UNASKED if found["code"] == "pickle_only" else "")
    if found["below"]:
        hint = f"{why.hint}; adapter directories lie below it, {found['below'][0]['path']} first"
        why = replace(why, hint=hint)
    stalls = found["code"] == "open_for_writing" or BY_CODE[why.code].severity is Severity.STALL
    return Judged(directory, "stalled" if stalls else "rejected", (why,))


def base_of(directory: Path, named: str) -> BaseModel | Reason:
    """The base model: the folder or id given, else what the config names; a reason where it is not at hand."""
    config = ad.parse_config(read_small(directory, ad.CONFIG, ad.MAX_CONFIG_BYTES))
    wanted = named or config.base
    if not wanted:
        return Reason("base_unknown", "the adapter names no base model", "name a folder or an id with --base")
    folder = Path(wanted).expanduser()
    if folder.is_dir():
        return BaseModel("", "local", str(folder.absolute()))
    if not is_hub_id(wanted):
        return Reason("base_unknown", f"{wanted!r} is neither a folder here nor the id of a model", _FETCH)
    whole = () if named else originals(wanted)
    pinned = config.revision if not named and not whole and is_commit(config.revision) else None
    return cached_base(whole or (wanted,), pinned)


def cached_base(models: Sequence[str], pinned: str | None) -> BaseModel | Reason:
    """The first of these ids that is in the Hub's cache, at a commit where one is named; a reason where none is."""
    for model in models:
        cached = _hub().cached_model(model, pinned)
        if cached is not None:
            return BaseModel(model, cached[1], cached[0])
    at = f" at {pinned[:12]}" if pinned else ""
    return Reason("base_not_at_hand", f"base model {models[0]}{at} is not on this host", _FETCH)


def _hub() -> "HubClient":
    """A client for the local cache alone."""
    from adapterd.hub.client import HubClient  # noqa: PLC0415 - a base in a folder needs none

    return HubClient(PUBLIC, None, xet=False, ca_file=None, proxy=None, deadline=60.0)


def _tell(judged: Judged) -> None:
    say.line(f"{judged.directory}: {judged.verdict}")
    for each in judged.reasons:
        say.line(f"  {each.code}: {each.message}")
        say.line(f"  Try: {each.hint}")
    for each in judged.warnings:
        say.line(f"  warning, {each.code}: {each.message}")
        say.line(f"  Try: {each.hint}")
    measured = judged.measurements
    if where := " ".join(str(measured[key]) for key in ("device", "dtype") if measured.get(key)):
        say.line(f"  on {where}")
    telling.measurements(measured)
    if judged.verdict == "passed":  # what is refused is nobody's to serve
        telling.serving(judged.engines)
    if judged.verdict == "stalled":
        telling.tail({"log_tail": judged.log_tail})
    if judged.verdict == "passed":
        say.line(f"passed: {_effect(measured)}")


def _effect(measured: Mapping[str, Any]) -> str:
    """What the adapter does, in one sentence."""
    layers, without = measured.get("modules"), measured.get("modules_without_effect", 0)
    changes = f"it changes {layers - without} of {layers} layers" if isinstance(layers, int) else "it loads and works"
    loss = losses(measured.get("loss_base"), measured.get("loss_adapter"))
    return changes + (f"; loss on the probe texts {loss} with the adapter" if loss else "")
