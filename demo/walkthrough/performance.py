"""The whole performance: a Hub, a base model, the daemon, trainings that it watches, and a deployer at the end."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import shorten
from typing import Any, Self

from adapterd.registry import SqlReader, open_reader
from walkthrough import deployer, expectations, services
from walkthrough import home as homes
from walkthrough.children import Children
from walkthrough.expectations import Check, line_checks
from walkthrough.home import Home
from walkthrough.plan import Broken, Plan, Training
from walkthrough.rows import Row, rows
from walkthrough.services import Hub
from walkthrough.view import WIDTH, View, table

SCRIPTS = Path(__file__).resolve().parent.parent
MESSAGE = 190
"""Letters of a reason's message that are shown."""
LOOK = 0.25
"""Seconds between two looks at the registry."""


class Performance:
    """One run through everything; each method is one act."""

    def __init__(self, plan: Plan, home: Home, view: View, children: Children) -> None:
        """Nothing runs yet."""
        self._plan = plan
        self._home = home
        self._view = view
        self._children = children
        self._began = time.monotonic()
        self._until = self._began + plan.seconds
        self._files = ExitStack()
        self.page = ""
        self.rows: list[Row] = []
        self.checks: list[Check] = []
        self._pictured = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def summary(self) -> str:
        """What it all came to."""
        published = len({(row.adapter, row.tag) for row in self.rows if row.tag})
        refused = sum(row.refused for row in self.rows)
        return f"{published} versions published; {refused} broken adapters refused, which PEFT loads without an error"

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what was opened here; the children are ended by whoever gave them."""
        self._children.stop()
        self._files.close()

    def perform(self) -> bool:
        """Do all of it; whether everything came as it should."""
        services.start_hub(self._children, self._home)
        self._prepare_base()
        hub = services.wait_for_hub(self._children, self._home, self._until)
        self._view.say(f"{self.elapsed:6.1f}s  embedded Hub at {hub.endpoint}")
        run_folder = self._files.enter_context(homes.runtime(self._home))
        self.page = services.start_daemon(self._children, self._home, hub, self._plan, run_folder, self._until)
        self._view.say(f"{self.elapsed:6.1f}s  daemon: adapterd watch; status page at {self.page}")
        with open_reader(self._home.registry) as reader:
            self._train(reader)
            self.checks += line_checks(self._plan, reader, self.rows)
            self.checks += expectations.training_checks(self._plan, self._home)
            self._tell_refused()
            self._deploy(hub, reader)
            self._pictured = len(self._view.said)
            self._figures(reader)
        for check in self.checks:
            self._view.say(f"{'ok' if check.passed else 'FAILED':>8}  {check.text}", "green" if check.passed else "red")
        return all(check.passed for check in self.checks)

    def _prepare_base(self) -> None:
        preparation, base = self._plan.preparation, self._plan.base
        if preparation is None:
            self._view.say(f"{self.elapsed:6.1f}s  base model {base.id}")
            return
        self._view.say(f"{self.elapsed:6.1f}s  making the base model first; this takes a while")
        report = self._home.report("base")
        arguments = [*preparation.arguments, "--out", str(base.path), "--report", str(report)]
        self._children.python("base", SCRIPTS / preparation.script, arguments, self._home.trainer())
        self._children.wait("base", self._until)
        figures = json.loads(report.read_text(encoding="utf-8"))
        self.checks += expectations.base_checks(figures)
        self._view.say(f"{self.elapsed:6.1f}s  base model {base.id}: {preparation.told(figures)}")

    def _train(self, reader: SqlReader) -> None:
        """Let the trainings write while the daemon watches, until everything has come to its end."""
        plan = self._plan
        names = ", ".join(training.name for training in plan.trainings)
        self._view.say(f"{self.elapsed:6.1f}s  training {names}; they know nothing of adapterd")
        for training in plan.trainings:
            self._start_training(training)
        names_running = [training.name for training in plan.trainings]
        left = list(plan.broken)
        with self._view.following():
            while True:
                self._children.demand_running("hub")
                self._children.demand_running("daemon")
                names_running = [name for name in names_running if not self._children.ended(name)]
                # One after the other: the trainings and the daemon have the cores.
                if left and not any(broken.name in names_running for broken in plan.broken):
                    self._start_broken(left[0])
                    names_running.append(left.pop(0).name)
                self.rows = rows(reader)
                working = f"writing: {', '.join(names_running)}" if names_running else "all trainings have ended"
                self._view.follow(self.rows, f"{self.elapsed:6.1f}s  {self.page}  {working}", self.elapsed)
                if not names_running and not left and self._came_to_rest(reader):
                    return
                time.sleep(LOOK)

    def _came_to_rest(self, reader: SqlReader) -> bool:
        """Whether everything is as it should be, or will never be."""
        if all(check.passed for check in line_checks(self._plan, reader, self.rows)):
            return all(row.ended for row in self.rows)
        stalled = [row for row in self.rows if row.stage == "stalled"]
        if time.monotonic() > self._until or stalled:
            for row in stalled:
                self._view.say(f"  {row.directory}: {row.message}\n  Try: {row.hint}", "red")
            return True
        return False

    def _start_training(self, training: Training) -> None:
        arguments = [
            *("--base", str(self._plan.base.path)),
            *("--text", str(training.text)),
            *("--out", str(self._home.root(training.root) / training.name)),
            *("--report", str(self._home.report(training.name))),
            *training.arguments,
        ]
        self._children.python(training.name, SCRIPTS / "train_adapter.py", arguments, self._home.trainer())

    def _start_broken(self, broken: Broken) -> None:
        out = str(self._home.root(broken.root) / broken.name)
        arguments = ["--base", str(self._plan.base.path), "--out", out, "--kind", broken.kind]
        self._children.python(broken.name, SCRIPTS / "break_adapter.py", arguments, self._home.trainer())

    def _tell_refused(self) -> None:
        for row in self.rows:
            if row.refused:
                self._view.say(f"refused: {row.directory}: {row.why}", "red")
                self._view.detail(shorten(row.message, MESSAGE, placeholder=" ..."))
                self._view.detail(row.hint, "dim")

    def _deploy(self, hub: Hub, reader: SqlReader) -> None:
        self._view.say("the loss above is on general probe texts; held-out text is of the adapter's own domain", "dim")
        self._view.say(f"{self.elapsed:6.1f}s  now as a deployer, with nothing but the Hub")
        acts = deployer.Deployer(self._plan, self._home, hub, self._children, self._until)
        for training in self._plan.trainings:
            self.checks.append(acts.pull(training, self._view.detail))
        found = acts.load(reader)
        for text in deployer.told(found):
            self._view.detail(text)
        self.checks += deployer.checks(found)

    def _figures(self, reader: SqlReader) -> None:
        self._view.say(f"{self.elapsed:6.1f}s  how long each version took, from a whole directory to its tag:")
        for text in expectations.figures(self._plan, self._home, reader):
            self._view.detail(text)

    def parts(self) -> Sequence[Any]:
        """What the picture shows: everything but the figures and the single checks."""
        said, opening = self._view.said, 5
        return [*said[:opening], "", table(self.rows, WIDTH), "", *said[opening : self._pictured], *said[-2:]]
