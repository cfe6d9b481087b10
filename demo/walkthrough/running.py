"""Perform a plan in a home of its own, from the first process to the last; the exit code says how it went."""

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console

from walkthrough import home as homes
from walkthrough.children import ChildError, Children
from walkthrough.home import Home
from walkthrough.performance import Performance
from walkthrough.plan import Plan
from walkthrough.view import View, picture

INTERRUPTED = 130


def run(folder: Path, make: Callable[[Home], Plan], record: Path | None = None) -> int:
    """Perform, say how to go on, wait for Enter where somebody sits there; the exit code.

    Args:
        folder: the home, which is wiped.
        make: gives the plan for the home.
        record: takes what was shown, as an SVG picture.
    """
    view = View(Console(highlight=False))
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with homes.opened(folder.absolute()) as home, Children(home.logs) as children:
            plan = make(home)
            with Performance(plan, home, view, children) as performance:
                done = performance.perform()
                view.say(f"{performance.elapsed:6.1f}s  {performance.summary}", "bold")
                verdict = "everything is as it should be" if done else "NOT everything is as it should be"
                view.say(f"{performance.elapsed:6.1f}s  {verdict}", "bold green" if done else "bold red")
                if record:
                    picture(record, plan.title, performance.parts())
                go_on(view, plan, home, performance.page)
                return 0 if done else 1
    except (homes.BusyError, ChildError) as error:
        view.say(str(error), "red")
        return 1
    except KeyboardInterrupt:
        view.say("ended; every process that was started here is gone")
        return INTERRUPTED


def go_on(view: View, plan: Plan, home: Home, page: str) -> None:
    """Say what can be done now; keep Hub and daemon until Enter where somebody sits there."""
    if not (view.on_terminal and sys.stdin.isatty()):
        view.say("Hub and daemon end now; run it on a terminal to keep them until you press Enter")
        return
    adapterd = _short(Path(sys.executable).parent / "adapterd")
    config = f"--config {_short(home.config)}"
    view.say(f"\nstatus page   {page}", "bold")
    view.say(f"versions      {adapterd} list {homes.USER}/{plan.trainings[0].name} {config}")
    view.say(f"one directory {adapterd} show {_short(home.root(plan.broken[0].root) / plan.broken[0].name)} {config}")
    view.say(f"your own      save an adapter of {plan.base.id} below {_short(home.root(plan.trainings[0].root))}")
    view.say("Hub and daemon go on until you press Enter", "bold")
    sys.stdin.readline()


def _short(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """End in order on SIGTERM, as on Ctrl-C."""
    raise KeyboardInterrupt
