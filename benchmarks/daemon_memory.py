"""Figure: memory and work of the daemon at rest, with 1,000 adapter directories known."""

import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import figures
from helpers.adapters import write_adapter
from host import BASE, Daemon, Host, daemon, until

DIRECTORIES = 1000
LIMIT = 80.0
SCANS = 100
"""Scans before it is left in peace: memory grows for a while, until the allocator has what a scan needs."""
REST = 60.0
"""Seconds of rest over which the processor time is counted."""


def main() -> None:
    """Write the directories, start a daemon over them, let it rest, look."""
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        # Nobody listens there, and nobody is asked: what was there at the first scan is not published.
        host = Host(Path(folder), "http://127.0.0.1:9")
        for number in range(DIRECTORIES):
            run, checkpoint = divmod(number, 10)
            write_adapter(host.root / f"support-{run:03d}" / f"checkpoint-{checkpoint + 1}00", seed=number, base=BASE)
        walk = statistics.median(_timed_walk(host.root) for _ in range(9))
        with daemon(host) as running:
            page = str(running.said("status_page_on")[0]["url"])
            known = f'"known":{DIRECTORIES}'
            until(lambda: known in read(page + "status.json").replace(" ", ""), "all are known", running.process)
            for _ in range(SCANS):
                _scan_once(host, page, running)
            for path in ("", "status.json", "metrics", "healthz", "readyz"):
                read(page + path)
            before = processor_seconds(running)
            time.sleep(REST)
            busy = processor_seconds(running) - before
            memory = memory_of(running)
            scan = float(re.findall(r'"scan_seconds": *([\d.]+)', read(page + "status.json"))[0])
    figures.hand_over(
        [
            figures.at_most(
                f"resident memory of the daemon at rest, {DIRECTORIES:,} adapter directories known",
                memory["VmRSS"],
                LIMIT,
                "MiB",
                note=f"of it anonymous {memory['RssAnon']:.1f}, proportional share {memory['Pss']:.1f}",
            ),
            figures.Figure("processor time of that daemon at rest", f"{100 * busy / REST:.2f} % of one core"),
            figures.Figure(
                "one scan of those directories, against a bare os.scandir walk with a stat of each file",
                f"{scan / walk:.1f} times ({1000 * scan:.0f} ms)",
            ),
        ]
    )


def _scan_once(host: Host, page: str, running: Daemon) -> None:
    """Wake the daemon with a file that is none of its business, and wait for its scan."""
    before, note = _turns(page), host.root / "note"
    note.touch()
    until(lambda: _turns(page) > before, "it has looked", running.process, pause=0.02)
    note.unlink()


def _turns(page: str) -> int:
    """How often the intake lane has turned."""
    return int(json.loads(read(page + "status.json"))["daemon"]["lanes"]["intake"]["turns"])


def read(url: str) -> str:
    """What a page of the daemon says."""
    with urlopen(url) as answer:  # noqa: S310 - the address that the daemon named
        return str(answer.read().decode())


def memory_of(running: Daemon) -> dict[str, float]:
    """From /proc, in MiB."""
    place = Path(f"/proc/{running.process.pid}")
    text = (place / "status").read_text() + (place / "smaps_rollup").read_text()
    return {
        name: int(re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[0]) / 1024
        for name in ("VmRSS", "RssAnon", "Pss")
    }


def processor_seconds(running: Daemon) -> float:
    """User and system time of the process so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _timed_walk(root: Path) -> float:
    began = time.perf_counter()
    stack = [str(root)]
    while stack:
        with os.scandir(stack.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
