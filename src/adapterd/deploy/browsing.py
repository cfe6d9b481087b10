"""What the Hub alone says of adapters: from the index where there is one, else from their repos."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import serving_name, version_numbers
from adapterd.core.standing import erased_numbers, holds, yanks
from adapterd.deploy.catalogue import Entry, Listed, index_repo_of, read_entry
from adapterd.deploy.faults import VerificationError
from adapterd.deploy.manifest import parse_manifest
from adapterd.moving import RepoStalledError, listing
from adapterd.ports import Hub, NotFound


def entry_of(hub: Hub, adapter: str) -> Entry:
    """One adapter by its own repo, which is always true; what only the index knows of its versions is added.

    Raises:
        NotFound: there is no such repo, or no version in it.
    """
    numbers = version_numbers(hub.refs(adapter).tags)
    if not numbers:
        raise NotFound(f"{adapter} holds no version of adapterd", "`adapterd list --hub NAMESPACE` shows what does")
    said = {
        trailers.number: trailers
        for commit in hub.log(adapter, pub.BRANCH)
        if (trailers := messages.trailers(commit.message)) and numbers.get(trailers.number) == commit.id
    }
    channels, standing = listing.truth(hub, adapter)
    out, gone = yanks(standing), erased_numbers(standing)
    versions = {
        number: Listed(
            number=number,
            commit=numbers[number],
            identity=found.identity,
            serving_name=serving_name(adapter, number, found.identity),
            yanked=number in out,
            yank_reason=out[number].reason if number in out else "",
            erased=number in gone,
        )
        for number, found in said.items()
    }
    newest = max(numbers)
    manifest = parse_manifest(hub.read(adapter, numbers[newest], pub.MANIFEST), f"{adapter}@v{newest}")
    live = Entry(
        adapter=manifest.adapter,
        publisher=said[newest].publisher if newest in said else "",
        base=manifest.base_id,
        channels=channels,
        versions=versions,
        count=len(numbers),
        holds={name: said.reason for name, said in holds(standing).items()},
    )
    with suppress(AdapterdError):
        return _with(live, read_entry(hub, index_repo_of(adapter.split("/", maxsplit=1)[0]), adapter))
    return live


def _with(live: Entry, indexed: Entry) -> Entry:
    """What the index knows of the very same versions: where they come from, what engines make of them, and when."""
    versions = dict(live.versions)
    for number, version in versions.items():
        told = indexed.versions.get(number)
        if told is not None and (told.commit, told.identity) == (version.commit, version.identity):
            versions[number] = replace(
                told,
                serving_name=version.serving_name,
                yanked=version.yanked,
                yank_reason=version.yank_reason,
                erased=version.erased,
            )
    return replace(live, versions=versions)


def entries_of(hub: Hub, namespace: str) -> Iterator[Entry]:
    """The adapters among a namespace's repos, each asked for itself; what is none of ours is passed over."""
    for repo in sorted(hub.models(namespace)):
        with suppress(NotFound, VerificationError, RepoStalledError):
            yield entry_of(hub, repo)
