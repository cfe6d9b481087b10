"""Base models: from what a trainer wrote to a Hub id, and from there to a folder on this host.

A path says little: the same base lies at many, and another may lie there tomorrow. What counts is the fingerprint of
what lies there.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.config import BaseModelEntry, Config, Root
from adapterd.core import adapter as ad
from adapterd.core import quantized, variants
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import is_commit, is_hub_id
from adapterd.core.readme import license_of
from adapterd.core.reasons import BY_CODE
from adapterd.fingerprints import SHORT, Digests, sketch
from adapterd.ports import BaseModel, Hub

_CACHED = re.compile(r"/models--([^/]+)--([^/]+)/snapshots/([0-9a-f]{40})/?$")
LOCAL = "local"
"""The revision of a base model of which nothing says which commit it is."""

_CARD_LIMIT = 1024 * 1024
_COMPOSED = (
    "name the folders of the adapters that it was trained on top of under roots[].trained_on; then `adapterd retry`"
)


class BaseMissingError(AdapterdError):
    """No base model to validate in; `code` is the code of the reason."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        """Keep the code; the hint is the table's unless a better one is given."""
        super().__init__(message, hint or BY_CODE[code].hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Here:
    """A folder on this host that holds a configured base model, and its commit or ``local``."""

    entry: BaseModelEntry
    folder: Path
    revision: str


def hub_id(written: str, config: Config, root: Root | None = None) -> str:
    """The Hub id of what a trainer wrote as base model; empty where nothing says it.

    In this order: the root's own base, an entry of `base_models`, a path inside the Hub's cache, the text itself
    where it has the form of an id. A relative path may have that form too; then the base is not at hand later. The id
    of a quantised copy becomes that of the model, unless an entry names the copy.
    """
    if root is not None and root.base:
        return root.base
    entry = entry_for(written, config)
    if entry is not None:
        return entry.id
    model = _plain_id(written)
    whole = quantized.originals(model)
    listed = [found.id for each in (model, *whole) if each and (found := entry_for(each, config)) is not None]
    return next(iter([*listed, *whole, model]))


def entry_for(written: str, config: Config) -> BaseModelEntry | None:
    """The entry of `base_models` that an id or a written name or path means."""
    plain = written.rstrip("/")
    for entry in config.base_models:
        if plain.casefold() == entry.id.casefold() or _names(entry, plain) or (entry.path and plain == str(entry.path)):
            return entry
    return None


def locate(
    written: str,
    wanted: str,
    config: Config,
    hub: Callable[[], Hub],
    root: Root | None = None,
    digests: Digests | None = None,
) -> BaseModel:
    """Find the base model on this host.

    A base is allowed if it is listed, or in the Hub's cache already, or lies at the path that the trainer wrote; it
    is downloaded only where its entry says `fetch`. A path that nothing names is compared with every listed base.

    Args:
        written: what the adapter's config named when it was snapshotted.
        wanted: the exact commit that the labels or the config name, or an empty string.
        config: of the daemon.
        hub: gives the Hub port; asked only where the cache is needed.
        root: of the adapter directory, for its `base` and what it was trained on.
        digests: of base files that are known already.

    Raises:
        BaseMissingError: `base_unknown`, `base_not_at_hand` or `base_differs`.
    """
    digests = digests or Digests()
    model = hub_id(written, config, root)
    if not model:
        same = _recognised(written, wanted, config, hub, digests)
        if same is None:
            return _unnamed(written, config, root)
        model, written = same.entry.id, str(same.folder)
    entry = entry_for(model, config)
    revision = wanted if is_commit(wanted) else (entry.revision if entry else None)
    if entry is not None and not (root is not None and root.base) and _names(entry, written.rstrip("/")):
        same = _agreeing(written, entry, revision, hub, digests)
        written, revision = (str(same.folder), revision or same.revision) if same else (written, revision)
    pinned = revision if revision and is_commit(revision) else None
    for folder in _local_folders(written, model, entry):
        here = _revision_of(folder, entry)
        # A folder whose commit is known is not called by another's name.
        if folder.is_dir() and (pinned is None or here in (pinned, LOCAL)):
            return configured(model, pinned or here, str(folder), config, root)
    found = hub().cached_model(model, pinned)
    if found is None and entry is not None and entry.fetch:
        found = hub().fetch_model(model, pinned)
    if found is None:
        at = f" at {pinned[:12]}" if pinned else ""
        raise BaseMissingError("base_not_at_hand", f"base model {model}{at} is not on this host")
    return configured(model, found[1], found[0], config, root)


def configured(model: str, revision: str, path: str, config: Config, root: Root | None = None) -> BaseModel:
    """A base model, to be loaded as its entry says, with what the root's adapters were trained on top of."""
    entry = entry_for(model, config) if model else None
    if entry is None:
        return BaseModel(model, revision, path, trained_on=_folders(root))
    computed = config.validation.dtype if config.validation.dtype != "auto" else entry.dtype
    return BaseModel(
        model,
        revision,
        path,
        entry.dtype,
        device_map=entry.device_map or "",
        max_memory=dict(entry.max_memory),
        quantization=variants.keywords(entry.quantization, computed),
        trained_on=_folders(root),
        trust_remote_code=entry.trust_remote_code,
    )


def recorded(terms: Mapping[str, Any], root: Root | None = None) -> BaseModel:
    """The base model that a recorded policy was about, as it was loaded then; where it lies is not in there."""
    base, dtype = str(terms.get("base", "")), str(terms.get("dtype", "auto"))
    variant = variants.parse(str(terms.get("variant", "")))
    return BaseModel(
        "" if base == LOCAL else base,
        str(terms.get("revision", "")),
        "",
        dtype,
        device_map=variant.device_map,
        max_memory=variant.max_memory,
        quantization=variants.keywords(variant.quantization, dtype),
        trained_on=_folders(root),
    )


def variant_of(base: BaseModel) -> str:
    """How a base model is quantised and spread, in the one spelling that a policy has for it."""
    quantization = variants.quantization_of(base.quantization)
    return variants.text(variants.Variant(quantization, base.device_map, base.max_memory))


def composition(base: BaseModel, digests: Digests | None = None) -> tuple[str, ...]:
    """Digests of the adapters that are merged into the base first: of their configs and weights.

    Raises BaseMissingError `base_not_at_hand` where one is not there to be merged.
    """
    kept = digests or Digests()
    found = []
    for folder in map(Path, base.trained_on):
        try:
            names = [path.name for path in folder.iterdir() if path.name == ad.CONFIG or ad.is_weights(path.name)]
            files = {name: (kept.of_file(folder / name), (folder / name).stat().st_size) for name in names}
        except OSError as error:
            raise BaseMissingError(
                "base_not_at_hand", f"the adapter in {folder} cannot be read: {error.strerror or error}", _COMPOSED
            ) from error
        if ad.CONFIG not in files or len(files) == 1:
            raise BaseMissingError("base_not_at_hand", f"{folder} holds no whole adapter", _COMPOSED)
        found.append(ad.tree_digest(files))
    return tuple(found)


def base_license(folder: Path) -> str:
    """The licence that the base model's own card states, where it lies in its folder."""
    try:
        with (folder / "README.md").open("rb") as file:
            return license_of(file.read(_CARD_LIMIT).decode("utf-8", "replace"))
    except OSError:
        return ""


def _folders(root: Root | None) -> tuple[str, ...]:
    """The adapters that those of a root were trained on top of."""
    return tuple(str(folder) for folder in root.trained_on) if root is not None else ()


def _plain_id(written: str) -> str:
    """The id in the name of a folder of the Hub's cache, or the text itself where it has the form of one."""
    cached = _CACHED.search(written)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    return written if is_hub_id(written) and not written.startswith(("/", ".", "~")) else ""


def _names(entry: BaseModelEntry, plain: str) -> bool:
    """Whether the entry lists this as what trainers write for it."""
    return plain in [name.rstrip("/") for name in entry.written_as]


def _unnamed(written: str, config: Config, root: Root | None) -> BaseModel:
    """A base model without a Hub id, where that is allowed."""
    if config.validation.local_base and Path(written).is_absolute() and Path(written).is_dir():
        return configured("", LOCAL, written, config, root)
    raise BaseMissingError(
        "base_unknown",
        f"nothing says which Hub id the base model {written or '(none)'!r} has",
        _entry_hint(written),
    )


def _entry_hint(written: str) -> str:
    """The lines to add for a base model at a path."""
    if not written.startswith("/"):
        return ""
    return (
        f"add to base_models `- {{id: ORGANISATION/NAME, path: {written}}}`, with the id that deployers load it by, or "
        "set validation.local_base: true if it has none; then `adapterd retry`"
    )


def _recognised(written: str, wanted: str, config: Config, hub: Callable[[], Hub], digests: Digests) -> _Here | None:
    """The configured base of which a copy lies at this path: what is cheap to compare first, then every byte."""
    folder = Path(written)
    if not folder.is_absolute() or (looks := sketch(folder)) is None:
        return None
    for here in _at_hand(wanted, config, hub):
        if sketch(here.folder) == looks and _print(here.folder, digests) == _print(folder, digests):
            return here
    return None


def _agreeing(
    written: str, entry: BaseModelEntry, revision: str | None, hub: Callable[[], Hub], digests: Digests
) -> _Here | None:
    """The entry's own folder, where the path that the entry lists holds the same base; None without any to compare.

    Raises BaseMissingError `base_differs` where they hold two models: then one name means both.
    """
    folder = Path(written)
    if not folder.is_absolute() or sketch(folder) is None:
        return None
    here = _own_folder(entry, revision, hub)
    if here is None or sketch(here.folder) is None or here.folder.resolve() == folder.resolve():
        return None
    there, own = _print(folder, digests), _print(here.folder, digests)
    if there == own:
        return here
    raise BaseMissingError(
        "base_differs",
        f"base_models says that {written} is {entry.id}, but its fingerprint is {there[:SHORT]}, and that of "
        f"{entry.id} at {here.revision[:12]} on this host is {own[:SHORT]}",
        f"if the adapter belongs to what lies in {written}, name that folder as base_models[].path, or take it out of "
        "written_as and list it with an id of its own; then `adapterd retry`",
    )


def _at_hand(wanted: str, config: Config, hub: Callable[[], Hub]) -> Iterator[_Here]:
    """Every configured base on this host, at the wanted commit first where there is one."""
    for entry in config.base_models:
        for revision in dict.fromkeys((wanted, entry.revision) if is_commit(wanted) else (entry.revision,)):
            if (here := _own_folder(entry, revision, hub)) is not None:
                yield here


def _own_folder(entry: BaseModelEntry, revision: str | None, hub: Callable[[], Hub]) -> _Here | None:
    """Where a configured base lies on this host: at its own path, or in the Hub's cache."""
    if entry.path is not None:
        folder = Path(entry.path)
        return _Here(entry, folder, _revision_of(folder, entry)) if folder.is_dir() else None
    found = hub().cached_model(entry.id, revision)
    return None if found is None else _Here(entry, Path(found[0]), found[1])


def _print(folder: Path, digests: Digests) -> str:
    """A folder's fingerprint. BaseMissingError where a file of it cannot be read."""
    try:
        return digests.of(folder)
    except OSError as error:
        raise BaseMissingError(
            "base_not_at_hand",
            f"the base model in {folder} cannot be read: {error.strerror or error}",
            "let the user of adapterd read it; then `adapterd retry`",
        ) from error


def _local_folders(written: str, model: str, entry: BaseModelEntry | None) -> list[Path]:
    """Where the base may lie on this host, beside the Hub's cache."""
    # The cache folder of another model, such as a quantised copy, is not this one.
    other = _CACHED.search(written) is not None and _plain_id(written).casefold() != model.casefold()
    paths = [Path(written)] if written.startswith("/") and not other else []
    if entry is not None:
        paths = (
            [Path(entry.path)] if entry.path else [*paths, *(Path(w) for w in entry.written_as if w.startswith("/"))]
        )
    return paths


def _revision_of(folder: Path, entry: BaseModelEntry | None) -> str:
    """The commit of a folder in the Hub's cache, or that its entry gives it; ``local`` where nothing says it."""
    if cached := _CACHED.search(str(folder)):
        return cached[3]
    given = entry.revision if entry is not None and entry.path is not None and Path(entry.path) == folder else None
    return given or LOCAL
