"""Is a model in memory the base that a version was validated in? By what is known of where it was loaded from.

Strongest first: the fingerprint of the files in its folder, the commit, the id. transformers 5 no longer says of which
commit a model is that it loaded by id; then what this host's cache holds under that id is compared.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.core.naming import is_commit
from adapterd.core.quantized import originals
from adapterd.deploy import Manifest
from adapterd.fingerprints import SHORT, Digests
from adapterd.ports import Hub

_CACHED = re.compile(r"/models--([^/]+)--([^/]+)/snapshots/([0-9a-f]{40})/?$")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where a model in memory came from.

    Attributes:
        id: on the Hub; empty where it came from a folder of its own, or nothing says it.
        commit: of the Hub's repo; empty where nothing says it.
        folder: with its files; None where it came by id.
        digests: of base files, so that none is read twice.
    """

    id: str
    commit: str
    folder: Path | None
    digests: Digests


def loaded(model: Any, digests: Path) -> Loaded:  # noqa: ANN401 - a model of transformers
    """Read off a model where it was loaded from."""
    config = getattr(model, "config", None)
    name = str(getattr(model, "name_or_path", "") or getattr(config, "_name_or_path", "") or "")
    commit = str(getattr(config, "_commit_hash", None) or "")
    known = Digests(digests)
    if cached := _CACHED.search(name):
        return Loaded(f"{cached[1]}/{cached[2]}", cached[3], None, known)
    if name and Path(name).is_dir():
        return Loaded("", "", Path(name).absolute(), known)
    return Loaded(name, commit, None, known)


def difference(here: Loaded, manifest: Manifest, hub: Hub) -> str:
    """How the model differs from the version's base; empty where what can be compared is equal.

    An id is the same in any case of letters, and that of a quantised copy is its original's.
    """
    if here.folder is not None:
        return _other_files(here.folder, manifest, here.digests)
    if not here.id:
        return "nothing says what the model was loaded from"
    if manifest.base_id.casefold() not in {each.casefold() for each in (here.id, *originals(here.id))}:
        return f"this model is {here.id} (compared: the ids)"
    if here.id.casefold() != manifest.base_id.casefold() or not is_commit(manifest.base_revision):
        return ""
    wanted = manifest.base_revision
    if here.commit == wanted or (not here.commit and hub.cached_model(here.id, wanted)):
        return ""
    cached = hub.cached_model(here.id, here.commit or None)
    if cached is None:
        return f"this model is at {here.commit[:12]} (compared: the commits)" if here.commit else ""
    folder, commit = cached
    other = _other_files(Path(folder), manifest, here.digests)
    return f"this model is at {commit[:12]}, and {other}" if other else ""


def _other_files(folder: Path, manifest: Manifest, digests: Digests) -> str:
    """How the files in a folder differ from the base's."""
    if not manifest.base_fingerprint:
        return f"its manifest names no fingerprint to compare {folder} with"
    found = digests.of(folder)
    if found == manifest.base_fingerprint:
        return ""
    return (
        f"the files in {folder} have the fingerprint {found[:SHORT]}, not {manifest.base_fingerprint[:SHORT]} "
        "(compared: config and weights)"
    )
