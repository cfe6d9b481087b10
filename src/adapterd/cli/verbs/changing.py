"""retry, waive, adopt, rebind: through the daemon where one runs, else here, under the writer's lock."""

import os
import pwd
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterd import operate, rebinding
from adapterd.audit import AuditLog, Entry
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.say import line
from adapterd.cli.verbs.settings import path_of, reference_of
from adapterd.compose import offline
from adapterd.config import load, places
from adapterd.control import NoDaemonError, call
from adapterd.steps.host import Host

Do = Callable[[Host, str], Mapping[str, Any]]


def retry(given: Path | None, references: Sequence[str], *, every: bool, why: str) -> int:
    """Set versions, channels and directories going again."""
    if every == bool(references):
        raise UsageFaultError("retry takes what shall go again, or --all", "adapterd retry namespace/name@id:HEX")
    path = path_of(given)
    for named in ["--all"] if every else [_named(reference) for reference in references]:
        answer = do_(
            path,
            ("retry", {"reference": named}, why),
            lambda host, user, named=named: {"retried": operate.retry(host, named, user, why)},  # type: ignore[misc]  # bound now
        )
        moved = [str(each) for each in answer["retried"]]
        for each in moved:
            line(f"{each} goes again")
        if not moved:
            line("nothing to retry" if every else f"{named}: nothing of it is stalled or rejected")
    return Exit.DONE


def waive(given: Path | None, code: str, reference: str, why: str) -> int:
    """Set one reason aside for one version."""
    named = _named(reference)
    answer = do_(
        path_of(given),
        ("waive", {"code": code, "reference": named}, why),
        lambda host, user: {"waived": operate.waive(host, code, named, user, why)},
    )
    line(f"{code} is waived for {answer['waived']}, which goes again")
    return Exit.DONE


def revalidate(given: Path | None, reference: str) -> int:
    """Have the daemon validate published versions again."""
    reference_of(reference)
    at = places(load(path_of(given)), os.environ, Path.home())
    for each in call(at.socket, "revalidate", {"reference": reference}, "", 60.0)["asked"]:
        line(f"{each} is validated again when no new version is due; `adapterd show {each}` tells what came of it")
    return Exit.DONE


def adopt(given: Path | None, adapter: str, why: str) -> int:
    """Make a repo ours."""
    name = reference_of(adapter).adapter
    answer = do_(
        path_of(given),
        ("adopt", {"adapter": name}, why),
        lambda host, user: {"commit": operate.adopt(host, name, user, why)},
    )
    commit = str(answer["commit"])
    line(f"{name} is adopted" + (f", recorded in commit {commit[:12]}" if commit else ", as it was already"))
    return Exit.DONE


def rebind(given: Path | None, adapter: str, root: Path, why: str) -> int:
    """Let a series follow its root to another path."""
    name, path = reference_of(adapter).adapter, str(root.expanduser().absolute())

    def here(host: Host, _: str) -> Mapping[str, Any]:
        was, count = rebinding.rebind(host, name, path)
        return {"was": was, "directories": count}

    answer = do_(path_of(given), ("rebind", {"adapter": name, "root": path}, why), here)
    if answer["was"] == path:
        line(f"{name} is bound to {path} already")
    else:
        line(f"{name} is bound to {path} now, was {answer['was']}; {answer['directories']} directories carried over")
    return Exit.DONE


def _named(reference: str) -> str:
    """A reference, or a directory's absolute path."""
    if reference.startswith(("/", ".", "~")) or (Path(reference).is_dir() and "@" not in reference):
        return str(Path(reference).expanduser().absolute())
    reference_of(reference)
    return reference


def do_(path: Path, asked: tuple[str, Mapping[str, Any], str], here: Do, timeout: float = 60.0) -> Mapping[str, Any]:
    """Ask the daemon; without one do it here, and say so in the audit log."""
    do, arguments, why = asked
    at = places(load(path), os.environ, Path.home())
    try:
        return call(at.socket, do, arguments, why, timeout)
    except NoDaemonError:
        pass
    with offline(path) as host:
        AuditLog(at.audit).demand()  # what cannot be written down is not done
        outcome = "failed"
        try:
            answer = here(host, _user())
            outcome = "done"
        finally:
            note(path, asked, outcome)
    return answer


def note(path: Path, asked: tuple[str, Mapping[str, Any], str], outcome: str) -> None:
    """Say in the audit log what was done here: what, with which arguments, why, and what came of it."""
    do, arguments, why = asked
    audit = AuditLog(places(load(path), os.environ, Path.home()).audit)
    audit.append(Entry(time.time(), os.getuid(), _user(), do, arguments, why, outcome))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
