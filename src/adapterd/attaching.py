"""Several published adapters on one loaded model, each under a name of the caller's. For use within a serving program.

peft and transformers are imported when `attach` is called, and by nothing else here.
"""

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterd import deploy, reach
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import Reference, parse_reference
from adapterd.core.publication import MANIFEST
from adapterd.memento import Memento
from adapterd.ports import Transient
from adapterd.samebase import Loaded, difference, loaded

if TYPE_CHECKING:
    from peft import PeftModel

    from adapterd.ports import Hub

_SAID = 500
"""Characters of PEFT's own message that are passed on; the error's cause has all of it."""


class AttachError(AdapterdError):
    """An adapter could not be put onto the model, which is as it was before."""


class BaseMismatchError(AttachError):
    """The model is not the base that the adapter was validated in. Nothing was loaded."""


def attach(
    model: Any,  # noqa: ANN401 - a model of transformers, peft or sentence-transformers, none of which is installed here
    adapters: Mapping[str, str],
    *,
    cache: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    allow_base: bool = False,
) -> "PeftModel":
    """Pull adapters, verify them, and load them onto one base under the names that you give them.

    All or nothing: every version is pulled, verified and compared with the base before the model is touched, and if one
    cannot be loaded then, the others are taken off again. Which one answers is PEFT's `set_adapter`; at first it is the
    first one, or the one that was active before. While the Hub is away, what a name last meant is taken from the cache,
    with a warning.

    >>> import adapterd
    >>> from transformers import AutoModelForCausalLM
    >>> base = AutoModelForCausalLM.from_pretrained("acme/base")
    >>> model = adapterd.attach(base, {"spanish": "acme/sentiment-es@stable", "ner": "acme/ner-en@v3"})
    >>> model.active_adapter
    'spanish'
    >>> model.set_adapter("ner")

    Args:
        model: a model of transformers, a `PeftModel`, which gets the adapters in addition, or a `SentenceTransformer`.
        adapters: name on this model to ``namespace/name[@vN|@CHANNEL|@COMMIT|@id:HEX]``.
        cache: the directory that keeps what was pulled; by default below ``$XDG_CACHE_HOME`` or ``~/.cache``.
        endpoint: the Hub's address, as for `resolve`.
        allow_base: load them even though the model is another base than they were validated in, or nothing says which.

    Returns:
        The `PeftModel`; that of a `SentenceTransformer` is in place in it.

    Raises:
        BaseMismatchError: the model is not their base.
        AttachError: a name is taken or none that PEFT allows, or PEFT cannot load an adapter.

    And what `pull` raises.
    """
    wanted = {name: parse_reference(text) for name, text in adapters.items()}
    holder, inner = _inner(model)
    _demand_names(inner, wanted)
    home = Path(cache).absolute() if cache is not None else _cache(os.environ, Path.home())
    with reach.hub_of(endpoint=endpoint, guest=True) as hub:
        here = loaded(_bare(inner), home / "base-files.json")
        found = {name: _verified(hub, reference, home, here, allow=allow_base) for name, reference in wanted.items()}
    made = _load(inner, found)
    if holder is not None:
        setattr(holder, _attribute(holder), made)
    return made


def _inner(model: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as above
    """The module of a SentenceTransformer that holds its model, or None; and the model of transformers or peft."""
    first = getattr(model, "_first_module", None)
    holder: Any = first() if callable(first) else None
    return (holder, holder.auto_model) if hasattr(holder, "auto_model") else (None, model)


def _attribute(holder: object) -> str:
    """Where a SentenceTransformer's module keeps its model: since release 6 `auto_model` only shows it."""
    return "model" if isinstance(getattr(type(holder), "auto_model", None), property) else "auto_model"


def _bare(model: Any) -> Any:  # noqa: ANN401 - as above
    """The model of transformers, out of its PeftModel."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _demand_names(model: Any, names: Mapping[str, object]) -> None:  # noqa: ANN401 - as above
    """AttachError where PEFT could not keep adapters under these names."""
    from peft import PeftModel  # noqa: PLC0415 - what users import into their own code is lazy

    if not names:
        raise AttachError("no adapter was named", "give a name and a reference for each")
    present = isinstance(model, PeftModel)
    if not present and getattr(model, "_hf_peft_config_loaded", False):
        raise AttachError(
            "the model carries adapters that transformers loaded into it", "load the base anew, and attach to that"
        )
    for name in names:
        if not name or "." in name:
            raise AttachError(f"{name!r} is no name for an adapter in torch", "use one without a dot")
        if present and name in model.peft_config:
            raise AttachError(
                f"the model has an adapter {name!r} already", "choose another name, or delete_adapter first"
            )


def _verified(hub: "Hub", reference: Reference, home: Path, here: Loaded, *, allow: bool) -> Path:
    """The directory of a version that belongs to this base, pulled and verified; from the cache if the Hub is away."""
    shelf = home / reference.adapter
    try:
        version = deploy.resolve(hub, reference)
    except Transient as error:
        kept = _kept(shelf, reference)
        if kept is None:
            raise
        manifest = deploy.parse_manifest((kept / MANIFEST).read_bytes(), str(kept))
        warnings.warn(f"{error.message}; {manifest.adapter}@v{manifest.number} is taken from {kept}", stacklevel=4)
        _demand_base(here, manifest, hub, allow=allow)
        return kept
    for warning in version.warnings:
        warnings.warn(warning, stacklevel=4)
    _demand_base(here, deploy.parse_manifest(version.manifest, version.adapter), hub, allow=allow)
    place = shelf / f"{version.tag}-{version.commit[:12]}"
    with _alone(shelf):
        deploy.pull(hub, version, place, lambda _: None, force=True)
        if reference.channel is not None:
            deploy.point(shelf / reference.channel, place.name)
    return place


def _kept(shelf: Path, reference: Reference) -> Path | None:
    """Where the cache has the version that a reference meant when the Hub was last asked; None unless it is whole."""
    if reference.channel is not None:
        found = [(shelf / reference.channel).resolve()]
    elif reference.number is not None:
        found = [*shelf.glob(f"v{reference.number}-*")]
    else:
        found = [*shelf.glob(f"v*-{(reference.commit or '?')[:12]}")]
    for folder in found:
        try:
            manifest = deploy.parse_manifest((folder / MANIFEST).read_bytes(), str(folder))
        except (OSError, AdapterdError):
            continue
        if not deploy.altered(folder, manifest.files):
            return folder
    return None


def _demand_base(here: Loaded, manifest: deploy.Manifest, hub: "Hub", *, allow: bool) -> None:
    """BaseMismatchError where the model is another base than the version's, as far as can be told."""
    if allow or not (problem := difference(here, manifest, hub)):
        return
    base = manifest.base_id or "a local model"
    raise BaseMismatchError(
        f"{manifest.adapter}@v{manifest.number} belongs to {base} at {manifest.base_revision[:12]}: {problem}",
        "load that base, or pass allow_base=True where you know that it is the same",
    )


def _load(model: Any, found: Mapping[str, Path]) -> "PeftModel":  # noqa: ANN401 - as above
    """Put every adapter onto the model, or none; the PeftModel."""
    from peft import PeftModel  # noqa: PLC0415 - what users import into their own code is lazy

    before = Memento(model)
    made = model if isinstance(model, PeftModel) else None
    for name, folder in found.items():
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", ".*Found missing adapter keys")
                if made is None:
                    made = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
                else:
                    _add(made, name, folder)
        except BaseException as error:
            before.restore()
            if not isinstance(error, Exception):
                raise
            said = " ".join(str(error).split())[:_SAID]
            raise AttachError(
                f"the adapter {name!r} in {folder} cannot be loaded: {said}; the model is as it was before",
                "load the base that it was validated in, and the libraries that its adapterd.json names",
            ) from error
    return made


def _add(model: "PeftModel", name: str, folder: Path) -> None:
    """Load one more adapter; ValueError, as PEFT's own, where its weights are not all there."""
    others = set(model.state_dict())
    # PEFT counts whatever has the name anywhere in its key, also what belongs to other adapters.
    missing = set(model.load_adapter(str(folder), adapter_name=name).missing_keys) - others
    if missing:
        raise ValueError(f"the weights lack {min(missing)}, of {len(missing)} missing")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process pulls the same adapter: the ranks of one job start together."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache(environ: Mapping[str, str], home: Path) -> Path:
    own = environ.get("XDG_CACHE_HOME", "")
    return (Path(own) if own.startswith("/") else home / ".cache") / "adapterd"
