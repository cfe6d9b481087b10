"""Take versions through one fault of the Hub, and say what came of them."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from adapterd import operate, reconcile
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import parse_reference
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.deploy import pull, resolve
from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, FaultPlan, RunningHub, start
from adapterd.hub.server.faults import Redirect
from adapterd.reconcile import LINE
from adapterd.registry import open_registry, prepare
from durability.books import WEIGHTS, Books, audit
from durability.hub_cases import ELSEWHERE, PATIENT, Case
from helpers.hosts import NAMESPACE, TOKEN, Clock, World
from publishing.conftest import stage

MOST_TURNS = 400
"""Turns of the line after which a case counts as one that never ends."""

MOST_PULLS = 12
"""The same, of tries to take a version."""

NEW_TOKEN = "hf_" + "n" * 34


@dataclass(frozen=True, slots=True)
class Run:
    """What came of the versions that met a fault.

    Attributes:
        tries: of the publish step.
        published: how many got out by themselves.
        stalled: those that a person had to set going again, each with its reason's code.
        unhelped: those that stalled otherwise than they should, without a hint, or for good.
        lasted: seconds from the first strike to the last, or to the end of a fault that has one.
        recovered: seconds from the end of the fault, or from the person's act, to the last version's tag.
    """

    case: Case
    versions: int
    tries: int
    published: int
    stalled: tuple[str, ...]
    unhelped: tuple[str, ...]
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    wrong: tuple[str, ...]
    leaked: int
    struck: int
    lasted: float
    recovered: float

    @property
    def good(self) -> bool:
        """Whether everything ended as it must."""
        ended = self.published == self.versions or (self.case.stalls and self.stalled)
        return bool(ended and self.struck) and not (
            self.unhelped or self.lost or self.duplicated or self.wrong or self.leaked
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a deployer's tries to take a version."""

    case: Case
    tries: int
    struck: int
    taken: bool
    wrong: tuple[str, ...]
    said: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether it was taken in the end, and nothing else ever lay in its place."""
        return self.taken and self.struck > 0 and not self.wrong


class Eavesdropper:
    """Notes which requests bring a token."""

    def __init__(self, app: ASGIApp, heard: list[str]) -> None:
        """Stand before ``app``."""
        self._app = app
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Listen, and pass on."""
        if any(name == b"authorization" for name, _ in scope.get("headers", ())):
            self._heard.append(scope["path"])
        await self._app(scope, receive, send)


@dataclass
class Bench:
    """A Hub with a plan of faults, and a second host that must never see a token."""

    tmp: Path
    hub: RunningHub
    elsewhere: str
    heard: list[str]
    plan: FaultPlan
    clock: Clock
    template: Path
    clients: dict[tuple[float, str], HubClient] = field(default_factory=dict)
    count: int = 0

    def next(self) -> int:
        """A number that no other adapter or run has."""
        self.count += 1
        return self.count

    def strike(self, case: Case) -> None:
        """Put the case's rules in force, with the other host's real address."""
        self.plan.use(
            [
                replace(rule, fault=replace(rule.fault, to=self.elsewhere))
                if isinstance(rule.fault, Redirect) and rule.fault.to == ELSEWHERE
                else rule
                for rule in case.rules
            ]
        )

    def world(self) -> World:
        """A publisher with a state of its own."""
        world = World(self.tmp / f"w{self.next()}", self.hub.endpoint, clock=self.clock, template=self.template)
        world.client.close()
        world.client = self.client()
        return world

    def client(self, deadline: float = PATIENT, token: str = TOKEN) -> HubClient:
        """A client of the Hub, the same for the same wishes."""
        if (deadline, token) not in self.clients:
            made = HubClient(self.hub.endpoint, token, xet=False, ca_file=None, proxy=None, deadline=deadline)
            self.clients[deadline, token] = made
        return self.clients[deadline, token]


@contextmanager
def bench(tmp: Path, template: Path | None = None) -> Iterator[Bench]:
    """Start both hosts."""
    heard: list[str] = []
    clock = Clock()
    if template is None:
        template = tmp / "template.db"
        prepare(template)
        open_registry(template).close()
    plan = FaultPlan(clock=clock)
    accounts = [Account(NAMESPACE, TOKEN), Account(NAMESPACE, NEW_TOKEN)]
    with (
        start(tmp / "hub", accounts, faults=plan) as hub,
        start(tmp / "elsewhere", [], middleware=[Middleware(Eavesdropper, heard)]) as other,
    ):
        here = Bench(tmp, hub, other.endpoint.replace("127.0.0.1", "localhost"), heard, plan, clock, template)
        yield here
        for client in here.clients.values():
            client.close()


def publish(here: Bench, case: Case, *, versions: int = 2, world: World | None = None) -> Run:
    """Publish versions of one adapter through a fault; with a `world`, it and its adapter are those of other cases."""
    adapter = f"{NAMESPACE}/shared"
    if world is None or case.fresh:
        adapter = f"{NAMESPACE}/faulty-{here.next()}"
    mine = world or here.world()
    if not case.fresh and not mine.registry.versions(adapter):
        stage(mine, adapter, here.next(), step=10)
        _drive(mine)
    staged = [stage(mine, adapter, here.next(), step=10) for _ in range(versions)]
    mine.client = here.client(case.deadline)
    heard = len(here.heard)
    here.strike(case)
    tries = _drive(mine)
    struck = list(here.plan.strikes)
    here.plan.use(())
    ended = [_now(mine, v) for v in staged]
    began = struck[0].at if struck else here.clock.now
    lasts = max((rule.seconds or 0.0 for rule in case.rules), default=0.0)
    over = max((began + lasts, *(strike.at for strike in struck)))
    lasted = over - began
    stalled = [v for v in ended if v.stalled]
    unhelped = [f"{v.label}: {v.reason}, {v.message}" for v in stalled if v.reason != case.stalls or not v.hint]
    if stalled or case.remedy:
        over = here.clock.now if stalled else over
        _remedy(here, mine, case, adapter)
        tries += _drive(mine)
    last = [_now(mine, v) for v in staged]
    unhelped += [f"{v.label} stays {v.stage.value}: {v.message}" for v in last if v.stage is not Stage.PUBLISHED]
    books = books_of(here, mine, adapter) if world is None or case.fresh else Books(0, (), (), ())
    if world is None:
        mine.registry.close()
    return Run(
        case=case,
        versions=len(ended),
        tries=tries,
        published=sum(v.stage is Stage.PUBLISHED for v in ended),
        stalled=tuple(v.reason for v in stalled),
        unhelped=tuple(unhelped),
        lost=books.lost,
        duplicated=books.duplicated,
        wrong=books.wrong,
        leaked=len(here.heard) - heard,
        struck=len(struck),
        lasted=lasted,
        recovered=max(0.0, here.clock.now - over),
    )


def books_of(here: Bench, world: World, adapter: str = f"{NAMESPACE}/shared") -> Books:
    """Hold what the Hub has of an adapter against what was staged."""
    wanted = {_weights(world, v): v.label for v in world.registry.versions(adapter)}
    return audit(here.client(), [adapter], wanted)


def take(here: Bench, case: Case, adapter: str) -> Taken:
    """Resolve and pull one version through a fault, again and again, until it is there."""
    target = here.tmp / f"taken{here.next()}" / "adapter"
    client = here.client(case.deadline)
    here.strike(case)
    wrong: list[str] = []
    said: list[str] = []
    tries, found = 0, None
    while found is None and tries < MOST_PULLS:
        tries += 1
        try:
            found = resolve(client, parse_reference(f"{adapter}@v1"))
            pull(client, found, target, lambda _: None)
        except AdapterdError as error:
            said.append(error.message)
            found = None
            wrong += [] if error.hint else [f"no hint: {error.message}"]
            wrong += ["something lies in its place"] if target.exists() else []
    struck = len(here.plan.strikes)
    here.plan.use(())
    if found is not None:
        wrong += [f"{path} is wrong" for path, (digest, _) in found.files.items() if digest != _digest(target / path)]
    return Taken(case, tries, struck, found is not None, tuple(wrong), tuple(said))


def _drive(world: World) -> int:
    """Turn the line until nothing moves by itself; the tries to publish. Waiting costs only the injected clock."""
    tries = 0
    for _ in range(MOST_TURNS):
        began, moved = time.monotonic(), False
        for arrow in LINE:
            turned = reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5)
            moved |= turned is not None
            tries += turned is not None and arrow.stage is Stage.VALIDATED
        world.clock.now += time.monotonic() - began
        live = [v for v in world.registry.versions() if v.stage in LIVE and not v.stalled]
        if not live:
            return tries
        if not moved:
            world.clock.now = max(world.clock.now + 0.001, min(v.due_at for v in live))
    raise AssertionError(f"did not come to an end: {[(v.label, v.reason, v.message) for v in live]}")


def _remedy(here: Bench, world: World, case: Case, adapter: str) -> None:
    """Do what the hint says, as a person would."""
    if case.remedy == "token":
        world.client = here.client(token=NEW_TOKEN)
    if case.remedy == "private":
        answer = httpx2.put(
            f"{here.hub.endpoint}/api/models/{adapter}/settings",
            json={"private": True},
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
        )
        answer.raise_for_status()
    for version in world.registry.versions(adapter):
        if version.stalled:
            operate.retry(world.host, version.label, "tester", "the fault is mended")


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def _weights(world: World, version: AdapterVersion) -> str:
    return world.host.spool.snapshot(version.adapter, version.tree).files[WEIGHTS][0]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version_to_take(here: Bench) -> str:
    """Publish one version without any fault; its adapter."""
    world = here.world()
    adapter = f"{NAMESPACE}/taken-{here.next()}"
    stage(world, adapter, here.next())
    _drive(world)
    world.registry.close()
    return adapter
