"""A yard: publishers with hands, one repo on a real Hub, and everything that can happen to them, each as one call.

What may happen is in the public methods; what must hold whatever happened is in `publishing.truths`. A schedule of
calls is a test by itself; `publishing.machine` lets Hypothesis write them.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adapterd import operate, reconcile
from adapterd.core import publication as pub
from adapterd.core.naming import version_numbers
from adapterd.core.version import LIVE
from adapterd.ports import AddBytes, Delete, Hub, NotFound, Refs, Registry, Transient
from adapterd.reconcile import LINE
from adapterd.steps import discover, promote
from adapterd.steps.settle import Rests, settle
from helpers.adapters import write_adapter
from helpers.hosts import BASE, World
from publishing.crashing import HUB_EFFECTS, Mortal
from publishing.hands import REGISTRY_EFFECTS, Hand, StoppingSpool, Stops
from publishing.stations import STRICT, WEIGHTS, Judge, Station, Witness
from publishing.truths import Truths

MOST_ROUNDS = 60


class Yard:
    """The publishers of one repo, and a person who can do what persons do."""

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        repo: str,
        template: Path,
        names: str = "a",
        *,
        checkpoints: str = "all",
        wrap_hub: Callable[[Hub], Hub] = lambda hub: hub,
        wrap_registry: Callable[[Registry], Registry] = lambda registry: registry,
    ) -> None:
        """Set up one station for each letter of `names`; several have adopted the repo beforehand."""
        self.repo, self.folder, self.wrap_registry = repo, folder, wrap_registry
        self.passed: set[tuple[str, str]] = set()
        self.by_hand: set[str] = set()
        self.interfered = False
        self.coalesces = checkpoints != "all"
        self.stations: dict[str, Station] = {}
        for name in names:
            world = World(
                folder / name,
                endpoint,
                publisher=f"publisher-{name}",
                template=template,
                extra={"roots": f"[{{path: {folder}/{name}/train, checkpoints: {checkpoints}}}]"},
                validator=Judge(),
                wrap_hub=lambda hub: Mortal(wrap_hub(hub), HUB_EFFECTS, Stops()),
                wrap_registry=self._registry,
            )
            self.stations[name] = Station(world)
            self._spool(self.stations[name])
            self._look(self.stations[name])  # the baseline of an empty root
        self.client = next(iter(self.stations.values())).world.client
        if len(names) > 1:
            self.client.create_repo(repo, private=True)
            for station in self.stations.values():
                operate.adopt(station.world.host, repo, "tester", "they share it")
        self.truths = Truths(self)

    def _registry(self, registry: Registry) -> Registry:
        witness = Witness(self.wrap_registry(registry), self.passed)
        return Mortal(witness, REGISTRY_EFFECTS, Stops())

    def _spool(self, station: Station) -> None:
        world = station.world
        world.host = replace(world.host, spool=StoppingSpool(world.host.spool.path))

    # --- what hosts do ---

    def bring(self, name: str, *contents: int, step: int | None = None) -> None:
        """Finals, or checkpoints of one run from `step` on, that are taken in and validated."""
        for content in contents:
            self.write(name, content, None if step is None else step + content, same_run=step is not None)
        self.work(name, "intake", "intake")
        while reconcile.turn(self.stations[name].world.host, LINE[0], "validate", lambda: 0.5):
            pass

    def write(self, name: str, content: int, step: int | None = None, *, same_run: bool = False) -> None:
        """A training saves what it came to: as a checkpoint, or as its final."""
        station = self.stations[name]
        station.runs += 0 if same_run and station.runs else 1
        run = station.world.tmp / "train" / f"run-{station.runs}"
        folder = run if step is None else run / f"checkpoint-{step}"
        if str(folder) in station.written:
            return
        run.mkdir(exist_ok=True)
        (run / "adapterd.yaml").write_text(f"adapter: {self.repo.split('/')[1]}\n")
        write_adapter(folder, seed=1000 + content, base=BASE)
        station.written[str(folder)] = (content, step is None)

    def work(self, name: str, hand: str, job: str, places: int | str | None = None) -> bool:
        """Let a hand go on: so many places far, to a place by name, or to its end; idle, it begins the job.

        True where it still stands in the middle of its work.
        """
        station = self.stations[name]
        doing = station.hands.get(hand)
        if doing is None or doing.done:
            doing = station.hands[hand] = Hand(self._job(station, job))
        if places is None:
            doing.finish()
        elif isinstance(places, str):
            doing.go_to(places)
        else:
            for _ in range(places):
                doing.go()
        self.truths.check()
        return not doing.done

    def kill(self, name: str, hand: str) -> None:
        """One hand is gone; its lease stays until it runs out."""
        if hand in self.stations[name].hands:
            self.stations[name].hands[hand].die()
            self.truths.check()

    def lose_answer(self, name: str, hand: str) -> None:
        """The Hub gives no answer to what a hand is at: before it, nothing happened; after it, it did."""
        doing = self.stations[name].hands.get(hand)
        if doing is not None and doing.place.split()[-1] in HUB_EFFECTS:
            doing.go(Transient("the Hub does not answer"))
            self.truths.check()

    def power_cut(self, name: str) -> None:
        """The whole process is gone, and started again."""
        station = self.stations[name]
        self._stop(station)
        station.world.registry.close()
        station.world.reopen()
        self._begin(station)

    def lose_registry(self, name: str, *, rebuild: bool, places: int | None = None) -> None:
        """The registry is gone; a person rebuilds it, or begins with an empty one, and asks for what was not taken.

        With `places` the rebuild dies so many places far, and what it made is taken for a whole registry.
        """
        station = self.stations[name]
        self._stop(station)
        station.world.lose_registry()
        if rebuild:
            known = {adapter for adapter, _, _ in station.world.host.spool.sidecars()}
            hand = Hand(lambda: operate.rebuild(station.world.host, sorted(known), lambda _: None))
            for _ in range(places or 0):
                hand.go()
            hand.finish() if places is None else hand.die()
        self._begin(station)
        host = station.world.host
        discover.scan(host, host.config.roots[0])  # what lies there now is baseline
        station.asked |= set(station.written)
        self.truths.check()

    def pass_time(self, name: str, seconds: float) -> None:
        """Time goes by, or the clock is set."""
        self.stations[name].world.clock.now += seconds

    def change_policy(self, name: str) -> None:
        """The operator makes the limits strict, or lax again."""
        world = self.stations[name].world
        if world.extra.pop("validation", None) is None:
            world.extra["validation"] = STRICT
        world.host = replace(world.host, config=world.config)

    def retry(self, name: str) -> None:
        """The operator sets everything going again that is stalled or rejected."""
        operate.retry(self.stations[name].world.host, "--all", "tester", "")

    # --- what a person does on the Hub ---

    def person_tags(self, ahead: int, *, version: bool) -> None:
        """Somebody makes a version tag by hand, on a version or on something else."""
        if (refs := self.refs()) is None:
            return
        tags = version_numbers(refs.tags)
        commit = tags[max(tags)] if version and tags else refs.branches["main"]
        tag = f"v{max(tags, default=0) + ahead}"
        self.by_hand.add(tag)
        self.interfered = True
        self.client.create_tag(self.repo, tag, commit)

    def person_commits(self, branch: str, path: str, *, harmless: bool) -> None:
        """Somebody commits by hand; what is `harmless` must hold nothing up."""
        refs = self.refs()
        if refs is None or branch not in refs.branches:
            return
        text = b"# By hand\n"
        if path == pub.CARD:
            if path not in self.client.tree(self.repo, refs.branches[branch]):
                return  # there is no card to edit yet
            text = self.client.read(self.repo, refs.branches[branch], path) + b"\nMore by hand.\n"
        self.interfered |= not harmless
        self.client.commit(self.repo, branch, refs.branches[branch], [AddBytes(path, text)], "by hand")

    def person_cleans(self) -> None:
        """Somebody removes again what lies on `versions` and was put there by hand."""
        refs = self.refs()
        if refs is None or not (head := refs.branches.get(pub.BRANCH)):
            return
        if "notes.py" in self.client.tree(self.repo, head):
            self.client.commit(self.repo, pub.BRANCH, head, [Delete("notes.py")], "by hand")

    def rot(self, name: str) -> None:
        """The disk under a spool gives other bytes than were written, for every snapshot on it."""
        self.interfered = True
        for path in self.stations[name].world.host.spool.path.glob(f"*/*/*/payload/{WEIGHTS}"):
            path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")

    # --- to the end ---

    def settle(self) -> None:
        """Let every hand finish and every lane turn until nothing moves by itself any more; then hold all truths."""
        for station in self.stations.values():
            for hand in station.busy():
                hand.finish()
        self.truths.check()
        for _ in range(MOST_ROUNDS):
            for station in self.stations.values():
                self._turn(station)
            self.truths.check()
            if not any(self._moving(station) for station in self.stations.values()):
                break
            for station in self.stations.values():
                station.world.clock.now += 900
        self.truths.check_end()

    def refs(self) -> Refs | None:
        """The repo's refs; None while there is no repo."""
        try:
            return self.client.refs(self.repo)
        except NotFound:
            return None

    def close(self) -> None:
        """End every hand, and give everything back."""
        for station in self.stations.values():
            self._stop(station)
            station.world.close()
        shutil.rmtree(self.folder)

    def _job(self, station: Station, job: str) -> Callable[[], object]:
        if job == "intake":
            return lambda: self._intake(station)
        if job == "promote":
            return lambda: self._promote(station)
        arrow = next(arrow for arrow in LINE if arrow.name == job)
        # The owner is the same for all hands, as for the lanes of one daemon: the fence alone tells them apart.
        return lambda: reconcile.turn(station.world.host, arrow, station.world.publisher, lambda: 0.5)

    def _intake(self, station: Station) -> None:
        """Two looks, further apart than the quiet time."""
        self._look(station)
        station.world.clock.now += 10
        self._look(station)

    def _look(self, station: Station) -> None:
        host, asked = station.world.host, frozenset(station.asked)
        for found in discover.scan(host, host.config.roots[0], asked).pending:
            settle(host, found, station.rests, now=str(found.directory) in asked)
            station.asked.discard(str(found.directory))

    def _promote(self, station: Station) -> None:
        host = station.world.host
        for record, version in promote.due(host):
            promote.promote(host, record, version, 0.5)

    def _turn(self, station: Station) -> None:
        self._intake(station)
        for arrow in LINE:
            while reconcile.turn(station.world.host, arrow, station.world.publisher, lambda: 0.5):
                pass
        self._promote(station)

    def _moving(self, station: Station) -> bool:
        host = station.world.host
        versions = any(v.stage in LIVE and not v.stalled for v in host.registry.versions())
        waiting = any(o.state == "waiting" for o in host.registry.observations())
        return versions or waiting or bool(promote.due(host, all_=True))

    def _stop(self, station: Station) -> None:
        for hand in station.busy():
            hand.die()

    def _begin(self, station: Station) -> None:
        """What a daemon does at its start."""
        self._spool(station)
        station.rests = Rests()
        operate.stage_again(station.world.host)
