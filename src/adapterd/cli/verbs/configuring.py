"""config check, example, schema."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError, code_of
from adapterd.cli.verbs.settings import hub_of, path_of
from adapterd.config import Config, ConfigError, Places, Problem, Token, json_schema, load, places
from adapterd.config import example as rendered
from adapterd.config.labelpage import labels_example
from adapterd.config.present import kind_of, require_present, token_at_hand
from adapterd.core.errors import AdapterdError


def check(given: Path | None, *, online: bool, as_json: bool) -> int:
    """Say what is wrong with a configuration on this host, or what follows from it; `online` asks the Hub as well."""
    path = path_of(given)
    try:
        config = load(path)
        at = places(config, os.environ, Path.home())
        require_present(config, path)
        token, missing = token_at_hand(config, os.environ, Path.home())
    except ConfigError as error:
        if not as_json:
            raise
        return _wrong(path, error.problems, Exit.CONFIGURATION)
    if not as_json:
        _tell(path, config, at, token, missing)
        if online:
            say.line(f"token belongs to {_owner(path)}, says {config.hub.endpoint}")
        return Exit.DONE
    found = {"endpoint": config.hub.endpoint, "namespace": config.hub.namespace, "registry": str(at.registry)}
    roots = [{"path": str(root.path), "exists": kind_of(root.path) == "a directory"} for root in config.roots]
    where = token.source if token else None
    try:
        asked = {"owner": _owner(path)} if online else {}
    except AdapterdError as error:
        return _wrong(path, [Problem(None, "hub", error.message, error.hint)], code_of(error))
    say.document({"file": str(path), "ok": True, "problems": [], **found, "roots": roots, "token": where, **asked})
    return Exit.DONE


def _wrong(path: Path, problems: Iterable[Problem], code: Exit) -> int:
    """Write the problems as JSON."""
    listed = [{"line": p.line, "key": p.key, "message": p.text, "hint": p.hint} for p in problems]
    say.document({"file": str(path), "ok": False, "problems": listed})
    return code


def _tell(path: Path, config: Config, at: Places, token: Token | None, missing: ConfigError | None) -> None:
    """Write what follows from a right configuration."""
    say.line(f"{path} is right")
    say.line(f"publishes to {config.hub.namespace} at {config.hub.endpoint}")
    for root in config.roots:
        there = kind_of(root.path)
        note = {"a directory": "", "nothing": " (not there yet)"}.get(there, f" (is {there})")
        say.line(f"root {root.path}{note}")
    say.line(f"registry {at.registry}, spool {at.spool}, control socket {at.socket}")
    if token:
        say.line(f"token from {token.source}")
    if token and token.warning:
        say.complain(f"warning: {token.warning}")
    if missing:
        say.complain(f"warning: {missing.message}", missing.hint)


def _owner(path: Path) -> str:
    """Ask the configuration's Hub whose token it is."""
    with hub_of(path) as hub:
        return hub.whoami()


def example(file: Path | None, *, labels: bool) -> int:
    """Write a commented configuration, or the labels of a run, to a new file or to standard output."""
    text = labels_example() if labels else rendered()
    if file is None:
        say.line(text.removesuffix("\n"))
        return Exit.DONE
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise UsageFaultError(f"{file} is there already, and nothing was written", "name another file") from None
    then = f"set hub.namespace and roots, then `adapterd config check --config {file}`"
    say.line(f"wrote {file}; {'it is read as adapterd.yaml in a run folder' if labels else then}")
    return Exit.DONE


def schema() -> int:
    """Write the JSON Schema."""
    say.line(json.dumps(json_schema(), indent=2))
    return Exit.DONE
