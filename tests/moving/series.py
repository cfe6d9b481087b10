"""One adapter's repo with whole versions, cards included, and who acts on it."""

import itertools
import json

from adapterd.core import card
from adapterd.core import publication as pub
from adapterd.core.readme import BEGIN, END
from adapterd.core.standing import Said
from adapterd.hub.client import HubClient
from adapterd.ports import AddBytes, AddRegular, RemoteFile
from deploy.conftest import contents, facts_of

SAID = Said("ada", "better on the holdout", 1_700_000_000.0)
_names = itertools.count(1)


class Series:
    """One adapter's repo, with as many versions as a test publishes."""

    def __init__(self, hub: HubClient, count: int = 0, *, large: bool = True, bare: bool = False) -> None:
        """Make the repo, and publish so many versions; unless `large` their weights are regular files, for speed.

        Where they are `bare` they hold what every adapter has whose loss was measured, and no more.
        """
        self._bare = bare
        self._add: type[AddBytes | AddRegular] = AddBytes if large else AddRegular
        self.hub, self.adapter = hub, f"acme/series-{next(_names)}"
        self.commits: dict[int, str] = {}
        hub.create_repo(self.adapter, private=True)
        hub.create_branch(self.adapter, pub.BRANCH, self.head("main"))
        for _ in range(count):
            self.publish()

    def publish(
        self,
        *,
        tag: bool = True,
        said: int | None = None,
        extra: tuple[str, ...] = (),
        front: str = "license: apache-2.0\n",
    ) -> int:
        """Commit and tag the next version; its manifest says another number where `said` is given."""
        number = len(self.commits) + 1
        payload = {**contents(f"{self.adapter} {number}"), **dict.fromkeys(extra, b"{}")}
        if self._bare:
            payload = {path: data for path, data in payload.items() if path.startswith("adapter_")}
        facts = facts_of(self.adapter, number, payload)
        text = f"---\n{front}---\n{BEGIN}\n# {self.adapter} v{number}\n{END}\n"
        files = {**payload, pub.CARD: text.encode(), pub.MANIFEST: card.manifest(facts, said or number)}
        if self._bare:
            files[pub.PICTURE] = f"<svg><title>v{number}</title></svg>".encode()
        operations = [self._add(path, data) for path, data in files.items()]
        message = card.commit_message(facts, number)
        self.commits[number] = self.hub.commit(self.adapter, pub.BRANCH, self.head(pub.BRANCH), operations, message)
        if tag:
            self.hub.create_tag(self.adapter, f"v{number}", self.commits[number])
        return number

    def head(self, branch: str) -> str:
        """The head of a branch."""
        return self.hub.refs(self.adapter).branches[branch]

    def write(self, branch: str, path: str, data: bytes) -> str:
        """Write one file by hand, as a person would; the commit."""
        return self.hub.commit(self.adapter, branch, self.head(branch), [AddBytes(path, data)], "By hand")

    def tree(self, revision: str) -> dict[str, RemoteFile]:
        """The files of a revision that a version brings, without its card."""
        left = (pub.CARD, ".gitattributes")
        return {path: file for path, file in self.hub.tree(self.adapter, revision).items() if path not in left}

    def holds(self, channel: str = "main") -> int:
        """The number that a channel's manifest says; every file there is that version's."""
        number = int(json.loads(self.hub.read(self.adapter, channel, pub.MANIFEST))["number"])
        assert self.tree(channel) == self.tree(f"v{number}")
        assert f"v{number}" in self.hub.read(self.adapter, channel, pub.CARD).decode()
        return number

    def standing(self) -> dict[str, object]:
        """The standing document."""
        found: dict[str, object] = json.loads(self.hub.read(self.adapter, pub.STANDING_BRANCH, pub.STANDING_FILE))
        return found
