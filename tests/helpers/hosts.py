"""A host for tests: real registry, spool and Hub client; an injected clock; a Validator that is told what to say."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapterd.compose import terms_of
from adapterd.config import Config, parse
from adapterd.hub.client import HubClient
from adapterd.pace import Pace
from adapterd.ports import Hub, ProbeRequest, ProbeResult, Registry
from adapterd.registry import open_registry, prepare
from adapterd.spool import Spool
from adapterd.steps.host import Host
from adapterd.worker.converting import Converter
from adapterd.worker.gates import GateRunner

TOKEN = "hf_" + "t" * 34
NAMESPACE = "acme"
BASE = "acme/tiny-base"
PLENTY = "budget: {requests: 1000000, commits: 100000}"
"""Part of the section `hub` for tests that publish more than a host on the real Hub may."""


class Clock:
    """Seconds that pass only when a test says so; set back, it goes on with `monotonic` where that was."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        """Begin with this time on both clocks."""
        self._now = self._elapsed = now

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        self._elapsed += max(0.0, value - self._now)
        self._now = value

    def __call__(self) -> float:
        """Give the time."""
        return self._now

    def monotonic(self) -> float:
        """Give the time on the clock that never jumps back."""
        return self._elapsed


@dataclass
class GivenValidator:
    """A Validator that reports what it was given; the port's contract is in tests/contracts."""

    result: ProbeResult = field(
        default_factory=lambda: ProbeResult(
            findings=(),
            measurements={"effect": 0.5, "loss_base": 3.0, "loss_adapter": 2.0},
            device="cpu",
            dtype="float32",
            versions={"peft": "0"},
            base_fingerprint="f" * 64,
        )
    )
    raises: Exception | None = None
    asked: list[ProbeRequest] = field(default_factory=list)

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Remember the request, and give or raise what was given."""
        self.asked.append(request)
        if self.raises is not None:
            raise self.raises
        return self.result

    def tick(self) -> None:
        """Have nothing to end."""

    def close(self) -> None:
        """Have nothing to end."""


def config_text(tmp: Path, endpoint: str, **extra: str) -> str:
    """A configuration over folders of a test; `extra` adds or replaces top-level sections as YAML text."""
    sections = {
        "hub": f"{{endpoint: '{endpoint}', namespace: {NAMESPACE}, {PLENTY}}}",
        "roots": f"[{{path: {tmp}/train, checkpoints: all}}]",
        "base_models": f"[{{id: {BASE}, path: {tmp}/base}}]",
        "settle": "{quiet: 5s}",
        "status": "{listen: 'off'}",
        "state_dir": f"{tmp}/state",
        "runtime_dir": f"{tmp}/run",
    }
    return "\n".join(f"{key}: {value}" for key, value in {**sections, **extra}.items())


@dataclass
class World:
    """One publisher with its own state, on one Hub. `reopen` is a restart after a crash."""

    tmp: Path
    endpoint: str
    publisher: str = "publisher-a"
    clock: Clock = field(default_factory=Clock)
    validator: GivenValidator = field(default_factory=GivenValidator)
    extra: dict[str, str] = field(default_factory=dict)
    wrap_hub: Callable[[Hub], Hub] = lambda hub: hub
    wrap_registry: Callable[[Registry], Registry] = lambda registry: registry
    token: str | None = TOKEN
    template: Path | None = None
    """An empty registry to begin with a copy of, since making one costs a process."""

    def __post_init__(self) -> None:
        """Make folders, registry and client."""
        for name in ("train", "base", "state"):
            (self.tmp / name).mkdir(parents=True, exist_ok=True)
        (self.tmp / "base" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        self.client = self._client(self.token)
        self.path = self.tmp / "state" / "registry.db"
        self.reopen()

    def _client(self, token: str | None) -> HubClient:
        return HubClient(self.endpoint, token, xet=False, ca_file=None, proxy=None, deadline=30.0)

    @property
    def config(self) -> Config:
        """The parsed configuration."""
        return parse(config_text(self.tmp, self.endpoint, **self.extra), "test.yaml")

    def reopen(self) -> None:
        """Open the registry again, as a process that was just started does."""
        if self.template is not None and not self.path.exists():
            shutil.copy(self.template, self.path)
        prepare(self.path)
        self.registry = open_registry(self.path, clock=self.clock)
        self.registry.reclaim(self.publisher)
        config = self.config
        self.pace = Pace(terms_of(config), self.clock, self.clock, lambda: 0.5)
        self.client.pace = self.pace
        self.host = Host(
            config=config,
            registry=self.wrap_registry(self.registry),
            hub=lambda: self.wrap_hub(self.client),
            validator=self.validator,
            gates=GateRunner(),
            convert=Converter(),
            spool=Spool(self.tmp / "state" / "spool"),
            publisher=self.publisher,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            user="trainer",
            index=self.tmp / "state" / "index.json",
            pace=self.pace,
        )
        self.host.spool.prepare()

    def lose_registry(self) -> None:
        """Lose the registry's file."""
        self.registry.close()
        for path in self.path.parent.glob("registry.db*"):
            path.unlink()
        self.reopen()

    def close(self) -> None:
        """Give back the file and the connections."""
        self.registry.close()
        self.client.close()

    def with_token(self, token: str | None) -> None:
        """Go on with another token."""
        self.client = self._client(token)
        self.client.pace = self.pace
        self.host = replace(self.host, hub=lambda: self.wrap_hub(self.client))
