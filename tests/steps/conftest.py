"""A training host without its Hub: real folders, spool and registry; the clocks move only when a test says so."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from adapterd.config import parse
from adapterd.core.version import AdapterVersion
from adapterd.ports import Denied, Observation, Sighting
from adapterd.registry import SqlRegistry, open_registry
from adapterd.registry.migrate import migrate
from adapterd.spool import Spool
from adapterd.steps import discover
from adapterd.steps.discover import Found
from adapterd.steps.host import Host
from adapterd.steps.settle import Later, Rests, Settled, settle
from adapterd.worker.converting import Converter
from adapterd.worker.gates import GateRunner
from helpers.hosts import Clock, GivenValidator

QUIET = 5.0
PATIENCE = 120.0


def no_hub() -> NoReturn:
    """Neither discover nor settle has anything to ask of a Hub."""
    raise Denied("discover and settle asked for the Hub")


@dataclass
class Site:
    """One training host. `root` is watched; `turn` is what the intake lane does."""

    tmp: Path
    registry: SqlRegistry
    options: dict[str, str] = field(default_factory=dict)
    extra: str = ""
    clock: Clock = field(default_factory=Clock)
    rests: Rests = field(default_factory=Rests)
    convert: Converter = field(default_factory=Converter)
    name: str = "train"

    def __post_init__(self) -> None:
        """Name the folders; the root is made by who needs it."""
        self.root = self.tmp / self.name
        self.spool = Spool(self.tmp / "spool")
        self.spool.prepare()

    @property
    def host(self) -> Host:
        """The effects of the steps, under the configuration of now."""
        options = "".join(f", {key}: '{value}'" for key, value in self.options.items())
        text = f"hub: {{namespace: acme}}\nroots:\n- {{path: {self.root}{options}}}\n{self.extra}"
        return Host(
            config=parse(text, "test.yaml"),
            registry=self.registry,
            hub=no_hub,
            validator=GivenValidator(),
            gates=GateRunner(),
            convert=self.convert,
            spool=self.spool,
            publisher="publisher-a",
            clock=self.clock,
            monotonic=self.clock,
            user="alice",
            index=self.tmp / "index.json",
        )

    def empty(self) -> "Site":
        """Let the root be scanned once while nothing is in it: what comes later is new."""
        self.root.mkdir(exist_ok=True)
        self.turn()
        return self

    def scan(self, *wanted: Path, root: int = 0) -> discover.Scan:
        """One scan of a root."""
        host = self.host
        return discover.scan(host, host.config.roots[root], frozenset(map(str, wanted)))

    def take(self, found: Found, *, now: bool = False) -> Settled | Later:
        """Settle one directory."""
        return settle(self.host, found, self.rests, now=now)

    def turn(self, *wanted: Path) -> list[AdapterVersion]:
        """Scan every root and settle what has come to rest; the versions, in the order in which they were taken."""
        host, settled = self.host, []
        for root in host.config.roots:
            for found in discover.scan(host, root, frozenset(map(str, wanted))).pending:
                outcome = settle(host, found, self.rests, now=str(found.directory) in map(str, wanted))
                settled += [outcome.version] if isinstance(outcome, Settled) else []
        return settled

    def rest(self, seconds: float = QUIET) -> list[AdapterVersion]:
        """Turn, let time pass, and turn again; what was settled in both."""
        first = self.turn()
        self.clock.now += seconds
        return first + self.turn()

    def restart(self) -> None:
        """Forget what a process forgets when it ends."""
        self.rests = Rests()

    def seen(self, path: str) -> Observation:
        """What was last seen of a directory."""
        found = self.registry.observation(str(self.root), path)
        assert found is not None, f"{path} has no observation"
        return found

    def states(self) -> Mapping[str, str]:
        """Each directory's state, with its reason where it has one."""
        return {
            o.path: f"{o.state}:{o.reason}" if o.reason and o.reason != o.state else o.state
            for o in self.registry.observations(str(self.root))
        }

    def sightings(self, version: AdapterVersion) -> list[Sighting]:
        """Where a version was seen."""
        return list(self.registry.sightings(version.id))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, migrated once and copied for each test."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    migrate(path)
    return path


@pytest.fixture
def make_site(template: Path, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Make a training host; keywords are options of its root, `extra` is more configuration."""
    made: list[Site] = []

    def make(*, extra: str = "", name: str = "train", **options: str) -> Site:
        path = Path(shutil.copy(template, tmp_path / "registry.db"))
        clock = Clock()
        made.append(Site(tmp_path, open_registry(path, clock=clock), options, extra, clock, name=name))
        return made[-1]

    yield make
    for site in made:
        site.registry.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A training host whose root is watched from before the first run; every checkpoint is wanted."""
    return make_site(checkpoints="all").empty()
