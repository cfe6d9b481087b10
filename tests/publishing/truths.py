"""What must hold on the Hub and in every registry, whatever happened: the invariants of publishing."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from adapterd.core import adapter as ad
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.messages import Trailers
from adapterd.core.naming import version_numbers
from adapterd.core.version import LIVE, Stage
from adapterd.ports import Refs
from adapterd.steps import promote
from publishing.stations import BAD, DOUBTFUL, Station

if TYPE_CHECKING:
    from publishing.yard import Yard

NEVER = ("bug",)
"""Reasons for which nothing may ever stall, whatever a person did."""


class Truths:
    """Reads what is new on the Hub after every move, and remembers what may not change any more."""

    def __init__(self, yard: "Yard") -> None:
        """Begin with a Hub that holds nothing of ours."""
        self._yard = yard
        self._tags: dict[str, str] = {}
        self._heads: dict[str, str] = {}
        self._known: dict[str, set[str]] = {}
        self.versions: list[tuple[str, Trailers]] = []
        """The version commits, oldest first."""
        self._held: list[int] = []
        """The numbers that `main` held, oldest first."""
        self._manifests: dict[str, dict[str, Any]] = {}

    def check(self) -> None:
        """Hold everything that must be true at any moment."""
        refs = self._yard.refs()
        if refs is None:
            return
        for tag, commit in self._tags.items():
            assert refs.tags.get(tag) == commit, f"tag {tag} was moved"
        self._branch(refs, pub.BRANCH, self._version)
        self._tagged(refs)
        self._branch(refs, "main", self._channel)
        self._tags = dict(refs.tags)
        for station in self._yard.stations.values():
            self._registry(station, refs)

    def check_end(self) -> None:
        """Hold everything that must be true once nothing moves by itself any more."""
        self.check()
        yard = self._yard
        for name, station in yard.stations.items():
            stage_of = {v.identity: v for v in station.world.registry.versions(yard.repo)}
            for version in stage_of.values():
                assert version.stalled or version.stage not in LIVE, f"{version.label} at {name} does not come to rest"
            if not yard.interfered:
                self._nothing_is_lost(name, station)
                assert not promote.due(station.world.host, all_=True), f"a channel of {name} is behind"
        refs = yard.refs()
        if refs is not None and not yard.interfered:
            for commit, said in self.versions:
                tagged = refs.tags.get(f"v{said.number}") == commit
                assert tagged or self._out(said.identity), f"commit {commit[:12]} of v{said.number} has no tag"

    def _branch(self, refs: Refs, branch: str, each: Any) -> None:  # noqa: ANN401 - one of the two below
        head, was = refs.branches.get(branch, ""), self._heads.get(branch, "")
        if head == was:
            return
        known = self._known.setdefault(branch, set())
        for commit in reversed(self._yard.client.log(self._yard.repo, head, was or None)):
            assert commit.id not in known, f"branch {branch} was rewritten"
            known.add(commit.id)
            if said := messages.trailers(commit.message):
                each(commit.id, said)
        self._heads[branch] = head

    def _version(self, commit: str, said: Trailers) -> None:
        """One more version commit on the branch."""
        assert said.identity not in {s.identity for _, s in self.versions}, f"v{said.number} was committed before"
        newest = max((s.number for _, s in self.versions), default=0)
        assert said.number > newest, f"the branch went from v{newest} back to v{said.number}"
        manifest = json.loads(self._yard.client.read(self._yard.repo, commit, pub.MANIFEST))
        self._manifests[commit] = manifest
        files = {path: (f["sha256"], f["size"]) for path, f in manifest["files"].items()}
        passed = (ad.tree_digest(files), manifest["policy"])
        assert passed in self._yard.passed, f"v{said.number} never passed under the policy that it names"
        assert (manifest["number"], manifest["identity"]["digest"]) == (said.number, said.identity)
        self.versions.append((commit, said))

    def _tagged(self, refs: Refs) -> None:
        """Our tags: each on one commit of its own, which holds to the byte what was validated."""
        said_of = dict(self.versions)
        ours = {tag: commit for tag, commit in refs.tags.items() if tag not in self._yard.by_hand}
        assert len(set(ours.values())) == len(ours), "one commit carries two version tags"
        for number, commit in version_numbers(ours).items():
            assert commit in said_of, f"v{number} names no version commit"
            assert said_of[commit].number == number, f"v{number} is on the commit of v{said_of[commit].number}"
            if f"v{number}" not in self._tags:
                self._bytes(commit, f"v{number}")

    def _bytes(self, commit: str, what: str) -> None:
        client, repo = self._yard.client, self._yard.repo
        listed = self._manifests[commit]["files"]
        there = set(client.tree(repo, commit)) - pub.OWN_FILES
        assert there == set(listed), f"{what} holds other files than its manifest lists"
        for path in there:
            digest = hashlib.sha256(client.read(repo, commit, path)).hexdigest()
            assert digest == listed[path]["sha256"], f"{what} holds other bytes than were validated: {path}"

    def _channel(self, commit: str, said: Trailers) -> None:
        """One more commit by which a channel was moved: a whole version, and never an older one by itself."""
        if not said.channel:
            return
        client, repo = self._yard.client, self._yard.repo
        assert said.number > max(self._held, default=0), f"main went from {self._held} back to v{said.number}"
        of = {s.number: c for c, s in self.versions}
        assert client.refs(repo).tags.get(f"v{said.number}") == of[said.number], f"main holds v{said.number}, untagged"
        there, wanted = client.tree(repo, commit), client.tree(repo, of[said.number])
        for path in set(wanted) - {pub.CARD, pub.PICTURE, ".gitattributes"}:
            assert there.get(path) == wanted[path], f"main holds half of v{said.number}"
        self._held.append(said.number)

    def _registry(self, station: Station, refs: Refs) -> None:
        """What a registry calls published lies under its tag; nothing stalls while nobody interferes."""
        said_of = dict(self.versions)
        for version in station.world.registry.versions(self._yard.repo):
            if version.stage is Stage.PUBLISHED:
                commit = version.commit or ""
                assert refs.tags.get(version.tag) == commit, f"registry and tag disagree about {version.label}"
                assert commit in said_of, f"{version.label} is published as a commit that is none"
                assert said_of[commit].identity == version.identity, f"{version.label} is other content on the Hub"
            if version.stalled:
                why = f"{version.label} stalled: {version.reason}: {version.message}"
                assert self._yard.interfered, f"{why}, though nobody interfered"
                assert version.reason not in NEVER, why
        for channel in station.world.registry.channels(self._yard.repo):
            why = f"channel {channel.channel} stalled: {channel.reason}: {channel.message}"
            assert not channel.stalled or (self._yard.interfered and channel.reason not in NEVER), why

    def _out(self, identity: str) -> bool:
        """Whether a content is rejected by now: a sleeper may have sent its commit after the policy changed."""
        return any(
            identity in {v.identity for v in station.world.registry.versions(self._yard.repo, Stage.REJECTED)}
            for station in self._yard.stations.values()
        )

    def _nothing_is_lost(self, name: str, station: Station) -> None:
        """Everything that was written, and is good, is published; what is bad is rejected."""
        registry = station.world.registry
        seen = {o.path: o for o in registry.observations()}
        root = station.world.tmp / "train"
        for directory, (content, final) in station.written.items():
            observed = seen.get(directory.removeprefix(f"{root}/"))
            assert observed is not None, f"{directory} was never seen"
            if self._yard.coalesces and observed.state == "unwanted":
                continue
            version = registry.version(observed.version) if observed.version else None
            assert version is not None, f"{directory} has no version: {observed.state} {observed.reason}"
            allowed = {BAD: {Stage.REJECTED}, DOUBTFUL: {Stage.PUBLISHED, Stage.REJECTED}}.get(
                content, {Stage.PUBLISHED}
            )
            if self._yard.coalesces and not version.final:
                allowed = {*allowed, Stage.SUPERSEDED}
            assert version.stage in allowed, (
                f"{directory} of {name} ({content}) ended {version.stage}, {version.reason}"
            )
            assert final <= version.final, f"{directory} is a final save"
