"""Sudden death: what was acknowledged is there, and what is there is whole."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

from adapterd.core.version import Stage
from adapterd.registry import acquire, open_registry

WRITER = Path(__file__).with_name("crash_writer.py")
KILLS = 4


def _killed_after(path: Path, lines: int) -> list[list[str]]:
    """Let the writer say so many lines, kill it, and return all that it said."""
    with subprocess.Popen([sys.executable, WRITER, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if len(said) == lines:
                    break
        finally:
            process.kill()
        said += process.stdout.readlines()
    # A last line without an end was cut off by the kill.
    return [line.split() for line in said if line.endswith("\n")]


def test_killed_again_and_again(path: Path) -> None:
    """After any number of kills every acknowledged move is in the registry, and the next process goes on."""
    chance = random.Random(2)  # noqa: S311 - where to kill, not a secret
    said: list[list[str]] = []
    for _ in range(KILLS):
        said += _killed_after(path, chance.randint(1, 30))
        with sqlite3.connect(path) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
        conn.close()
    with acquire(path), open_registry(path) as registry:
        for what, row, *number in said:
            kinds = [event.kind for event in registry.events(int(row))]
            assert what in kinds
            if number:
                version = registry.version(int(row))
                assert version is not None
                assert version.number == int(number[0])
        versions = registry.versions()
        assert len([v for v in versions if v.stage is Stage.PUBLISHED]) >= len([s for s in said if s[0] == "published"])
        # What was in the dead one's hands is free at once for whoever has the lock now.
        ended = registry.reclaim("lane")
        assert ended == len([v for v in versions if v.lease_until])
        assert not any(v.lease_until for v in registry.versions())
