"""Base models: from what a trainer wrote to a Hub id, and from there to a folder on this host."""

import re
from collections.abc import Callable
from pathlib import Path

from adapterd.config import BaseModelEntry, Config, Root
from adapterd.core.card import license_of
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import is_commit, is_hub_id
from adapterd.core.reasons import BY_CODE
from adapterd.ports import BaseModel, Hub

_CACHED = re.compile(r"/models--([^/]+)--([^/]+)/snapshots/([0-9a-f]{40})/?$")
LOCAL = "local"
"""The revision of a base model of which nothing says which commit it is."""

_CARD_LIMIT = 1024 * 1024


class BaseMissingError(AdapterdError):
    """No base model to validate in; `code` is the code of the reason."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        """Keep the code; the hint is the table's unless a better one is given."""
        super().__init__(message, hint or BY_CODE[code].hint)
        self.code = code


def hub_id(written: str, config: Config, root: Root | None = None) -> str:
    """The Hub id of what a trainer wrote as base model; empty where nothing says it.

    In this order: the root's own base, an entry of `base_models`, a path inside the Hub's cache, the text itself
    where it has the form of an id. A relative path may have that form too; then the base is not at hand later.
    """
    if root is not None and root.base:
        return root.base
    entry = entry_for(written, config)
    if entry is not None:
        return entry.id
    cached = _CACHED.search(written)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    return written if is_hub_id(written) and not written.startswith(("/", ".", "~")) else ""


def entry_for(written: str, config: Config) -> BaseModelEntry | None:
    """The entry of `base_models` that an id or a written name or path means."""
    plain = written.rstrip("/")
    for entry in config.base_models:
        names = [name.rstrip("/") for name in entry.written_as]
        if plain.casefold() == entry.id.casefold() or plain in names or (entry.path and plain == str(entry.path)):
            return entry
    return None


def locate(written: str, wanted: str, config: Config, hub: Callable[[], Hub], root: Root | None = None) -> BaseModel:
    """Find the base model on this host.

    A base is allowed if it is listed, or in the Hub's cache already, or lies at the path that the trainer wrote; it
    is downloaded only where its entry says `fetch`.

    Args:
        written: what the adapter's config named when it was snapshotted.
        wanted: the exact commit that the labels or the config name, or an empty string.
        config: of the daemon.
        hub: gives the Hub port; asked only where the cache is needed.
        root: of the adapter directory, for its `base`.

    Raises:
        BaseMissingError: `base_unknown` or `base_not_at_hand`.
    """
    model = hub_id(written, config, root)
    entry = entry_for(model or written, config)
    dtype = entry.dtype if entry else "auto"
    if not model:
        if config.validation.local_base and Path(written).is_absolute() and Path(written).is_dir():
            return BaseModel("", "local", written, dtype)
        raise BaseMissingError(
            "base_unknown",
            f"nothing says which Hub id the base model {written or '(none)'!r} has",
            _entry_hint(written),
        )
    revision = wanted if is_commit(wanted) else (entry.revision if entry else None)
    for folder in _local_folders(written, entry):
        here = _revision_of(folder)
        # A folder of the Hub's cache says which commit it is: it is not called by another's name.
        if folder.is_dir() and (not revision or here in (revision, LOCAL)):
            return BaseModel(model, revision or here, str(folder), dtype)
    found = hub().cached_model(model, revision)
    if found is None and entry is not None and entry.fetch:
        found = hub().fetch_model(model, revision)
    if found is None:
        at = f" at {revision[:12]}" if revision else ""
        raise BaseMissingError("base_not_at_hand", f"base model {model}{at} is not on this host")
    return BaseModel(model, found[1], found[0], dtype)


def _entry_hint(written: str) -> str:
    """The lines to add for a base model at a path."""
    if not written.startswith("/"):
        return ""
    return (
        f"add to base_models `- {{id: ORGANISATION/NAME, path: {written}}}`, with the id that deployers load it by, or "
        "set validation.local_base: true if it has none; then `adapterd retry`"
    )


def _local_folders(written: str, entry: BaseModelEntry | None) -> list[Path]:
    paths = [Path(written)] if written.startswith("/") else []
    if entry is not None:
        paths = (
            [Path(entry.path)] if entry.path else [*paths, *(Path(w) for w in entry.written_as if w.startswith("/"))]
        )
    return paths


def _revision_of(folder: Path) -> str:
    """The commit of a folder in the Hub's cache; ``local`` for any other, since nothing says which it is."""
    cached = _CACHED.search(str(folder))
    return cached[3] if cached else LOCAL


def base_license(folder: Path) -> str:
    """The licence that the base model's own card states, where it lies in its folder."""
    try:
        with (folder / "README.md").open("rb") as file:
            return license_of(file.read(_CARD_LIMIT).decode("utf-8", "replace"))
    except OSError:
        return ""
