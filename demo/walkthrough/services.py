"""The two services on this machine: the embedded Hub and the daemon, each in a process of its own."""

import http.client
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from walkthrough import home as homes
from walkthrough.children import ChildError, Children
from walkthrough.home import Home
from walkthrough.plan import ROOTS, Plan

ADAPTERD = (sys.executable, "-m", "adapterd")
POLL = 0.1
_READY = re.compile(r"^Hub ready: (\S+) token (\S+)$", re.MULTILINE)
_OK = 200


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the embedded Hub is."""

    endpoint: str


def start_hub(children: Children, home: Home) -> None:
    """Start the embedded Hub on a free port."""
    data = str(home.path / "hub")
    command = [*ADAPTERD, "hub", "serve", "--port", "0", "--data", data, "--user", homes.USER]
    children.start("hub", command, home.environ(), out=home.logs / "hub.out")


def wait_for_hub(children: Children, home: Home, until: float) -> Hub:
    """Wait for the line that it prints when it is ready, and keep its token for those who publish and deploy."""
    while True:
        found = _READY.search((home.logs / "hub.out").read_text(encoding="utf-8"))
        if found:
            break
        children.demand_running("hub")
        _pause(until, "the Hub does not get ready")
    descriptor = os.open(home.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(found[2])
    return Hub(found[1])


def start_daemon(children: Children, home: Home, hub: Hub, plan: Plan, run_folder: Path, until: float) -> str:
    """Write the configuration, start `adapterd watch`, wait until it is ready; the address of the status page."""
    port = homes.free_port()
    text = homes.configuration(
        home,
        endpoint=hub.endpoint,
        base=plan.base,
        roots=ROOTS,
        probe_texts=plan.probe_texts,
        run_folder=run_folder,
        port=port,
    )
    home.config.write_text(text, encoding="utf-8")
    for name in ROOTS:
        home.root(name).mkdir(parents=True)
    children.start("daemon", [*ADAPTERD, "watch", "--config", str(home.config)], home.environ())
    while not _answers(port):
        children.demand_running("daemon")
        _pause(until, f"the daemon does not get ready:\n{children.tail('daemon')}")
    return f"http://127.0.0.1:{port}/"


def _answers(port: int) -> bool:
    """Whether the daemon says that it is ready."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == _OK
    except OSError:
        return False
    finally:
        asked.close()


def _pause(until: float, complaint: str) -> None:
    """Wait a moment; ChildError where there is no time left."""
    if time.monotonic() > until:
        raise ChildError(complaint)
    time.sleep(POLL)
