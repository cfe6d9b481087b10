"""A real registry, filled through its port, behind real HTTP."""

import http.client
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.health import Health, LaneHealth, RootHealth
from adapterd.ports import ChannelRecord, Claim, Draft, Intent, Observation, Validation
from adapterd.registry import SqlRegistry, open_registry, prepare
from adapterd.status import StatusServer, start

NOW = 1_760_000_000.0
ROOT = "/train"


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: str


class Browser:
    """Asks one server, with exactly the headers that a test gives."""

    def __init__(self, url: str) -> None:
        """Remember where."""
        self.host = urlsplit(url).netloc

    def __call__(self, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Ask once, over a connection of its own; `Host` is the server's own unless it is given."""
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": self.host} | headers).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read().decode())
        finally:
            connection.close()


class Host:
    """A training host whose registry a test fills."""

    def __init__(self, registry: SqlRegistry) -> None:
        """Fill this registry."""
        self.registry = registry
        self._made = 0

    def staged(self, adapter: str = "acme/support-lora", **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that waits for validation."""
        self._made += 1
        n = self._made
        draft = Draft(
            adapter=adapter,
            identity=f"{n:064x}",
            tree=f"{n:x}".rjust(64, "f"),
            root=ROOT,
            path=f"run-{n}",
            run=f"run-{n}",
            checkpoint=None,
            step=100 * n,
            final=True,
            base="acme/base-model",
            peft_type="LORA",
            task="CAUSAL_LM",
            fingerprint=f"print-{n}",
        )
        draft = replace(draft, **changes)
        self.registry.bind(draft.adapter, draft.root, draft.base, draft.peft_type, draft.task)
        return self.registry.intake(draft, NOW)[0]

    def claim(self, stage: Stage) -> Claim:
        """A lease on the next version of a stage, which there is."""
        claim = self.registry.claim(stage, "lane", NOW, 60.0, 3600.0)
        assert claim is not None
        return claim

    def validated(self, adapter: str = "acme/support-lora", **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that passed."""
        self.staged(adapter, **changes)
        claim = self.claim(Stage.STAGED)
        return self.registry.advance(claim, Stage.VALIDATED, NOW, validation=_validation(claim.version, "passed"))

    def published(self, adapter: str = "acme/support-lora", **changes: Any) -> AdapterVersion:  # noqa: ANN401 - any field of a draft
        """A version that is on the Hub."""
        self.validated(adapter, **changes)
        claim = self.claim(Stage.VALIDATED)
        number = self.registry.plan(claim, 0, lambda n: Intent(n, "p", {"adapterd.json": b"{}"}, f"v{n}")).number
        return self.registry.advance(claim, Stage.PUBLISHED, NOW, number=number, commit=f"{number:040x}")

    def rejected(self, message: str, adapter: str = "acme/broken-lora") -> AdapterVersion:
        """A version that the probes refused."""
        self.staged(adapter)
        claim = self.claim(Stage.STAGED)
        validation = _validation(claim.version, "rejected")
        return self.registry.advance(
            claim, Stage.REJECTED, NOW, reason=reason("no_effect", message), validation=validation
        )

    def stalled(self, code: str, message: str, adapter: str = "acme/stuck-lora") -> AdapterVersion:
        """A version that waits for a person."""
        self.staged(adapter)
        claim = self.claim(Stage.STAGED)
        self.registry.stall(claim, reason(code, message), NOW)
        found = self.registry.version(claim.version.id)
        assert found is not None
        return found

    def waiting(self, until: float, adapter: str = "acme/patient-lora") -> AdapterVersion:
        """A version that waits for the Hub's rate limit."""
        version = self.validated(adapter)
        claim = self.claim(Stage.VALIDATED)
        self.registry.wait(claim, until, reason("rate_limited", "used up"), NOW, failed=False)
        return version

    def seen(self, path: str, state: str, code: str, message: str) -> None:
        """A directory that was looked at."""
        why = reason(code, message)
        seen = Observation(ROOT, path, state, "print", reason=code, message=message, hint=why.hint)
        self.registry.observe([seen])

    def channel(self, name: str, number: int, adapter: str = "acme/support-lora") -> None:
        """A channel at a version."""
        self.registry.save_channel(ChannelRecord(adapter, name, number, f"{number:040x}", number))


def _validation(version: AdapterVersion, verdict: str) -> Validation:
    """A report as `core.verdict` makes it."""
    report = {
        "schema": 1,
        "verdict": verdict,
        "reasons": [{"code": "no_effect", "message": "not one layer", "hint": ""}] if verdict == "rejected" else [],
        "warnings": [],
        "measurements": {"loss_base": 3.25, "loss_adapter": 2.125, "effect": 0.0421, "rank": 8, "kl": float("inf")},
        "device": "cpu",
        "dtype": "float32",
        "log_tail": "",
        "engines": {
            "sglang": {
                "takes": "yes",
                "effect": "partial",
                "reasons": [{"text": "it scales by alpha / r", "source": "an issue"}],
            }
        },
    }
    return Validation(version.id, version.tree, "policy0123456789", verdict, report, NOW)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, made once and copied for each test."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    prepare(path)
    return path


@pytest.fixture
def host(template: Path, tmp_path: Path) -> Iterator[Host]:
    """A training host with an empty registry."""
    path = Path(shutil.copy(template, tmp_path / "registry.db"))
    with open_registry(path, clock=lambda: NOW) as registry:
        yield Host(registry)


@pytest.fixture
def health() -> Health:
    """A daemon in good health, at the monotonic second 1000."""
    found = Health("1.2.3", "publisher-1", NOW - 3600, lambda: 1000.0, ready=True)
    found.lanes["intake"] = LaneHealth(last_turn=990.0, turns=42)
    found.roots[ROOT] = RootHealth(ROOT, known=7, scan_seconds=0.25)
    return found


@pytest.fixture
def server(host: Host, health: Health) -> Iterator[StatusServer]:
    """The pages, on a free port."""
    with start(("127.0.0.1", 0), host.registry, health, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def ask(server: StatusServer) -> Browser:
    """A browser on this host."""
    return Browser(server.url)


@pytest.fixture
def browser() -> Callable[[str], Browser]:
    """Browsers for servers that a test starts itself."""
    return Browser
