"""Where the daemon keeps its own files, from the configuration and the environment; nothing is created here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from adapterd.config.checks import OUTSIDE, root_conflict
from adapterd.config.errors import ConfigError, Problem
from adapterd.config.model import Config

# What fits in sockaddr_un on Linux, without the closing zero byte.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Places:
    """Every file and folder that is the daemon's own.

    Attributes:
        state: the folder that survives a restart.
        registry: the SQLite file.
        spool: the folder of frozen copies.
        index: the public index document, beside the registry.
        instance: who this publisher is; apart from the registry, so that it tells when that is missing.
        audit: the append-only log of what people and the daemon did.
        digests: what is known of the files of base models, so that they are not hashed again.
        socket: the control socket.
        lock: held by whoever writes the registry.
    """

    state: Path
    registry: Path
    spool: Path
    index: Path
    instance: Path
    audit: Path
    digests: Path
    socket: Path
    lock: Path


def places(config: Config, environ: Mapping[str, str], home: Path) -> Places:
    """Decide where everything lies.

    Raises:
        ConfigError: a place lies in a watched root, or the socket's path is too long for the kernel.
    """
    state = config.state_dir or _folder(environ, "STATE_DIRECTORY", "XDG_STATE_HOME") or home / ".local/state/adapterd"
    runtime = config.runtime_dir or _folder(environ, "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR") or state / "run"
    registry = config.registry.path or state / "registry.db"
    decided = Places(
        state=state,
        registry=registry,
        spool=config.spool.path or state / "spool",
        index=registry.with_name("index.json"),
        instance=state / "instance.json",
        audit=state / "audit.jsonl",
        digests=state / "hashes.json",
        socket=runtime / "control.sock",
        lock=registry.with_name(f"{registry.name}.lock"),
    )
    problems = _problems(config, decided)
    if problems:
        raise ConfigError("places", tuple(problems))
    return decided


def _folder(environ: Mapping[str, str], systemd: str, xdg: str) -> Path | None:
    """Take the service manager's folder, else ours in the user's; relative ones are ignored, as XDG demands."""
    given = environ.get(systemd, "").split(":")[0]
    if given.startswith("/"):
        return Path(given)
    base = environ.get(xdg, "")
    return Path(base) / "adapterd" if base.startswith("/") else None


def _problems(config: Config, decided: Places) -> list[Problem]:
    """Judge the decided places, where defaults may have met a root."""
    roots = [root.path for root in config.roots]
    problems = [
        Problem(None, place.name, text, f"state_dir (and registry, spool, runtime_dir): {OUTSIDE}")
        for place in fields(decided)
        if (text := root_conflict(roots, getattr(decided, place.name)))
    ]
    for index, root in enumerate(roots):
        if decided.spool == root or decided.spool in root.parents:
            text = f"{root} lies in the spool, {decided.spool}: copies would be watched"
            problems.append(Problem(None, f"roots[{index}].path", text, "a spool.path that holds no root"))
    length = len(str(decided.socket).encode())
    if length > _LONGEST_SOCKET:
        text = f"{decided.socket} has {length} bytes; a socket's path may have {_LONGEST_SOCKET}"
        problems.append(Problem(None, "socket", text, "a shorter runtime_dir, such as /run/adapterd"))
    return problems
