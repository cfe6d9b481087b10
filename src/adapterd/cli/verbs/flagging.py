"""flags: one command line for a whole set of adapters."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from adapterd import deploy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.settings import hub_of, reference_of
from adapterd.core import flags as core


def flags(
    given: Path | None,
    adapters: Sequence[str],
    engine: str,
    endpoint: str | None,
    *,
    directory: Path | None,
    at_once: int | None,
    as_json: bool,
) -> int:
    """Write what the engine needs to serve all of them, or why it cannot."""
    if engine not in core.ENGINES:
        raise UsageFaultError(f"{engine} is no engine that flags are known for", f"one of {', '.join(core.ENGINES)}")
    if engine == "lorax" and directory is not None:
        raise UsageFaultError("TGI and LoRAX read an @ in a path as a revision", "leave --dir out: they download it")
    references = [reference_of(adapter) for adapter in adapters]
    with hub_of(given, endpoint) as hub:
        found = [deploy.resolve(hub, reference) for reference in references]
    versions = [core.wanted(json.loads(each.manifest), engine) for each in found]
    made = core.flags(engine, versions, str(directory.absolute()) if directory else "", at_once)
    warnings = [*(warning for each in found for warning in each.warnings), *made.warnings]
    if as_json:
        say.document(
            {
                "engine": engine,
                "arguments": list(made.arguments),
                "base": {"id": found[0].base_id or None, "revision": found[0].base_revision},
                "adapters": [
                    {"adapter": each.adapter, "tag": each.tag, "serving_name": each.serving_name} for each in found
                ],
                "problems": list(made.problems),
                "warnings": warnings,
            }
        )
        return Exit.REJECTED if made.problems else Exit.DONE
    for warning in warnings:
        say.complain(f"warning: {warning}")
    if made.problems:
        say.complain(
            f"{engine} cannot serve these together: " + "\n".join(made.problems),
            "leave out what does not fit, or serve it with another engine or a server of its own",
        )
        return Exit.REJECTED
    say.line(shlex.join(made.arguments))
    return Exit.DONE
