"""The mirror: what every channel holds, as plain folders on a mount, for hosts that know no Hub.

``DIR/namespace/name/v3`` is a version, put in place whole; ``DIR/namespace/name/main`` is a link to it.
Level-triggered, beside the line, in a lane of its own: a mount that hangs holds up nothing else.
"""

import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import cast

from adapterd import deploy
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import Reference, tag_number
from adapterd.core.publication import MANIFEST
from adapterd.core.standing import erased_numbers
from adapterd.deploy import OccupiedError, Resolved
from adapterd.health import Health
from adapterd.log import get_logger
from adapterd.ports import ChannelRecord, Hub, RepoRecord
from adapterd.steps.host import Host

log = get_logger(__name__)

FORMER = 2
"""Versions that stay although no channel holds them, the newest of each adapter: somebody may still read them."""
IDLE = 3600.0
PROBLEM = "mirror_behind"


class Mirror:
    """The lane: each turn it compares the folder with the channels as last known, and mends what differs."""

    def __init__(self, host: Callable[[], Host], health: Health) -> None:
        """Nothing was compared yet."""
        self._host = host
        self._health = health
        self._failures = 0
        self.stopping = threading.Event()

    def turn(self) -> float:
        """Mend what differs; seconds until the next look."""
        host = self._host()
        if host.config.mirror is None:
            self._health.problems.pop(PROBLEM, None)
            return IDLE
        problems = [*self._mend(host, Path(host.config.mirror))]
        if not problems:
            self._failures = 0
            self._health.problems.pop(PROBLEM, None)
            return host.config.schedule.scan
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        said = (f"the mirror is behind: {problems[0].message}{more}", problems[0].hint)
        if self._health.problems.get(PROBLEM) != said:
            log.warning("mirror_behind", message=said[0], hint=said[1])
        self._health.problems[PROBLEM] = said
        self._failures += 1
        schedule = host.config.schedule
        return min(schedule.backoff * 2.0 ** min(self._failures, 30), schedule.backoff_max)

    def _mend(self, host: Host, folder: Path) -> Iterable[AdapterdError]:
        """Bring each adapter's folder up to date; what went wrong, an adapter at a time."""
        if not folder.is_dir():
            yield AdapterdError(
                f"{folder} is not there", "mount it, or make it; adapterd makes only what lies below it"
            )
            return
        records = sorted(host.registry.channels(), key=lambda record: (record.adapter, record.channel))
        for adapter, group in groupby(records, key=lambda record: record.adapter):
            if self.stopping.is_set():
                return
            channels = [record for record in group if record.number is not None]
            for record in channels:
                try:
                    self._channel(host, folder, record)
                except AdapterdError as error:
                    yield error
                except OSError as error:
                    yield _unwritable(folder / adapter, error)
            try:
                _tidy(host, folder / adapter, channels)
            except OSError as error:
                yield _unwritable(folder / adapter, error)

    def _channel(self, host: Host, folder: Path, record: ChannelRecord) -> None:
        """Lay the channel's version beside its link where it is not there yet, then turn the link."""
        home, tag = folder / record.adapter, f"v{record.number}"
        link = home / record.channel
        there = str(link.readlink()) if link.is_symlink() else ""
        if there == tag and (home / tag / MANIFEST).is_file():
            return
        hub = host.hub()
        found = deploy.resolve(hub, Reference(record.adapter, number=record.number))
        _folders(folder, home)
        source = cast("Hub", _Near(hub, _snapshot(host, record), found))  # pulling only downloads
        try:
            deploy.pull(source, found, home / tag, lambda _: None, force=True)
        except OccupiedError as error:
            raise AdapterdError(error.message, f"move {home / tag} away; the mirror lays the version there") from error
        _open(home / tag)
        deploy.point(link, tag)
        self._health.count("version_mirrored")
        log.info("version_mirrored", adapter=record.adapter, channel=record.channel, number=record.number)


class _Near:
    """Downloads from the spool what lies there, and the rest from the Hub."""

    def __init__(self, hub: Hub, payload: Path | None, version: Resolved) -> None:
        self._hub = hub
        self._payload = payload
        self._version = version

    def download(self, repo: str, revision: str, path: str, target: str) -> None:
        """Write one file to `target`, with the bytes that the manifest names."""
        if self._payload is not None:
            try:
                shutil.copyfile(self._payload / path, target)
                with Path(target).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == self._version.files[path][0]:
                        os.fsync(file.fileno())
                        return
            except FileNotFoundError:
                pass
        self._hub.download(repo, revision, path, target)


def _snapshot(host: Host, record: ChannelRecord) -> Path | None:
    """Where the version lies in the spool, if it still does."""
    version = host.registry.find(record.adapter, number=record.number)
    if version is None or not host.spool.holds(version.adapter, version.tree):
        return None
    return host.spool.payload(version.adapter, version.tree)


def _tidy(host: Host, home: Path, channels: list[ChannelRecord]) -> None:
    """Remove links of channels that hold nothing, and versions that nobody needs; never what we did not make."""
    if not home.is_dir():
        return
    names, held = {record.channel for record in channels}, {record.number for record in channels}
    erased = erased_numbers((host.registry.repo(home.parent.name + "/" + home.name) or RepoRecord("")).standing)
    laid = {}
    for entry in home.iterdir():
        number = tag_number(entry.name)
        if entry.is_symlink():
            if entry.name not in names and tag_number(str(entry.readlink())) is not None:
                entry.unlink()
        elif number is not None and (entry / MANIFEST).is_file():
            laid[number] = entry
    former = sorted((number for number in laid if number not in held | erased), reverse=True)[:FORMER]
    for number in laid.keys() - held - set(former):
        shutil.rmtree(laid[number])
        log.info("mirrored_version_removed", directory=str(laid[number]))


def _folders(top: Path, home: Path) -> None:
    """Make the folders of namespace and name, readable for all who may come this far."""
    for folder in (home.parent, home):
        if folder != top and not folder.is_dir():
            folder.mkdir()
            _readable(folder, 0o055)


def _open(place: Path) -> None:
    """Let others read a version: the daemon itself writes for its user alone."""
    _readable(place, 0o055)
    for path in place.rglob("*"):
        _readable(path, 0o055 if path.is_dir() else 0o044)


def _readable(path: Path, bits: int) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)


def _unwritable(home: Path, error: OSError) -> AdapterdError:
    return AdapterdError(
        f"{error.filename or home}: {error.strerror or error}",
        "let the user of adapterd write there, where links can be made; under systemd name it as ReadWritePaths",
    )
