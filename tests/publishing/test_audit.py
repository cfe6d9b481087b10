"""The audit says where Hub, registry, spool and index differ, and nothing where they agree; it never writes."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from adapterd import keeping
from adapterd.audit import AuditLog, Entry
from adapterd.config import places
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.drift import Finding
from adapterd.core.index import render
from adapterd.health import Health
from adapterd.hub.server import RunningHub
from adapterd.ports import AddBytes, NotFound, RegistryError
from adapterd.registry import daily, verify
from adapterd.steps import export
from adapterd.steps.compare import Ground, compare
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive


def _ground(world: World) -> Ground:
    host = world.host
    return Ground(host.config, host.registry, world.client, host.spool, host.publisher, host.index)


def _found(world: World, adapter: str = "", *, deep: bool = False) -> list[Finding]:
    return list(compare(_ground(world), [adapter] if adapter else [], deep=deep).findings)


def _codes(world: World, adapter: str = "", *, deep: bool = False) -> list[str]:
    return [finding.code for finding in _found(world, adapter, deep=deep)]


@pytest.fixture
def published(world: World, adapter: str) -> World:
    """Two published versions, the second on `main`, and the index of them."""
    for n in (1, 2):
        stage(world, adapter, n)
        drive(world)
    export.export(world.host, export.Parts())
    return world


def _commit(world: World, adapter: str, branch: str, *operations: AddBytes) -> str:
    head = world.client.refs(adapter).branches[branch]
    return world.client.commit(adapter, branch, head, operations, "by hand")


@pytest.mark.parametrize("deep", [False, True])
def test_where_all_agree_there_is_nothing_to_say(published: World, deep: bool) -> None:  # noqa: FBT001 - pytest's
    """Neither for the cheap reading nor for the deep one."""
    assert _found(published, deep=deep) == []


def test_the_cheap_reading_takes_two_requests_an_adapter(published: World, adapter: str, hub: RunningHub) -> None:
    """Refs and visibility, however many versions there are; nothing that writes."""
    before = len(hub.requests)
    assert _found(published, adapter) == []
    asked = list(hub.requests)[before:]
    assert len(asked) == 2
    assert {request.method for request in asked} == {"GET"}


def test_tags_that_are_gone_or_moved(published: World, adapter: str) -> None:
    """Each with the commit that was published under it."""
    client = published.client
    one, two = sorted(published.registry.versions(adapter), key=lambda v: v.number or 0)
    for tag in ("v1", "v2"):
        client.delete_tag(adapter, tag)
    client.create_tag(adapter, "v2", one.commit or "")
    missing, moved = _found(published, adapter)
    assert (missing.code, missing.subject) == ("tag_missing", one.label)
    assert one.commit is not None
    assert one.commit in missing.message
    assert (moved.code, moved.subject) == ("tag_moved", two.label)
    assert missing.hint


def test_versions_that_nobody_here_knows(published: World, adapter: str) -> None:
    """A tag by hand, and in the deep reading a commit whose tag is gone; what another publisher made is known."""
    client, head = published.client, published.client.refs(adapter).branches["main"]
    client.create_tag(adapter, "v7", head)
    assert _codes(published, adapter) == ["version_unknown"]
    record = published.registry.repo(adapter)
    assert record is not None
    published.registry.save_repo(replace(record, seen={"e" * 64: [7, head]}))
    assert _codes(published, adapter) == []
    said = messages.with_trailers("v8", "", messages.Trailers("f" * 64, 8, "somebody"))
    branch = client.refs(adapter).branches[pub.BRANCH]
    client.commit(adapter, pub.BRANCH, branch, [AddBytes("note.txt", b"x")], said)
    assert _codes(published, adapter) == []
    (finding,) = _found(published, adapter, deep=True)
    assert (finding.code, finding.subject) == ("version_unknown", f"{adapter}@v8")


def test_what_was_erased_is_rightly_gone(published: World, adapter: str) -> None:
    """A missing tag is no drift then; one that is still there is an erasure that did not come to its end."""
    one = min(published.registry.versions(adapter), key=lambda v: v.number or 0)
    document = {"schema": 1, "erasures": [{"identity": one.identity, "number": 1}]}
    client = published.client
    client.create_branch(adapter, pub.STANDING_BRANCH, client.refs(adapter).branches["main"])
    head = _commit(published, adapter, pub.STANDING_BRANCH, AddBytes(pub.STANDING_FILE, render(document)))
    assert _codes(published, adapter) == ["erasure_unfinished", "standing_differs"]
    record = published.registry.repo(adapter)
    assert record is not None
    published.registry.save_repo(replace(record, standing=document, standing_head=head))
    client.delete_tag(adapter, "v1")
    assert _codes(published, adapter) == []


def test_a_standing_document_that_cannot_be_read(published: World, adapter: str) -> None:
    """It is said, and the rest is compared by what was last known."""
    published.client.create_branch(adapter, pub.STANDING_BRANCH, published.client.refs(adapter).branches["main"])
    _commit(published, adapter, pub.STANDING_BRANCH, AddBytes(pub.STANDING_FILE, b"[]"))
    (finding,) = _found(published, adapter)
    assert finding.code == "standing_differs"
    assert "holds no object" in finding.message


def test_channels(published: World, adapter: str) -> None:
    """A person's README is no drift; weights that a loader would read are, and so is a branch that is gone."""
    _commit(published, adapter, "main", AddBytes("README.md", b"---\nlicense: mit\n---\nmine\n"))
    assert _codes(published, adapter) == []
    _commit(published, adapter, "main", AddBytes("other.safetensors", b"x"))
    (finding,) = _found(published, adapter)
    assert (finding.code, finding.subject) == ("channel_drift", f"{adapter}@main")
    assert "other.safetensors" in finding.message
    (main,) = published.registry.channels(adapter)
    published.registry.save_channel(replace(main, channel="gone"))
    assert "is gone" in _found(published, adapter)[0].message


def test_visibility_and_a_repo_that_vanished(published: World, adapter: str) -> None:
    """Accepted once, a visibility is no drift; a repo that never was is none either."""
    published.extra["hub"] = f"{{endpoint: '{published.endpoint}', namespace: acme, private: false}}"
    published.registry.close()
    published.reopen()
    assert _codes(published, adapter) == ["visibility_differs"]
    record = published.registry.repo(adapter)
    assert record is not None
    published.registry.save_repo(replace(record, private=True))
    assert _codes(published, adapter) == []
    fresh = stage(published, f"{adapter}-new", 5)
    assert _codes(published, fresh.adapter) == []
    stage(published, f"{adapter}-lost", 6)
    drive(published)
    ground = replace(_ground(published), hub=_Without(published.client, f"{adapter}-lost"))  # type: ignore[arg-type]  # stands in
    (finding,) = compare(ground, [f"{adapter}-lost"]).findings
    assert (finding.code, finding.subject) == ("repo_vanished", f"{adapter}-lost")


class _Without:
    """The Hub without one repo."""

    def __init__(self, hub: object, repo: str) -> None:
        self._hub, self._repo = hub, repo

    def __getattr__(self, name: str) -> object:
        found = getattr(self._hub, name)

        def call(repo: str, *args: object) -> object:
            if repo == self._repo:
                raise NotFound(f"no {repo}")
            return found(repo, *args)

        return call


def test_manifests_in_the_deep_reading(published: World, adapter: str) -> None:
    """One that is about another version, or lists other bytes than lie there, is found where the tag is right."""
    client = published.client
    two = max(published.registry.versions(adapter), key=lambda v: v.number or 0)
    document = json.loads(client.read(adapter, "v2", pub.MANIFEST))
    for changes, said in (
        ([AddBytes(pub.MANIFEST, render({**document, "number": 5}))], "is about"),
        ([AddBytes(pub.MANIFEST, render(document)), AddBytes("adapter_model.safetensors", b"y" * 99)], "other bytes"),
        ([AddBytes(pub.MANIFEST, b"{")], "is no manifest"),
    ):
        commit = _commit(published, adapter, "main", *changes)
        for tag in ("v2",):
            client.delete_tag(adapter, tag)
            client.create_tag(adapter, tag, commit)
        moved = replace(two, commit=commit)
        ground = replace(_ground(published), registry=_Saying(published.registry, moved))  # type: ignore[arg-type]  # stands in
        found = [f for f in compare(ground, [adapter], deep=True).findings if f.code == "manifest_differs"]
        assert [f.subject for f in found] == [two.label]
        assert said in found[0].message


class _Saying:
    """A registry that knows one version only, and no channel."""

    def __init__(self, registry: object, version: object) -> None:
        self._registry, self._version = registry, version

    def __getattr__(self, name: str) -> object:
        if name in ("versions", "channels"):
            return lambda *_, **__: [self._version] if name == "versions" else []
        return getattr(self._registry, name)


def test_snapshots_of_what_is_on_its_way(published: World, adapter: str) -> None:
    """One that is missing is found at once, one with other bytes by the deep reading; published ones may be gone."""
    one = min(published.registry.versions(adapter), key=lambda v: v.number or 0)
    shutil.rmtree(published.host.spool.folder(adapter, one.tree))
    waits = stage(published, adapter, 3)
    payload = published.host.spool.payload(adapter, waits.tree)
    assert _codes(published, adapter, deep=True) == []
    (payload / "adapter_model.safetensors").write_bytes(b"damaged")
    assert _codes(published, adapter) == []
    assert _codes(published, adapter, deep=True) == ["snapshot_missing"]
    shutil.rmtree(payload.parent)
    (finding,) = _found(published, adapter)
    assert (finding.code, finding.subject) == ("snapshot_missing", waits.label)


def test_the_index_on_this_host(published: World) -> None:
    """Missing, damaged, or changed by hand; one that is behind is about to be written."""
    index = published.host.index
    good = index.read_bytes()
    for data, codes in (
        (b"{", ["index_differs"]),
        (good.replace(b'"final":true', b'"final":false', 1), ["index_differs"]),
        (good.replace(b'"generation":', b'"generation":-'), []),
        (good, []),
    ):
        index.write_bytes(data)
        assert _codes(published) == codes
    index.unlink()
    assert _codes(published) == ["index_differs"]
    export.export(published.host, export.Parts())
    assert index.read_bytes() == good


def test_the_index_repo(published: World, adapter: str) -> None:
    """One request tells for all adapters by the ids of the blobs; another publisher's file is left alone."""
    name = f"{adapter.split('/')[1]}-index"
    hub = f"{{endpoint: '{published.endpoint}', namespace: acme, index_repo: {name}}}"
    published.extra["hub"] = hub
    published.registry.close()
    published.reopen()
    assert _codes(published) == ["index_differs"]
    export.export_to_hub(published.host, export.entries(published.registry, published.publisher))
    assert _codes(published) == []
    path = f"adapters/{adapter.split('/')[1]}.json"
    _commit(published, f"acme/{name}", "main", AddBytes(path, b"{}"))
    (finding,) = _found(published)
    assert (finding.code, finding.subject) == ("index_differs", f"acme/{name}/{path}")
    _commit(published, f"acme/{name}", "main", AddBytes(path, b'{"publisher": "another"}'))
    assert _codes(published) == []


def test_what_the_registry_does_not_know_cannot_be_compared(published: World) -> None:
    """A name that was mistyped is no clean audit."""
    with pytest.raises(NotFound, match="acme/none"):
        _found(published, "acme/none")


def _health(world: World) -> Health:
    return Health("1", world.publisher, 0.0, time.monotonic)


def test_the_daily_audit_is_a_problem_until_the_drift_is_gone(published: World, adapter: str) -> None:
    """Status and metrics have the counts by code; a broken chain of the audit log is among them."""
    health, commit = _health(published), published.client.refs(adapter).tags["v1"]
    published.client.delete_tag(adapter, "v1")
    log = AuditLog(Path(published.tmp) / "state" / "audit.jsonl")
    for n in range(3):
        log.append(Entry(float(n), 0, "a", "retry", {}, "", "done"))
    good = log.path.read_bytes()
    log.path.write_bytes(good.replace(b'"at":1.0', b'"at":9.0'))
    keeping.audit(published.host, health)
    assert health.drift is not None
    assert health.drift.counts == {"tag_missing": 1, "audit_log_broken": 1}
    assert "v1" in health.problems["drift_tag_missing"][0]
    assert "line 3" in health.problems["drift_audit_log_broken"][0]
    published.client.create_tag(adapter, "v1", commit)
    log.path.write_bytes(good)
    keeping.audit(published.host, health)
    assert health.drift.counts == {}
    assert health.problems == {}


def test_the_registry_is_copied_once_a_day(published: World) -> None:
    """The newest are kept, each checked; with who this publisher is beside them; 0 makes none."""
    at = places(published.config, {}, Path("/"))
    at.instance.write_text("{}")
    health = _health(published)
    for _ in range(20):
        keeping.backup(published.host, health)
        published.clock.now += 43_200
    copies = daily(at.registry)
    assert len(copies) == 7
    for copy in copies:
        verify(copy)
    assert (at.registry.parent / "backups" / "instance.json").read_text() == "{}"
    published.extra["registry"] = "{backups: 0}"
    published.host = replace(published.host, config=published.config)
    published.clock.now += 86_400
    keeping.backup(published.host, health)
    assert daily(at.registry) == copies


def test_a_damaged_registry_is_no_good_copy_and_good_ones_stay(published: World) -> None:
    """The damage is told, and no older copy is pruned for one that cannot be had."""
    at = places(published.config, {}, Path("/"))
    for _ in range(7):
        keeping.backup(published.host, _health(published))
        published.clock.now += 86_400
    copies = daily(at.registry)
    published.registry.close()
    data = bytearray(at.registry.read_bytes())
    data[-2048:] = b"\xff" * 2048
    data[4096:8192] = b"\xff" * 4096
    at.registry.write_bytes(data)
    with pytest.raises(RegistryError, match="damaged"):
        keeping.backup(published.host, _health(published))
    assert daily(at.registry) == copies
