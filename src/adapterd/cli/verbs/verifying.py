"""verify: a directory against its manifests and the Hub, or a serving engine against golden outputs."""

from pathlib import Path
from typing import Any

from adapterd import deploy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.deploying import place_of
from adapterd.cli.verbs.progress import progress
from adapterd.cli.verbs.settings import hub_of, reference_of
from adapterd.core.likeness import ADAPTER, BASE, INCONCLUSIVE, Answer
from adapterd.deploy.engines import asking
from adapterd.deploy.engines.wire import Wire

_EXIT = {ADAPTER: Exit.DONE, BASE: Exit.REJECTED, INCONCLUSIVE: Exit.STALLED}
"""As `validate --golden` ends."""

_DEADLINE = 120.0
"""Longest silence of an engine, in seconds: it may load the adapter for the first prompt."""


def directory(given: Path | None, folder: str, endpoint: str | None, *, offline: bool, as_json: bool) -> int:
    """Check each version in a directory."""
    place = place_of(Path(folder))
    with progress(f"verifying {place}"):
        if offline:
            found = deploy.verify(None, place)
        else:
            with hub_of(given, endpoint) as hub:
                found = deploy.verify(hub, place)
    if as_json:
        say.document({"directory": str(place), "offline": offline, "versions": [_document(each) for each in found]})
    else:
        for each in found:
            _tell(each)
    return Exit.REJECTED if any(each.problems for each in found) else Exit.DONE


def _tell(each: deploy.Verified) -> None:
    name = f"{each.held.adapter}@v{each.held.number}" if each.held else "no version"
    say.line(f"{each.path}: {name}, {'differs' if each.problems else 'whole'}")
    for problem in each.problems:
        say.line(f"  {problem}")
    for warning in each.warnings:
        say.complain(f"warning: {warning}")


def _document(each: deploy.Verified) -> dict[str, Any]:
    held = each.held
    return {
        "path": str(each.path),
        "adapter": held.adapter if held else None,
        "number": held.number if held else None,
        "commit": (held.commit or None) if held else None,
        "serving_name": held.serving_name if held else None,
        "whole": not each.problems,
        "problems": list(each.problems),
        "warnings": list(each.warnings),
    }


def engine(
    given: Path | None, url: str, adapter: str, name: str, key_file: Path | None, endpoint: str | None, *, as_json: bool
) -> int:
    """Ask an engine the golden prompts of a version."""
    reference = reference_of(adapter)
    if not url.startswith(("http://", "https://")):
        raise UsageFaultError(f"{url!r} is no address of an engine", "--engine http://HOST:PORT")
    key = key_file.read_text(encoding="utf-8").strip() if key_file else None
    with hub_of(given, endpoint) as hub:
        found = deploy.resolve(hub, reference)
    for warning in found.warnings:
        say.complain(f"warning: {warning}")
    served = name or found.serving_name
    recorded = deploy.parse_manifest(found.manifest, f"{found.adapter}@{found.tag}").golden
    if recorded is None:
        answer = Answer(INCONCLUSIVE, f"{found.adapter}@{found.tag} has no golden outputs")
    else:
        with progress(f"asking {url} for {served}"):
            answer = asking.ask(Wire(url.rstrip("/").removesuffix("/v1"), key, _DEADLINE), recorded, served)
    if as_json:
        say.document(
            {
                "engine": url,
                "name": served,
                "adapter": found.adapter,
                "tag": found.tag,
                "answer": answer.answer,
                "why": answer.why,
                "distances": dict(answer.distances),
                "greedy": None if answer.greedy is None else {"same": answer.greedy[0], "of": answer.greedy[1]},
            }
        )
    else:
        say.line(f"{served}: {answer.answer}")
        say.line(f"  {answer.why}")
    return _EXIT[answer.answer]
