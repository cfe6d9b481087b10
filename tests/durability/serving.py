"""An embedded Hub in a process of its own, as `adapterd hub serve` runs it."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from helpers.hosts import NAMESPACE, TOKEN


@contextlib.contextmanager
def serving(data: Path) -> Iterator[str]:
    """Serve a data directory on a free port of loopback; the address."""
    command = [sys.executable, "-m", "adapterd", "hub", "serve", "--data", str(data), "--port", "0"]
    command += ["--user", NAMESPACE, "--token", TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        assert hub.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", hub.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            hub.terminate()
