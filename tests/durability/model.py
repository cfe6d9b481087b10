"""The model of publishing, long: ``python -m durability.model N`` lets Hypothesis write N schedules, and counts.

With ``--fast`` a schedule that breaks a truth is told as it was found, and not made shorter first.
"""

import sys
import tempfile
import time
from pathlib import Path

from adapterd import log
from adapterd.hub.server import Account, start
from adapterd.registry import open_registry, prepare
from helpers.hosts import NAMESPACE, TOKEN
from publishing.machine import run

EXAMPLES = 300
STEPS = 25


def main(arguments: list[str]) -> int:
    """Run; 0 where every truth held, else Hypothesis raises with the shortest schedule that it found."""
    examples = next((int(word) for word in arguments if word.isdigit()), EXAMPLES)
    log.configure("critical", "console")
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "registry.db"
        prepare(template)
        open_registry(template).close()
        began = time.monotonic()
        with start(Path(folder) / "hub", [Account(NAMESPACE, TOKEN)]) as hub:
            counted = run(hub.endpoint, template, examples, STEPS, anew=True, shrink="--fast" not in arguments)
    schedules, versions = counted.pop("schedules"), counted.pop("versions")
    print(f"{schedules} schedules, {counted.total()} moves, {versions} versions: every truth held")  # noqa: T201 - its output
    print(", ".join(f"{what} {count}" for what, count in sorted(counted.items())))  # noqa: T201 - the same
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201 - the same
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
