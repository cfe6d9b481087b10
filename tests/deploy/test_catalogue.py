"""The index of a namespace as a deployer reads it: one conditional request, and no trust in what it says."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from adapterd.core import index
from adapterd.core.errors import AdapterdError
from adapterd.core.version import AdapterVersion, Stage
from adapterd.deploy import NewerSchemaError, VerificationError, index_repo_of, read_catalogue, read_entry
from adapterd.deploy.catalogue import parse_catalogue
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.moving import listing
from adapterd.ports import NotFound

if TYPE_CHECKING:
    from deploy.conftest import Repo

ENGINES = {"vllm": {"takes": "yes", "effect": "full", "versions": ">=0.10", "flags": ["--enable-lora"], "reasons": []}}


def part(adapter: str = "acme/support", count: int = 2, **changes: object) -> dict[str, Any]:
    """A part with some versions, of which main holds the newest."""
    versions = [
        AdapterVersion(n, adapter, f"{n:064x}", "b" * 64, n, Stage.PUBLISHED, final=True, number=n, commit=f"{n:040x}")
        for n in range(1, count + 1)
    ]
    told = {n: index.Told((), ENGINES, 1000.0 + n) for n in range(1, count + 1)}
    standing = {
        "yanks": [{"number": 1, "reason": "wrong data", "at": 5.0}],
        "holds": [{"channel": "main", "reason": "until Monday", "at": 6.5}],
    }
    return index.adapter_entry(adapter, "publisher-a", "acme/base", versions, {"main": count}, standing, told) | changes


def gathered(*parts: dict[str, Any]) -> dict[str, Any]:
    """An ``index.json`` of these parts, parsed."""
    found: dict[str, Any] = json.loads(
        index.gathered({index.path_of(str(p["adapter"])): index.summary(p, "0" * 40) for p in parts})
    )
    return found


def parsed(document: object) -> "Any":  # noqa: ANN401 - a catalogue
    """The catalogue in a document."""
    return parse_catalogue(json.dumps(document).encode(), "here")


def test_the_catalogue_says_what_the_parts_say() -> None:
    """Channels, holds, yanks with their reasons, verdicts of the engines, and when it was published."""
    entry = parsed(gathered(part(), part("acme/other"))).entry("acme/Support")
    assert (entry.adapter, entry.base, entry.channels, entry.count) == ("acme/support", "acme/base", {"main": 2}, 2)
    assert entry.holds == {"main": "until Monday"}
    assert (entry.versions[1].yanked, entry.versions[1].yank_reason) == (True, "wrong data")
    held = entry.in_channel("main")
    assert (held.number, held.published, held.engines["vllm"]["takes"]) == (2, 1002, "yes")
    assert entry.in_channel("candidate") is None


def test_the_gathered_index_has_the_newest_those_in_channels_and_the_yanked() -> None:
    """A series of hundreds of checkpoints does not make the document that everybody polls grow."""
    long = part(count=300, channels={"main": "v300", "stable": "v17"})
    entry = parsed(gathered(long)).entry("acme/support")
    assert sorted(entry.versions) == [1, 17, *range(291, 301)]
    assert entry.count == 300


def set_at(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set a key of the one adapter's entry, given by its dotted path."""

    def do(document: dict[str, Any]) -> None:
        inner = document["adapters"]["acme/support"]
        *before, last = path.split(".")
        for key in before:
            inner = inner[key]
        inner[last] = value

    return do


@pytest.mark.parametrize(
    "spoil",
    [
        set_at("adapter", "acme/another"),
        set_at("adapter", 7),
        set_at("schema", "1"),
        set_at("schema", True),
        set_at("base", None),
        set_at("channels", ["main"]),
        set_at("channels.main", 2),
        set_at("channels.main", "2"),
        set_at("channels", {"../up": "v1"}),
        set_at("channels", {"versions": "v1"}),
        set_at("versions", []),
        set_at("versions.v2", None),
        set_at("versions.latest", {}),
        set_at("versions.v2.commit", "main"),
        set_at("versions.v2.identity", "../../etc"),
        set_at("versions.v2.serving_name", "../../etc"),
        set_at("versions.v2.serving_name", "a/b"),
        set_at("versions.v2.serving_name", "-rf"),
        set_at("versions.v2.engines", {"vllm": "yes"}),
        set_at("versions.v2.step", -1),
        set_at("count", "many"),
        set_at("holds", ["main"]),
    ],
)
def test_an_entry_that_cannot_be_believed_spoils_no_other(spoil: Callable[[dict[str, Any]], None]) -> None:
    """Wrong types, and names that could leave a directory, are a failed verification of that adapter alone."""
    document = gathered(part(), part("acme/other"))
    spoil(document)
    catalogue = parsed(document)
    assert catalogue.entry("acme/other").channels == {"main": 2}
    with pytest.raises(VerificationError):
        catalogue.entry("acme/support")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", VerificationError),
        (b"[" * 100_000, VerificationError),
        (b"[]", VerificationError),
        (b"{}", VerificationError),
        (b'{"schema": 1}', VerificationError),
        (b'{"schema": 1, "adapters": []}', VerificationError),
        (b'{"schema": 2, "adapters": {}}', NewerSchemaError),
        (b"\xff\xfe", VerificationError),
    ],
)
def test_what_is_no_index_is_a_failed_verification(data: bytes, kind: type[AdapterdError]) -> None:
    """Whatever stands in the document, the answer is one of the two errors."""
    with pytest.raises(kind):
        parse_catalogue(data, "here")


def test_a_newer_part_is_told_from_a_damaged_one() -> None:
    """Of an adapter whose publisher is newer only that adapter is not known."""
    catalogue = parsed(gathered(part(schema=2), part("acme/other")))
    assert list(catalogue.entries) == ["acme/other"]
    with pytest.raises(NewerSchemaError):
        catalogue.entry("acme/support")


def test_an_index_is_read_in_one_request_and_only_when_it_changed(
    hub: HubClient, server: RunningHub, repo: "Repo"
) -> None:
    """The etag of the last reading makes the next one an answer without a body; a change is read."""
    parts = {"adapters/support.json": part()}
    assert listing.change(hub, repo.adapter, lambda _: parts)
    server.requests.clear()
    catalogue, etag = read_catalogue(hub, repo.adapter)
    assert catalogue is not None
    assert list(catalogue.entries) == ["acme/support"]
    assert read_catalogue(hub, repo.adapter, etag) == (None, etag)
    assert [(r.method, r.status) for r in server.requests] == [("GET", 200), ("GET", 304)]
    parts["adapters/other.json"] = part("acme/other")
    listing.change(hub, repo.adapter, lambda _: parts)
    again, changed = read_catalogue(hub, repo.adapter, etag)
    assert again is not None
    assert list(again.entries) == ["acme/other", "acme/support"]
    assert changed != etag
    assert read_entry(hub, repo.adapter, "acme/other").count == 2


def test_a_namespace_without_an_index_is_not_found(hub: HubClient) -> None:
    """The index repo of a namespace has one name, unless somebody says another."""
    assert index_repo_of("acme") == "acme/adapterd-index"
    assert index_repo_of("acme/catalogue") == "acme/catalogue"
    with pytest.raises(NotFound):
        read_catalogue(hub, "acme/no-such-index")
