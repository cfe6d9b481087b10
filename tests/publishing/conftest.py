"""A real Hub for all tests of publishing; each test has an adapter of its own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd.core.version import AdapterVersion
from adapterd.hub.server import Account, RunningHub, start
from adapterd.registry import open_registry, prepare
from adapterd.steps import discover
from adapterd.steps.settle import Rests, Settled, settle
from helpers.adapters import write_adapter
from helpers.hosts import BASE, NAMESPACE, TOKEN, World

_names = itertools.count(1)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that all tests share, with a writer, and a reader of the same namespace."""
    accounts = [Account(NAMESPACE, TOKEN), Account("reader", "hf_" + "r" * 34, role="read", orgs=(NAMESPACE,))]
    with start(tmp_path_factory.mktemp("hub") / "data", accounts) as running:
        yield running


@pytest.fixture
def adapter() -> str:
    """The name of an adapter that no other test uses."""
    return f"{NAMESPACE}/series-{next(_names)}"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    prepare(path)
    open_registry(path).close()
    return path


@pytest.fixture
def make_world(hub: RunningHub, tmp_path: Path, template: Path) -> Iterator[Callable[..., World]]:
    """Make publishers; each gets a folder of its own."""
    made: list[World] = []

    def make(name: str = "a", **options: object) -> World:
        world = World(tmp_path / name, hub.endpoint, publisher=f"publisher-{name}", template=template, **options)  # type: ignore[arg-type]  # passed on by name
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One publisher."""
    return make_world()


def stage(
    world: World,
    adapter: str,
    seed: int,
    *,
    step: int | None = None,
    content: int | None = None,
    keep: bool = False,
    asked: bool = True,
    labels: str = "",
) -> AdapterVersion:
    """Write a checkpoint, or a final save where `step` is None, and take it in as a daemon would.

    `seed` names the run, and decides the content unless `content` does; with `keep` the directory is there already.
    `labels` are more lines of its ``adapterd.yaml``. Unless `asked`, it comes to rest by itself, and the root must have
    been scanned before.
    """
    run = world.tmp / "train" / f"run-{seed}"
    folder = run / f"checkpoint-{step}" if step is not None else run
    if not keep:
        write_adapter(folder, seed=seed if content is None else 100 * seed + content, base=BASE)
    (run / "adapterd.yaml").write_text(f"adapter: {adapter.split('/')[1]}\n{labels}\n")
    root = world.host.config.roots[0]
    rests, wanted = Rests(), frozenset({str(folder)} if asked else ())
    versions: list[AdapterVersion] = []
    for _ in range(2):
        # The first scan of a root is its baseline; what a person asks for is taken all the same.
        seen = discover.scan(world.host, root, wanted)
        settled = [settle(world.host, found, rests, now=asked) for found in seen.pending]
        versions += [s.version for s in settled if isinstance(s, Settled)]
        world.clock.now += 10
    assert versions, settled
    return versions[-1]
