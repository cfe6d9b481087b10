"""promote, rollback, hold, release, yank, unyank and channels: by Hub alone."""

import contextlib
import getpass
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapterd import deploy, moving
from adapterd.audit import AuditLog, Entry
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs.settings import find, hub_of, reference_of
from adapterd.config import Config, load, places
from adapterd.control import NoDaemonError, call
from adapterd.core import index, naming
from adapterd.core.errors import AdapterdError
from adapterd.core.standing import Said
from adapterd.ports import Denied, Hub, NotFound

_SHORT = 10.0
"""Seconds that a daemon may take to say that it will look."""


def promote(given: Path | None, version: str, channel: str, why: str, endpoint: str | None) -> int:
    """Let a channel hold a version."""
    reference = reference_of(version)
    _demand_channel(channel)
    if "@" not in version:
        raise UsageFaultError(
            f"{version} names no version", f"{version}@vN, or {version}@CHANNEL to take what it holds"
        )
    with _acting(given, endpoint, "promote", {"reference": version, "channel": channel}, why) as (hub, said):
        number = reference.number or deploy.resolve(hub, reference).number
        done = moving.promote(hub, reference.adapter, number, channel, said)
        _say_moved(done)
        if done.held:
            say.line(f"{channel} is held; it stays held")
    return Exit.DONE


def rollback(given: Path | None, adapter: str, channel: str, to: str | None, why: str, endpoint: str | None) -> int:
    """Hold a channel, and let it hold an older version."""
    name = _plain(adapter)
    _demand_channel(channel)
    number = None if to is None else reference_of(f"{name}@{to}").number
    if to is not None and number is None:
        raise UsageFaultError(f"--to {to} is no version", "--to vN")
    arguments = {"adapter": name, "channel": channel, "to": to}
    with _acting(given, endpoint, "rollback", arguments, why) as (hub, said):
        _say_moved(moving.rollback(hub, name, channel, number, said))
        say.line(f"{channel} is held: no rule moves it until `adapterd release {name} --channel {channel}`")
    return Exit.DONE


def hold(given: Path | None, adapter: str, channel: str, why: str, endpoint: str | None) -> int:
    """Keep a channel where it is."""
    name = _plain(adapter)
    _demand_channel(channel)
    with _acting(given, endpoint, "hold", {"adapter": name, "channel": channel}, why) as (hub, said):
        new = moving.hold(hub, name, channel, said)
        say.line(f"{channel} of {name} is held" + ("" if new else " already"))
    return Exit.DONE


def release(given: Path | None, adapter: str, channel: str, why: str, endpoint: str | None) -> int:
    """Let a channel's rule move it again."""
    name = _plain(adapter)
    _demand_channel(channel)
    with _acting(given, endpoint, "release", {"adapter": name, "channel": channel}, why) as (hub, said):
        if moving.release(hub, name, channel, said):
            say.line(f"{channel} of {name} is released: its rule moves it to versions newer than it ever held")
        else:
            say.line(f"{channel} of {name} is not held")
    return Exit.DONE


def yank(given: Path | None, version: str, why: str, endpoint: str | None) -> int:
    """Withdraw a version."""
    if not why.strip():
        raise UsageFaultError("a yank has a reason", f'adapterd yank {version} --reason "..."')
    name, number = _numbered(version)
    with _acting(given, endpoint, "yank", {"reference": version}, why) as (hub, said):
        new = moving.yank(hub, name, number, said)
        say.line(
            f"{name}@v{number} is yanked" + ("; who asks for it by its number still gets it" if new else " already")
        )
    return Exit.DONE


def unyank(given: Path | None, version: str, why: str, endpoint: str | None) -> int:
    """Take a withdrawal back."""
    name, number = _numbered(version)
    with _acting(given, endpoint, "unyank", {"reference": version}, why) as (hub, said):
        gone = moving.unyank(hub, name, number, said)
        say.line(f"{name}@v{number} is {'no longer' if gone else 'not'} yanked")
    return Exit.DONE


def channels(
    given: Path | None, adapter: str, history: str | None, endpoint: str | None, *, every: bool, as_json: bool
) -> int:
    """Show how the channels stand, or what they held."""
    name = _plain(adapter)
    with hub_of(given, endpoint) as hub:
        found = moving.standings(hub, name, history)
    if as_json:
        say.document({"adapter": name, "channels": [_document(each) for each in found]})
    elif history is not None or every:
        rows = [
            (each.channel, _name(move.number), say.when(move.at), _who(move), _what(move), move.reason)
            for each in found
            for move in each.moves
        ]
        say.table(("channel", "version", "since", "by", "how", "why"), rows)
    else:
        say.table(("channel", "version", "since", "by", "why", "held"), [_row(each) for each in found])
    return Exit.DONE


def _row(of: moving.ChannelStanding) -> tuple[str, ...]:
    last = of.moves[0] if of.moves else None
    version = _name(of.number) + (" (yanked)" if of.yanked else "")
    held = f"by {of.hold.actor}: {of.hold.reason}".rstrip(": ") if of.hold else ""
    if last is None:
        return of.channel, version, "", "", "", held
    return of.channel, version, say.when(last.at), _who(last), last.reason, held


def _document(of: moving.ChannelStanding) -> dict[str, Any]:
    return {
        "channel": of.channel,
        "number": of.number,
        "commit": of.head,
        "yanked": of.yanked,
        "hold": asdict(of.hold) if of.hold else None,
        "history": [{**asdict(move), "by_hand": move.by_hand} for move in of.moves],
    }


def _name(number: int | None) -> str:
    return "none" if number is None else f"v{number}"


def _who(move: moving.Move) -> str:
    return move.actor or move.publisher


def _what(move: moving.Move) -> str:
    if move.erased:
        return f"{move.erased} erased"
    return "rollback" if move.rollback else "hand" if move.by_hand else "rule"


def _say_moved(done: moving.Moved) -> None:
    of = f"{done.channel} of {done.adapter} holds v{done.number}"
    if done.done:
        say.line(f"{of} already")
    else:
        say.line(f"{of} now{f', was v{done.was}' if done.was else ''}, commit {done.commit[:12]}")


def _demand_channel(name: str) -> None:
    if wrong := naming.channel_fault(name):
        raise UsageFaultError(f"that is no channel: {wrong}", "`adapterd channels ADAPTER` names those there are")


def _plain(adapter: str) -> str:
    """The name of an adapter, without anything behind it."""
    name = reference_of(adapter).adapter
    if "@" in adapter:
        raise UsageFaultError(f"{adapter} names more than the adapter", f"{name}, and the channel with --channel")
    return name


def _numbered(version: str) -> tuple[str, int]:
    """The adapter and number of ADAPTER@vN."""
    reference = reference_of(version)
    if reference.number is None:
        raise UsageFaultError(f"{version} names no version by its number", f"{reference.adapter}@vN")
    return reference.adapter, reference.number


@contextmanager
def _acting(
    given: Path | None, endpoint: str | None, do: str, arguments: Mapping[str, Any], why: str
) -> Iterator[tuple[Hub, Said]]:
    """The Hub, and who acts there. Where the daemon's host is here, the act is written down and the daemon looks."""
    with hub_of(given, endpoint) as hub:
        outcome = "failed"
        try:
            yield hub, Said(_actor(hub), " ".join(why.split()), time.time())
            outcome = "done"
        finally:
            config = _config_of(given, hub.endpoint)
            if config is not None:
                _tell_host(config, (do, arguments, why), outcome)
        adapter = _adapter_of(arguments)
        name = config.hub.index_repo if config is not None and config.hub.index_repo else index.REPO
        _show(hub, f"{adapter.partition('/')[0]}/{name}", adapter)


def _show(hub: Hub, index_repo: str, adapter: str) -> None:
    """Let the index for deployers show it at once, where there is one."""
    try:
        moving.refresh(hub, index_repo, adapter)
    except NotFound:
        pass  # nobody follows by an index there
    except AdapterdError as error:
        hint = "nothing: it is shown when the daemon next looks"
        say.complain(f"warning: {index_repo} does not show it yet: {error.message}", hint)


def _actor(hub: Hub) -> str:
    """The account's name at the Hub, else the user's here."""
    try:
        return hub.whoami()
    except Denied:
        return getpass.getuser()


def _config_of(given: Path | None, endpoint: str) -> Config | None:
    """The configuration of a daemon of this Hub, where there is one here."""
    path = find(given)
    config = load(path) if path is not None else None
    return config if config is not None and config.hub.endpoint.rstrip("/") == endpoint else None


def _adapter_of(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("adapter") or arguments.get("reference")).partition("@")[0]


def _tell_host(config: Config, asked: tuple[str, Mapping[str, Any], str], outcome: str) -> None:
    """Write an act into the audit log of the daemon's host, and have the daemon look, where this is its host.

    The act itself stands on the Hub, so what cannot be done here is only said.
    """
    at = places(config, os.environ, Path.home())
    do, arguments, why = asked
    if at.audit.parent.is_dir():
        try:
            AuditLog(at.audit).append(Entry(time.time(), os.getuid(), getpass.getuser(), do, arguments, why, outcome))
        except AdapterdError as error:
            say.complain(f"warning: {error.message}", error.hint)
    try:
        with contextlib.suppress(NoDaemonError):
            call(at.socket, "look", {"adapter": _adapter_of(arguments)}, why, _SHORT)
    except AdapterdError as error:
        say.complain(f"warning: the daemon was not told: {error.message}", "nothing: it looks at its next reconcile")
