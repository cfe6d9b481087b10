"""The same with a real base model and real text: SmolLM2-135M, Trainer and TRL's SFTTrainer. See `make e2e`."""

import argparse
import sys
from pathlib import Path
from pydoc_data.topics import topics

from walkthrough import texts
from walkthrough.bases import smollm
from walkthrough.home import Home
from walkthrough.plan import BROKEN, Plan, Training
from walkthrough.running import run

HOME = Path(__file__).resolve().parent.parent / ".e2e"
SECONDS = 900.0
PACE = ("--batch", "2", "--length", "64", "--steps", "24", "--save-steps", "8", "--rate", "1e-3")
PARAGRAPHS = 60
SHORTEST, LONGEST = 200, 700
"""Letters of a paragraph that is used."""


def main() -> int:
    """Read the command line and perform; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=HOME, help="where everything lies; wiped at the start")
    parser.add_argument("--record", type=Path, help="write what is shown as an SVG picture")
    given = parser.parse_args()
    return run(given.home, plan_of, given.record)


def plan_of(home: Home) -> Plan:
    """One training with transformers' Trainer on Python's own manual, one with TRL on the bundled recipes."""
    manual, recipes = python_manual(home.path / "python-manual.txt"), texts.FOLDER / "recipes.txt"
    base, preparation = smollm(home)
    return Plan(
        title="make e2e",
        base=base,
        preparation=preparation,
        trainings=(
            Training("python-manual-lora", "assistants", manual, PACE, versions=3),
            Training("recipes-lora", "kitchen", recipes, (*PACE, "--trainer", "trl", "--seed", "2"), versions=1),
        ),
        broken=BROKEN,
        probe_texts=tuple(text for file in (manual, recipes) for text in texts.split(texts.paragraphs(file))[1][:4]),
        seconds=SECONDS,
    )


def python_manual(file: Path) -> Path:
    """Paragraphs of the language reference that comes with every Python, one a line, spread over all of it."""
    found = [" ".join(part.split()) for _, topic in sorted(topics.items()) for part in topic.split("\n\n")]
    prose = [text for text in found if SHORTEST <= len(text) <= LONGEST and text[0].isupper()]
    chosen = prose[:: max(1, len(prose) // PARAGRAPHS)][:PARAGRAPHS]
    file.write_text("\n".join([*chosen, ""]), encoding="utf-8")
    return file


if __name__ == "__main__":
    sys.exit(main())
