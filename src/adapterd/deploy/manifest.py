"""A manifest as a deployer reads it: parsed once, every path and digest checked, unknown keys ignored."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adapterd.core.card import SCHEMA
from adapterd.core.publication import MANIFEST, OWN_FILES
from adapterd.deploy.faults import NewerSchemaError, VerificationError

UPGRADE = "upgrade adapterd here"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"[^\\\x00-\x1f\x7f]{1,1024}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of ``adapterd.json`` that a deployer acts on.

    Attributes:
        files: payload path to (sha256, size in bytes).
        base_fingerprint: of the base model that it was validated in; empty where none is named.
        golden: golden outputs as they stand there (`core.golden` reads them); None where there are none.
    """

    adapter: str
    number: int
    identity: str
    base_id: str
    base_revision: str
    serving_name: str
    files: Mapping[str, tuple[str, int]]
    base_fingerprint: str = ""
    golden: Any = None


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest; `where` is what errors call it.

    Raises:
        NewerSchemaError: a newer adapterd wrote it.
        VerificationError: it is no manifest, or names a path or a digest that is none.
    """
    document = _document(data, where)
    try:
        files = {str(path): (spec["sha256"], spec["size"]) for path, spec in document["files"].items()}
        base = document["base"]
        found = Manifest(
            adapter=document["adapter"],
            number=document["number"],
            identity=document["identity"]["digest"],
            base_id=base["id"],
            base_revision=base["revision"],
            serving_name=document["serving_name"],
            files=files,
            base_fingerprint=str(base.get("fingerprint") or ""),
            golden=document.get("golden"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else "has a value of another type than schema 1 says"
        raise _bad(where, what) from None
    if problem := _problem(found):
        raise _bad(where, problem)
    return found


def _document(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _bad(where, "is not JSON") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _bad(where, "names no schema")
    if schema > SCHEMA:
        raise NewerSchemaError(f"{where} has schema {schema}; this adapterd knows {SCHEMA}", UPGRADE)
    found: Mapping[str, Any] = document
    return found


def _problem(manifest: Manifest) -> str:
    """What is wrong with the values, or an empty string."""
    texts = (manifest.adapter, manifest.base_id, manifest.base_revision, manifest.serving_name)
    if not all(isinstance(text, str) for text in texts):
        return "has a value of another type than schema 1 says"
    if not _natural(manifest.number) or manifest.number == 0:
        return "names no version number"
    if not _digest(manifest.identity):
        return "names no identity"
    if not manifest.files:
        return "lists no files"
    for path, (sha256, size) in manifest.files.items():
        if not is_safe(path) or path in OWN_FILES:
            return f"lists the path {path!r}, which no payload may have"
        if not _digest(sha256) or not _natural(size):
            return f"lists {path!r} without its sha256 and size"
    if inner := _inside_a_file(manifest.files):
        return f"lists {inner!r} inside another file"
    return ""


def is_safe(path: str) -> bool:
    """Whether a path stays within the directory that it is relative to, on any system."""
    parts = path.split("/")
    return _PATH.fullmatch(path) is not None and not any(part in ("", ".", "..") for part in parts)


def _inside_a_file(paths: Iterable[str]) -> str:
    """A path that lies below another one of them, or an empty string."""
    known = set(paths)
    for path in sorted(known):
        parts = path.split("/")
        if any("/".join(parts[:end]) in known for end in range(1, len(parts))):
            return path
    return ""


def _digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _bad(where: str, what: str) -> VerificationError:
    return VerificationError(
        f"{MANIFEST} of {where} {what}", "pull another version, and tell the publisher of this repo"
    )
