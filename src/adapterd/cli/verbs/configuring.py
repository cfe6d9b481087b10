"""config check, example, schema."""

import json
import os
from pathlib import Path

from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.settings import path_of
from adapterd.config import ConfigError, find_token, json_schema, load, places
from adapterd.config import example as rendered


def check(given: Path | None, *, as_json: bool) -> int:
    """Say what is wrong with a configuration, or what follows from it."""
    path = path_of(given)
    try:
        config = load(path)
        at = places(config, os.environ, Path.home())
    except ConfigError as error:
        if not as_json:
            raise
        problems = [{"line": p.line, "key": p.key, "message": p.text, "hint": p.hint} for p in error.problems]
        say.document({"file": str(path), "ok": False, "problems": problems})
        return Exit.CONFIGURATION
    try:
        token, missing = find_token(config, os.environ, Path.home()), None
    except ConfigError as error:
        token, missing = None, error  # another shell than the daemon's may lack it
    if as_json:
        found = {"endpoint": config.hub.endpoint, "namespace": config.hub.namespace, "registry": str(at.registry)}
        roots = [{"path": str(root.path), "exists": root.path.is_dir()} for root in config.roots]
        where = token.source if token else None
        say.document({"file": str(path), "ok": True, "problems": [], **found, "roots": roots, "token": where})
        return Exit.DONE
    say.line(f"{path} is right")
    say.line(f"publishes to {config.hub.namespace} at {config.hub.endpoint}")
    for root in config.roots:
        say.line(f"root {root.path}" + ("" if root.path.is_dir() else " (not there yet)"))
    say.line(f"registry {at.registry}, spool {at.spool}, control socket {at.socket}")
    if token:
        say.line(f"token from {token.source}")
    if token and token.warning:
        say.complain(f"warning: {token.warning}")
    if missing:
        say.complain(f"warning: {missing.message}", missing.hint)
    return Exit.DONE


def example(file: Path | None) -> int:
    """Write a commented configuration to a new file, or to standard output."""
    if file is None:
        say.line(rendered().removesuffix("\n"))
        return Exit.DONE
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(rendered())
    except FileExistsError:
        raise UsageFaultError(f"{file} is there already, and nothing was written", "name another file") from None
    say.line(f"wrote {file}; set hub.namespace and roots, then `adapterd config check --config {file}`")
    return Exit.DONE


def schema() -> int:
    """Write the JSON Schema."""
    say.line(json.dumps(json_schema(), indent=2))
    return Exit.DONE
