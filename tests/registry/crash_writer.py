"""A writer that is killed: moves versions down the line and says each move once it is acknowledged."""

import sys
import time

from adapterd.core.version import Stage
from adapterd.ports import Draft, Intent, Validation
from adapterd.registry import acquire, open_registry


def main(path: str) -> None:
    """Write until somebody ends the process."""
    with acquire(path), open_registry(path) as registry:
        registry.reclaim("lane")
        while True:
            now = time.time()
            mark = f"{time.monotonic_ns():064x}"
            draft = Draft(
                "acme/support", mark, mark, "/train", mark, mark, None, None, True, "base", "LORA", "CAUSAL_LM", mark
            )
            version, _ = registry.intake(draft, now)
            _say("staged", version.id)
            claim = registry.claim(Stage.STAGED, "lane", now, 60, 3600)
            if claim is not None:
                version = claim.version
                report = Validation(version.id, version.tree, "policy", "passed", {}, now)
                registry.advance(claim, Stage.VALIDATED, now, validation=report)
                _say("validated", version.id)
            claim = registry.claim(Stage.VALIDATED, "lane", now, 60, 3600)
            if claim is not None:
                intent = registry.plan(claim, 0, lambda n: Intent(n, "policy", {"a": b"x" * 4096}, f"v{n}"))
                _say("planned", claim.version.id, intent.number)
                registry.advance(claim, Stage.PUBLISHED, now, commit=f"{intent.number:040x}")
                _say("published", claim.version.id, intent.number)


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
