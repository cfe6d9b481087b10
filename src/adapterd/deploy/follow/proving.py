"""The golden check of what an engine has loaded: does it serve the adapter's outputs, or the bare base's?"""

from adapterd.core.likeness import ADAPTER, INCONCLUSIVE
from adapterd.deploy.engines import Engine, ServingEngine
from adapterd.deploy.manifest import parse_manifest
from adapterd.deploy.shelf import Held

UNASKED = "unasked"
"""A command's engine cannot be asked."""
PROVEN = frozenset({ADAPTER, UNASKED})


def prove(engine: Engine, held: Held) -> tuple[str, str]:
    """Ask an engine the golden prompts of a version: the verdict, and why in a sentence."""
    if not isinstance(engine, ServingEngine):
        return UNASKED, "a command is not asked"
    recorded = parse_manifest(held.manifest, held.serving_name).golden
    if recorded is None:
        return INCONCLUSIVE, f"{held.serving_name} has no golden outputs"
    answer = engine.ask(recorded, held.serving_name)
    return answer.answer, answer.why
