"""Pulls in child processes, each of which kills itself before its n-th touch of the file system; for `test_killed.py`.

A process of its own, since only one without threads may fork: reads one line of JSON for each pull, answers with how
it ended.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, Shelf, bring
from adapterd.hub.client import HubClient

TOUCHES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.truncate", "shutil.rmtree"}
EXCHANGE = "ctypes.dlsym"
"""Looked up right before two directories are exchanged."""


def main() -> None:
    """Fork for each line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_pull(json.loads(line)))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _pull(order: Mapping[str, Any]) -> int:
    shelf = Shelf(Path(order["directory"]), Layout(order["layout"]))
    hub = HubClient(order["endpoint"], order["token"], xet=False, ca_file=None, proxy=None, deadline=20.0)
    left = order["touches"]
    near = str(shelf.directory.parent)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        touched = event in TOUCHES and str(arguments[0]).startswith(near)
        if touched or (event == EXCHANGE and arguments[1] == "renameat2"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        held = bring(hub, parse_reference(order["adapter"]), shelf, lambda _: None, now=1.0).held
        if shelf.layout is Layout.VLLM:
            shelf.link("support", held.serving_name)
        shelf.tidy(order["keep"], but=[held.serving_name])
    except Exception:  # noqa: BLE001 - a child that was forked ends here
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
