"""registry backup, restore, rebuild: the record is copied, put back, or made anew from the Hub."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.say import line
from adapterd.cli.verbs.changing import note
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import config_of, path_of, reader_of, reference_of
from adapterd.compose import make_folder, rebuilding
from adapterd.config import Config, load, places
from adapterd.core import index
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import is_hub_id
from adapterd.ports import NotFound
from adapterd.registry import acquire
from adapterd.registry import backup as copy
from adapterd.registry import restore as put_back
from adapterd.steps.host import Host
from adapterd.steps.rebuild import Say, Terms, restore

LONGEST_INDEX = 256 * 1024 * 1024


def backup(given: Path | None, file: Path) -> int:
    """Copy the registry, whether a daemon runs or not."""
    config = config_of(given)
    if file.exists():
        raise UsageFaultError(f"{file} is there already", "name a file that is not there yet")
    with reader_of(config) as registry:
        size = copy(registry.path, file.absolute())
    line(f"{file} holds the registry as it was now, {size} bytes, checked")
    return Exit.DONE


def restore_(given: Path | None, file: Path) -> int:
    """Put a copy in the registry's place; what is there is kept."""
    path = path_of(given)
    registry = places(load(path), os.environ, Path.home()).registry
    if not file.is_file():
        raise NotFound(f"there is no file {file}", f"the daily copies lie in {registry.with_name('backups')}")
    make_folder(registry.parent)
    with acquire(registry):
        kept = put_back(file.absolute(), registry, "replaced")
    note(path, ("restore", {"file": str(file.absolute())}, ""), "done")
    if kept is not None:
        line(f"the registry that was there is kept as {kept}")
    line(f"{file} is the registry now; what was published since is found on the Hub and adopted")
    return Exit.DONE


def rebuild(given: Path | None, adapters: Sequence[str]) -> int:
    """Make a lost registry anew."""
    path = path_of(given)
    config = load(path)
    named = {reference_of(adapter).adapter for adapter in adapters}
    with rebuilding(config) as making, progress("reading spool, index and Hub") as say:
        host = making.host
        named |= {adapter for adapter, _, _ in host.spool.sidecars()} | _of_index(host.index)
        found = _of_hub(host, config, say)
        terms = Terms(frozenset(named), frozenset(found), making.successor)
        restored, staged = restore(host, terms, say)
    note(path, ("rebuild", {"adapters": sorted(named)}, ""), "done")
    line(f"{restored} published versions restored, {staged} staged again")
    line("what else lies in the roots is baseline at the next scan; `adapterd sync DIR` publishes it")
    if not named and not found:
        line("nothing names an adapter; `adapterd registry rebuild ADAPTER...` reads the repos that you name")
    return Exit.DONE


def _of_index(index: Path) -> set[str]:
    """The adapters that the index beside the registry names."""
    try:
        if index.stat().st_size > LONGEST_INDEX:
            return set()
        return {name for name in json.loads(index.read_bytes())["adapters"] if is_hub_id(name)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _of_hub(host: Host, config: Config, say: Say) -> set[str]:
    """Repos of the namespace that may be ours: what the Hub lists, and what the index repo names."""
    namespace, hub = config.hub.namespace, host.hub()
    found: set[str] = set()
    try:
        found |= set(hub.models(namespace))
        if config.hub.index_repo is not None:
            paths = hub.tree(f"{namespace}/{config.hub.index_repo}", "main")
            found |= {f"{namespace}/{name}" for name in index.names_in(paths)}
    except NotFound:
        pass
    except AdapterdError as error:
        say(f"the namespace {namespace} cannot be listed, only what is named is read: {error.message}")
    return {name for name in found if is_hub_id(name)}
