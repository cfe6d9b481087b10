"""What an adapter directory is: its files, its config, its fingerprint, its identity.

Everything here works on names, stats and bytes that somebody else has read. The layouts are those that PEFT 0.21,
transformers 5 (`model.add_adapter`), Trainer and TRL write.
"""

import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapterd.core.quantized import upstream

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
INDEX = "adapter_model.safetensors.index.json"
STATE = "trainer_state.json"
LABELS = "adapterd.yaml"
MARKER_SUFFIX = ".adapterd-done"
IDENTITY_ALGORITHM = "adapterd-identity-1"

MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_CONFIG_DEPTH = 32
"""Objects and lists within one another; what is deeper is no configuration, and could exhaust the stack later."""
MAX_HEADER_BYTES = 100 * 1024 * 1024
"""The limit that safetensors itself sets for a header."""

_SHARD = re.compile(r"adapter_model-[0-9]{5}-of-[0-9]{5}\.safetensors")
_TEMPLATE = re.compile(r"(?:additional_chat_templates/)?[A-Za-z0-9_.-]+\.jinja")
_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,12})")
SIDE_FILES = frozenset(
    {
        "added_tokens.json",
        "chat_template.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_FULL_MODEL = re.compile(r"(?:model|pytorch_model)(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)(?:\.index\.json)?")
_SHARDED = re.compile(r"pytorch_model_fsdp_\d+|global_step\d+|.*_model_states\.pt|.*\.distcp|__\d+_\d+\.distcp")
# These hold sets, which PEFT writes in hash order.
_SETS = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern", "target_parameters")
_NOT_IDENTITY = ("base_model_name_or_path", "peft_version", "inference_mode")


class Kind(StrEnum):
    """What `lstat` says a directory entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"
    """A link, pipe, socket or device; never opened."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry as `lstat` saw it: size in bytes, mtime in nanoseconds."""

    name: str
    kind: Kind
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The parsed ``adapter_config.json``: its fields, and those that adapterd asks about by name."""

    fields: Mapping[str, Any]
    base: str
    revision: str
    peft_type: str
    task: str

    @property
    def rank(self) -> int | None:
        """The rank `r`, where the PEFT type has one."""
        value = self.fields.get("r")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a safetensors header: its shape and its byte range within the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


class BadConfigError(ValueError):
    """The bytes are no PEFT configuration; the text says why."""


class BadWeightsError(ValueError):
    """The bytes are no whole safetensors file; the text says why."""


def checkpoint_number(name: str) -> int | None:
    """The N of a folder named ``checkpoint-N``, else None."""
    match = _CHECKPOINT.fullmatch(name)
    return int(match[1]) if match else None


def is_weights(name: str) -> bool:
    """Whether a payload file of this name holds tensors."""
    return name == WEIGHTS or _SHARD.fullmatch(name) is not None


def is_payload(name: str) -> bool:
    """Whether a file of this name, relative to the adapter directory, is copied and published.

    An allow-list: `training_args.bin` holds tokens in clear, `trainer_state.json` holds paths, and optimizer state
    is of no use to a deployer.
    """
    return name in (CONFIG, INDEX) or is_weights(name) or name in SIDE_FILES or _TEMPLATE.fullmatch(name) is not None


def sources(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that make a directory what it is: its payload, and a pickle where that is the only weights."""
    found = list(entries)
    payload = [entry for entry in found if is_payload(entry.name)]
    if any(is_weights(entry.name) or entry.name == INDEX for entry in payload):
        return payload
    return payload + [entry for entry in found if entry.name == PICKLE]


def weights_of(entries: Iterable[Entry]) -> list[str]:
    """The names of the files that hold a directory's tensors; a pickle where there is nothing else."""
    return [entry.name for entry in sources(entries) if is_weights(entry.name) or entry.name == PICKLE]


def parse_config(data: bytes) -> AdapterConfig:
    """Parse the bytes of ``adapter_config.json``; BadConfigError says what is wrong."""
    if len(data) > MAX_CONFIG_BYTES:
        raise BadConfigError(f"{CONFIG} has {len(data)} bytes; more than {MAX_CONFIG_BYTES} is no configuration")
    try:
        fields = json.loads(data.decode("utf-8-sig"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadConfigError(f"{CONFIG} is not JSON: {error or type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise BadConfigError(f"{CONFIG} holds a {type(fields).__name__}, not an object")
    if _depth(fields) > MAX_CONFIG_DEPTH:
        raise BadConfigError(f"{CONFIG} nests more than {MAX_CONFIG_DEPTH} levels")
    if not (peft_type := _text(fields, "peft_type")):
        raise BadConfigError(f"{CONFIG} names no peft_type")
    return AdapterConfig(
        fields=fields,
        base=_text(fields, "base_model_name_or_path"),
        revision=_text(fields, "revision"),
        peft_type=peft_type,
        task=_text(fields, "task_type"),
    )


def _no_number(name: str) -> Any:  # noqa: ANN401 - the signature of json's parse_constant
    """Python reads NaN and Infinity, which no JSON has: PEFT would take them for an alpha."""
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    """Python reads 1e999 as Infinity, which would be written out again as what no JSON has."""
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _depth(value: object) -> int:
    """How many levels of objects and lists a JSON value has, found without recursion."""
    level, here = 0, [value]
    while here := [item for item in here if isinstance(item, dict | list)]:
        level += 1
        here = [inner for item in here for inner in (item.values() if isinstance(item, dict) else item)]
    return level


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadConfigError(f"{CONFIG}: {key} is a {type(value).__name__}, not a string")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadConfigError(f"{CONFIG}: {key} holds half a character, which no text may")
    return value


def parse_header(read: Callable[[int, int], bytes], size: int) -> tuple[Tensor, ...]:
    """Parse a safetensors header without touching the tensors.

    Args:
        read: gives `length` bytes from `offset`.
        size: of the whole file, in bytes.

    Raises BadWeightsError unless 8 + header + largest end offset is exactly `size` (the safetensors format).
    """
    prefix = 8
    if size < prefix:
        raise BadWeightsError(f"the file has {size} bytes; a safetensors file has at least 8")
    first = read(0, prefix)
    if len(first) != prefix:
        raise BadWeightsError("the file became shorter while it was read")
    (length,) = struct.unpack("<Q", first)
    if length > min(MAX_HEADER_BYTES, size - prefix):
        raise BadWeightsError(f"the header claims {length} bytes in a file of {size}")
    try:
        header = json.loads(read(prefix, length).decode())
    except (ValueError, RecursionError) as error:
        raise BadWeightsError(f"the header is not JSON: {type(error).__name__}") from error
    if not isinstance(header, dict):
        raise BadWeightsError("the header is not an object")
    tensors = tuple(_tensor(name, spec) for name, spec in header.items() if name != "__metadata__")
    described = prefix + length + max((tensor.end for tensor in tensors), default=0)
    if described != size:
        raise BadWeightsError(f"the header describes {described} bytes, the file has {size}")
    return tensors


def _tensor(name: str, spec: object) -> Tensor:
    if not isinstance(spec, dict):
        raise BadWeightsError(f"tensor {name!r} has no description")
    shape, offsets, dtype = spec.get("shape"), spec.get("data_offsets"), spec.get("dtype")
    if not (
        isinstance(dtype, str)
        and isinstance(shape, list)
        and all(_count(n) for n in shape)
        and isinstance(offsets, list)
        and len(offsets) == 2  # noqa: PLR2004 - begin and end
        and all(_count(n) for n in offsets)
        and offsets[0] <= offsets[1]
    ):
        raise BadWeightsError(f"tensor {name!r} has a malformed description")
    return Tensor(name, dtype, tuple(shape), offsets[0], offsets[1])


def _count(value: object) -> bool:
    """Whether a JSON value is a whole number from 0 on; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def missing_shards(index: bytes, names: Iterable[str]) -> tuple[str, ...]:
    """Which shards a sharded adapter's index names that are not among `names`. BadWeightsError for a bad index."""
    try:
        wanted = {str(shard) for shard in json.loads(index)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadWeightsError(f"{INDEX} is no index of shards: {type(error).__name__}") from error
    return tuple(sorted(wanted - set(names)))


def fingerprint(entries: Iterable[Entry]) -> str:
    """Digest of names, sizes, mtimes and inodes of the files that make it what it is; 32 hex digits.

    It tells that something changed, never that two directories are equal. Only equality of mtimes counts, since
    the clocks of other hosts do not agree with ours.
    """
    lines = sorted(f"{e.name}\0{e.size}\0{e.mtime_ns}\0{e.inode}" for e in sources(entries))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def digest_of(data: bytes) -> str:
    """The sha256 of some bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def tree_digest(files: Mapping[str, tuple[str, int]]) -> str:
    """Digest of a payload: path to (sha256, size); 64 hex digits."""
    lines = "".join(f"{digest} {size} {path}\n" for path, (digest, size) in sorted(files.items()))
    return digest_of(lines.encode())


def canonical_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that makes an adapter what it is: sets sorted, without path, version and mode."""
    kept = {key: value for key, value in fields.items() if key not in _NOT_IDENTITY}
    for key in _SETS:
        value = kept.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            kept[key] = sorted(value)
    return kept


def identity_digest(fields: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """What makes two saves one version: weights, canonical config, tokenizer and template files; 64 hex digits.

    `files` maps each payload path to its sha256; the config's own bytes do not count, its canonical form does.
    """
    config = json.dumps(canonical_config(fields), sort_keys=True, separators=(",", ":"))
    lines = [IDENTITY_ALGORITHM, digest_of(config.encode())]
    lines += [f"{digest} {path}" for path, digest in sorted(files.items()) if path != CONFIG]
    return digest_of("\n".join(lines).encode())


def repair_base(data: bytes, hub_id: str) -> tuple[bytes, tuple[dict[str, Any], ...]]:
    """Write the Hub id of the base model into a config's bytes; the bytes, and what was changed.

    Unchanged bytes where the config names it already. Formatted as PEFT formats it: two spaces, sorted keys. The
    path that was there is a string that describes a host, so the record keeps only its last part.
    """
    config = parse_config(data)
    if config.base == hub_id:
        return data, ()
    copy = bool(upstream(config.base))
    # Of a quantised copy the whole id is told, since it says how the adapter was trained.
    was = config.base if copy else config.base.rstrip("/").rsplit("/", 1)[-1]
    records: list[dict[str, Any]] = [{"file": CONFIG, "key": "base_model_name_or_path", "was": was, "now": hub_id}]
    fields = {**config.fields, "base_model_name_or_path": hub_id}
    if copy and config.revision:  # a commit of the copy's repo; the original has no such one
        records.append({"file": CONFIG, "key": "revision", "was": config.revision, "now": None})
        fields["revision"] = None
    return json.dumps(fields, indent=2, sort_keys=True).encode(), tuple(records)


def vouched(marker: bytes, entries: Sequence[Entry]) -> bool:
    """Whether a finished-marker's bytes vouch for exactly these payload files: names, sizes, mtimes.

    The marker is JSON: ``{"files": {name: {"size": bytes, "mtime_ns": nanoseconds}}}``.
    """
    try:
        files = json.loads(marker)["files"]
        claimed = {str(name): (spec["size"], spec["mtime_ns"]) for name, spec in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    seen = {e.name: (e.size, e.mtime_ns) for e in sources(entries)}
    return bool(claimed) and claimed == seen


@dataclass(frozen=True, slots=True)
class Nature:
    """What a directory is, as far as its names tell: ``adapter``, or the code of the reason why it is none."""

    code: str
    message: str


def nature(entries: Iterable[Entry], *, pickles: bool = False) -> Nature:
    """Say what a directory is by the names in it; with `pickles`, a pickle counts as weights."""
    kinds = {entry.name: entry.kind for entry in entries}
    weights = sorted(name for name in kinds if is_weights(name) or name == INDEX)
    pickle = pickles and not weights and PICKLE in kinds
    odd = sorted(name for name, kind in kinds.items() if (is_payload(name) or name == PICKLE) and kind is not Kind.FILE)
    full = sorted(name for name in kinds if _FULL_MODEL.fullmatch(name))
    sharded = sorted(name for name in kinds if _SHARDED.fullmatch(name))
    config = CONFIG in kinds
    cases = (
        (config and odd, "not_regular", f"{next(iter(odd), '')} is no regular file"),
        (config and weights, "adapter", f"{CONFIG} and {next(iter(weights), '')}"),
        (config and pickle, "adapter", f"{CONFIG} and {PICKLE}, of which the snapshot has a copy as {WEIGHTS}"),
        (config and PICKLE in kinds, "pickle_only", f"{CONFIG} and {PICKLE}, and no {WEIGHTS}"),
        (sharded, "sharded_state", f"{next(iter(sharded), '')} is a part of a sharded training state"),
        (config, "half_written", f"config without weights: {CONFIG} is there, {WEIGHTS} is not"),
        (weights, "half_written", f"weights without config: {next(iter(weights), '')} is there, {CONFIG} is not"),
        (pickle, "half_written", f"weights without config: {PICKLE} is there, {CONFIG} is not"),
        (full, "full_model", f"{next(iter(full), '')} holds a full model"),
        (True, "no_adapter", f"neither {CONFIG} nor {WEIGHTS} is there"),
    )
    return next(Nature(code, message) for holds, code, message in cases if holds)
