"""What any directory is: an adapter directory with its config, or why it is none. Reads the directory alone."""

from pathlib import Path
from typing import Any

from adapterd import roots
from adapterd.core import adapter as ad
from adapterd.core.reasons import BY_CODE

DEPTH = 4
"""How far below a directory adapter directories are looked for."""

MOST = 50
"""How many of them are told."""


def explain(path: Path, *, pickles: bool = False) -> dict[str, Any]:
    """Say what the directory is; with `pickles`, a pickle counts as weights. OSError where it cannot be listed at all.

    ``code`` is ``adapter`` for a whole adapter directory, else the code of a reason.
    """
    entries = roots.entries_of(path)
    code, message = _judge(path, entries, pickles=pickles)
    payload = {e.name for e in ad.sources(entries) if pickles or ad.is_payload(e.name)}
    found: dict[str, Any] = {
        "path": str(path),
        "code": code,
        "message": message,
        "hint": BY_CODE[code].hint if code in BY_CODE else "",
        "config": _config(path),
        "files": {e.name: e.size for e in entries if e.kind is ad.Kind.FILE and e.name in payload},
        "left_out": sorted(e.name for e in entries if e.name not in payload and e.kind is not ad.Kind.DIRECTORY),
        "below": [],
    }
    if code != "adapter":
        walk = roots.walk(path, DEPTH)
        below = [folder for folder in walk.folders if folder.path != "."]
        found["below"] = [{"path": f.path, "code": ad.nature(f.entries, pickles=pickles).code} for f in below[:MOST]]
    return found


def is_checkpoint(path: Path) -> bool:
    """Whether a directory is a ``checkpoint-N``, or lies in one."""
    return any(ad.checkpoint_number(name) is not None for name in (path.name, path.parent.name))


def _judge(path: Path, entries: tuple[ad.Entry, ...], *, pickles: bool) -> tuple[str, str]:
    nature = ad.nature(entries, pickles=pickles)
    if nature.code != "adapter":
        return nature.code, nature.message
    try:
        look = roots.look(path, entries, checkpoint=is_checkpoint(path), pickles=pickles)
    except roots.SettleError as error:
        return error.code, error.message
    if not look.whole:
        return look.code, look.fault
    if look.held:
        return "open_for_writing", "a process has the weights open for writing"
    return "adapter", nature.message


def _config(path: Path) -> dict[str, Any] | None:
    """What the config says of the adapter; None where there is none that can be read."""
    data = roots.read_if_there(path, ad.CONFIG, ad.MAX_CONFIG_BYTES)
    try:
        config = ad.parse_config(data or b"")
    except ad.BadConfigError:
        return None
    return {
        "peft_type": config.peft_type,
        "task": config.task or None,
        "rank": config.rank,
        "base": config.base or None,
        "revision": config.revision or None,
    }
