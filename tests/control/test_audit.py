"""The audit log: on disk, chained, and whole after whatever happened to it."""

import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapterd.audit import AuditLog, Entry
from adapterd.core.errors import AdapterdError

ENTRY = Entry(1_760_000_000.5, 1000, "ada", "retry", {"adapter": "acme/ä@v3"}, "disk\nwas full", "2 versions go on")


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log without entries."""
    return AuditLog(tmp_path / "audit.jsonl")


def lines(log: AuditLog) -> list[Any]:
    """The entries, as JSON."""
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def last(log: AuditLog) -> Any:  # noqa: ANN401 - any JSON value
    """The last entry."""
    return json.loads(log.path.read_bytes().splitlines()[-1])


def test_an_entry_says_who_did_what_and_why(log: AuditLog) -> None:
    """One line of JSON per act; the second vouches for the first."""
    log.append(ENTRY)
    log.append(replace(ENTRY, do="adopt"))
    first, second = lines(log)
    assert first == {
        "schema": 1,
        "at": 1_760_000_000.5,
        "uid": 1000,
        "user": "ada",
        "do": "retry",
        "arguments": {"adapter": "acme/ä@v3"},
        "reason": "disk\nwas full",
        "outcome": "2 versions go on",
        "prev": "0" * 64,
    }
    assert second["do"] == "adopt"
    assert second["prev"] == hashlib.sha256(log.path.read_bytes().splitlines()[0]).hexdigest()
    assert log.broken_at() is None


def test_the_log_is_the_owners_alone(log: AuditLog) -> None:
    """Mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        log.append(ENTRY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_is_left_behind(log: AuditLog, cut: int) -> None:
    """A crash in the middle of a line costs that line; the next entry stands on its own and the chain holds."""
    log.append(ENTRY)
    log.append(ENTRY)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-cut])
    assert log.broken_at() is None
    log.append(replace(ENTRY, do="adopt"))
    assert log.path.read_bytes().startswith(whole[:-cut] + b"\n")
    assert last(log)["do"] == "adopt"
    assert log.broken_at() is None


def test_torn_lines_in_a_row_hide_nothing(log: AuditLog) -> None:
    """Crash upon crash: what stands before the torn lines is still vouched for."""
    log.append(ENTRY)
    with log.path.open("ab") as file:
        file.write(b'{"schema":1,"at\n{"sch')
    log.append(ENTRY)
    assert log.broken_at() is None
    log.path.write_bytes(log.path.read_bytes().replace(b"ada", b"eve", 1))
    assert log.broken_at() == 4


def test_a_log_that_begins_torn_goes_on(log: AuditLog) -> None:
    """The very first line was cut short."""
    log.path.write_bytes(b'{"schema":1')
    log.append(ENTRY)
    assert log.broken_at() is None
    assert last(log)["prev"] == hashlib.sha256(b'{"schema":1').hexdigest()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda found: [found[0].replace(b"ada", b"eve"), *found[1:]], 2),
        (lambda found: [found[0], found[2]], 2),
        (lambda found: [found[1], found[2]], 1),
        (lambda found: [found[0], found[0], *found[1:]], 2),
        (lambda found: [found[0], b'{"schema":1}', *found[1:]], 3),
        (lambda found: [found[0], b"", *found[1:]], 3),
    ],
)
def test_a_changed_log_is_noticed(log: AuditLog, change: Any, line: int) -> None:  # noqa: ANN401 - a function of lines
    """A line changed, left out, doubled or slipped in: the entry behind it tells."""
    for n in range(3):
        log.append(replace(ENTRY, do=f"do-{n}"))
    log.path.write_bytes(b"\n".join(change(log.path.read_bytes().splitlines())) + b"\n")
    assert log.broken_at() == line


def test_long_lines_are_chained_too(log: AuditLog) -> None:
    """The end of the file is found whatever its last line's length."""
    for size in (65_000, 70_000, 131_072, 1, 1_000_000, 3):
        log.append(replace(ENTRY, reason="x" * size))
    assert log.broken_at() is None
    assert len(lines(log)) == 6


def test_threads_and_processes_keep_one_chain(log: AuditLog) -> None:
    """The daemon's clients, and a command line that runs without a daemon, may write at once."""
    program = (
        "import sys; from pathlib import Path; from adapterd.audit import AuditLog, Entry\n"
        "for n in range(20): AuditLog(Path(sys.argv[1])).append(Entry(0.0, 0, 'root', 'adopt', {}, '', str(n)))"
    )
    others = [subprocess.Popen([sys.executable, "-c", program, str(log.path)]) for _ in range(2)]

    def write() -> None:
        """Add entries."""
        for _ in range(10):
            log.append(ENTRY)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(30) for other in others] == [0, 0]
    assert len(lines(log)) == 80
    assert log.broken_at() is None


def test_a_full_disk_is_said_and_the_log_goes_on_afterwards(log: AuditLog) -> None:
    """Here a file size limit: half a line lands, the error has a hint, and the next entry is whole."""
    log.append(ENTRY)
    program = (
        "import resource, signal, sys; from pathlib import Path; from adapterd.audit import AuditLog, Entry\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: AuditLog(Path(sys.argv[1])).append(Entry(0.0, 0, 'root', 'adopt', {}, '', ''))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    limit = log.path.stat().st_size + 30
    command = [sys.executable, "-c", program, str(log.path), str(limit)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.startswith(f"AdapterdError the audit log {log.path} cannot be used: File too large\nTry: ")
    assert log.path.stat().st_size == limit
    log.append(ENTRY)
    assert log.broken_at() is None
    assert len(log.path.read_bytes().splitlines()) == 3


def test_a_log_that_cannot_be_opened_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """A folder that is not there, and a link that leads elsewhere, which is never followed."""
    with pytest.raises(AdapterdError, match="No such file or directory") as caught:
        AuditLog(tmp_path / "gone" / "audit.jsonl").append(ENTRY)
    assert "write to its folder" in caught.value.hint
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    (tmp_path / "audit.jsonl").symlink_to(elsewhere)
    with pytest.raises(AdapterdError, match="cannot be used"):
        AuditLog(tmp_path / "audit.jsonl").append(ENTRY)
    assert elsewhere.read_text() == ""


def test_descriptors_are_given_back(log: AuditLog) -> None:
    """A daemon that runs for months writes many entries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 20, hard))
    try:
        for _ in range(50):
            log.append(ENTRY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(lines(log)) == 50
