"""base fetch and base fingerprint."""

from pathlib import Path

from adapterd import fingerprints
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import find, hub_of
from adapterd.config import load
from adapterd.core.expected import PREFIX
from adapterd.core.naming import is_hub_id
from adapterd.fingerprints import sketch
from adapterd.ports import NotFound


def fetch(given: Path | None, model: str, revision: str | None, endpoint: str | None, *, as_json: bool) -> int:
    """Download a base model into the Hub's cache; without a revision, the one that `base_models` pins."""
    if not is_hub_id(model):
        raise UsageFaultError(f"{model!r} is no id of a model", "namespace/name")
    path = find(given)
    if revision is None and path is not None:
        pinned = [entry.revision for entry in load(path).base_models if entry.id.casefold() == model.casefold()]
        revision = next(iter(pinned), None)
    with hub_of(given, endpoint) as hub, progress(f"fetching {model} from {hub.endpoint}"):
        folder, commit = hub.fetch_model(model, revision)
    if as_json:
        say.document({"model": model, "revision": commit, "path": folder})
    else:
        say.line(f"{model} at {commit}")
        say.line(folder)
    return Exit.DONE


def fingerprint(directory: Path, *, as_json: bool) -> int:
    """Print the fingerprint of the base model in a folder, as labels name it."""
    folder = directory.expanduser().absolute()
    if sketch(folder) is None:
        raise NotFound(f"no weights of a base model can be read in {folder}", "name the folder that holds config.json")
    with progress(f"reading {folder}"):
        digest = fingerprints.fingerprint(folder, {})
    if as_json:
        say.document({"path": str(folder), "fingerprint": digest})
    else:
        say.line(f"{PREFIX}{digest}")
    return Exit.DONE
