"""A name becomes one immutable version, or an error that says why not."""

import json
from typing import TYPE_CHECKING

import pytest

from adapterd.core.naming import parse_reference
from adapterd.deploy import ErasedError, NewerSchemaError, Resolved, VerificationError, resolve
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.ports import NotFound

if TYPE_CHECKING:
    from deploy.conftest import Repo


def named(repo: "Repo", at: str = "") -> Resolved:
    """Resolve a reference to the repo."""
    return resolve(repo.hub, parse_reference(f"{repo.adapter}{at}"))


def test_a_number_is_the_commit_of_its_tag(published: "Repo") -> None:
    """A version by number gives commit, identity, base, files and serving name from the manifest at the tag."""
    found = named(published, "@v1")
    manifest = published.manifests[1]
    assert (found.number, found.tag, found.commit) == (1, "v1", published.commits[1])
    assert found.identity == manifest["identity"]["digest"]
    assert (found.base_id, found.base_revision) == ("acme/base", "c" * 40)
    assert found.serving_name == manifest["serving_name"]
    assert {path: size for path, (_, size) in found.files.items()} == {
        path: len(data) for path, data in published.payloads[1].items()
    }
    assert json.loads(found.manifest) == manifest
    assert not found.yanked


def test_a_channel_is_the_version_that_it_holds(published: "Repo") -> None:
    """A channel gives the tagged commit of its version, not the channel's own; without @ the channel is main."""
    assert named(published).commit == published.commits[1]
    assert named(published, "@candidate").commit == published.commits[2]


def test_a_rollback_resolves_to_the_older_version(repo: "Repo") -> None:
    """A channel that was moved back names the older version again."""
    for number in (repo.publish(), repo.publish(), 1):
        repo.promote(number)
    assert named(repo, "@main").number == 1


def test_a_commit_and_an_identity_name_a_version_too(published: "Repo") -> None:
    """The version's own commit, a channel's commit, and the first digits of its identity all name the same version."""
    promoted = published.hub.refs(published.adapter).branches["candidate"]
    for at in (published.commits[2], promoted, f"id:{published.manifests[2]['identity']['digest'][:12]}"):
        assert named(published, f"@{at}").number == 2


@pytest.mark.parametrize("at", ["@v9", "@nightly", "@" + "0" * 40, "@id:00000000"])
def test_what_is_not_there_is_not_found(published: "Repo", at: str) -> None:
    """An unknown number, channel, commit or identity says what there is."""
    with pytest.raises(NotFound) as caught:
        named(published, at)
    assert published.adapter in caught.value.message
    assert caught.value.hint


def test_a_main_that_holds_no_version_is_not_found(repo: "Repo") -> None:
    """Nothing was promoted yet; the hint names the newest version."""
    repo.publish()
    with pytest.raises(NotFound, match="newest version is v1"):
        named(repo)


def test_a_repo_that_cannot_be_seen_is_not_found(published: "Repo", server: RunningHub) -> None:
    """A private repo does not exist for somebody without access."""
    stranger = HubClient(server.endpoint, None, xet=False, ca_file=None, proxy=None, deadline=10.0)
    with pytest.raises(NotFound):
        resolve(stranger, parse_reference(f"{published.adapter}@v1"))
    stranger.close()


def test_a_yanked_version_comes_with_a_warning(repo: "Repo") -> None:
    """An exact pin still works, and says that and why the version was withdrawn; others carry no warning."""
    repo.publish()
    repo.publish()
    repo.standing({"schema": 1, "yanks": [{"number": 1, "actor": "ann", "reason": "wrong data", "at": 1.0}]})
    found = named(repo, "@v1")
    assert found.yanked
    assert found.warnings == (f"{repo.adapter}@v1 was yanked: wrong data",)
    assert named(repo, "@v2").warnings == ()


def test_an_erased_version_is_not_found_by_any_of_its_names(repo: "Repo") -> None:
    """By number, identity, commit or channel, with its tag there still or not: it was erased, and why; others are."""
    repo.publish()
    repo.publish()
    repo.promote(2)
    identity = repo.manifests[2]["identity"]["digest"]
    told = {"identity": identity, "number": 2, "actor": "ann", "reason": "asked for", "at": 1.0}
    repo.standing({"schema": 1, "erasures": [told]})
    for _ in range(2):
        for at in ("@v2", f"@id:{identity[:12]}", f"@{repo.commits[2]}", "@main"):
            with pytest.raises(ErasedError, match="v2 was erased: asked for") as erased:
                named(repo, at)
            assert "v1" in erased.value.hint
        if "v2" in repo.hub.refs(repo.adapter).tags:
            repo.hub.delete_tag(repo.adapter, "v2")
    assert named(repo, "@v1").number == 1


def test_a_standing_document_of_a_newer_schema_stops(repo: "Repo") -> None:
    """What is withdrawn cannot be known then, so nothing is resolved; the hint is to upgrade."""
    repo.publish()
    repo.standing({"schema": 2})
    with pytest.raises(NewerSchemaError, match="upgrade"):
        named(repo, "@v1")


def test_a_manifest_of_a_newer_schema_stops(repo: "Repo") -> None:
    """It is never skipped and never half understood."""
    repo.publish(change=lambda manifest: manifest.update(schema=2))
    with pytest.raises(NewerSchemaError, match="upgrade"):
        named(repo, "@v1")


def test_unknown_keys_of_a_manifest_are_ignored(repo: "Repo") -> None:
    """A later adapterd may add keys within a schema."""
    repo.publish(change=lambda manifest: manifest.update(flavour={"sweet": True}))
    assert named(repo, "@v1").number == 1


def test_a_version_without_its_tag_is_no_version(repo: "Repo") -> None:
    """A commit whose tag is missing was never finished, or lost its tag; a channel that holds it does not help."""
    repo.publish(tag=False)
    promoted = repo.promote(1)
    for at in ("", f"@{promoted}", f"@{repo.commits[1]}"):
        with pytest.raises(VerificationError, match="no tag v1"):
            named(repo, at)


def test_a_channel_with_another_manifest_is_refused(repo: "Repo") -> None:
    """A channel that claims a number with other content than the tag's is not believed."""
    repo.publish()
    repo.promote(1)
    forged = {**repo.manifests[1], "serving_name": "another"}
    repo.write("main", "adapterd.json", json.dumps(forged).encode())
    with pytest.raises(VerificationError, match="is not that of v1"):
        named(repo)


@pytest.mark.parametrize("change", [{"number": 7}, {"adapter": "acme/other"}])
def test_a_manifest_of_something_else_is_refused(repo: "Repo", change: dict[str, object]) -> None:
    """Number and adapter are those of the tag and the repo."""
    repo.publish(change=lambda manifest: manifest.update(change))
    with pytest.raises(VerificationError, match="is that of"):
        named(repo, "@v1")


def test_a_tag_on_something_else_is_refused(repo: "Repo") -> None:
    """A version tag that a person put on a commit of theirs is no version of adapterd."""
    repo.hub.create_tag(repo.adapter, "v1", repo.write("main", "notes.txt", b"mine"))
    with pytest.raises(VerificationError, match="did not publish it"):
        named(repo, "@v1")
