"""The whole job on this machine: train, watch, validate, publish, deploy. See `make demo`."""

import argparse
import sys
from functools import partial
from pathlib import Path

from walkthrough import texts
from walkthrough.bases import at_hand, tiny
from walkthrough.home import Home
from walkthrough.plan import BROKEN, Plan, Training
from walkthrough.running import run

HOME = Path(__file__).resolve().parent.parent / ".demo"
SECONDS = 300.0
"""It takes a third of this on two free cores."""
SECONDS_REAL_BASE = 900.0


def main() -> int:
    """Read the command line and perform; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="", help="a real base model instead: a folder, or an id on the public Hub")
    parser.add_argument("--quick", action="store_true", help="train a few steps only: to see that everything works")
    parser.add_argument("--home", type=Path, default=HOME, help="where everything lies; wiped at the start")
    parser.add_argument("--record", type=Path, help="write what is shown as an SVG picture")
    given = parser.parse_args()
    return run(given.home, partial(plan_of, given.base, given.quick), given.record)


def plan_of(wanted: str, quick: bool, home: Home) -> Plan:  # noqa: FBT001 - a flag of the command line
    """Two trainings with checkpoints and two broken adapters, on the tiny base model or on a real one."""
    base, preparation = at_hand(wanted) if wanted else tiny(home, steps=40 if quick else 120)
    support, recipes = texts.FOLDER / "support.txt", texts.FOLDER / "recipes.txt"
    pace: tuple[str, ...] = ()
    if wanted:
        pace = ("--batch", "2", "--steps", "12", "--save-steps", "4", "--rate", "5e-4")
    elif quick:
        pace = ("--steps", "24", "--save-steps", "8", "--keep", "3")
    return Plan(
        title="make demo",
        base=base,
        preparation=preparation,
        trainings=(
            Training("support-lora", "assistants", support, pace, versions=3),
            Training("recipes-lora", "kitchen", recipes, (*pace, "--seed", "2"), versions=1),
        ),
        broken=BROKEN,
        probe_texts=tuple(text for file in (support, recipes) for text in texts.split(texts.paragraphs(file))[1]),
        seconds=SECONDS_REAL_BASE if wanted else SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
