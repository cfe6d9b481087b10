"""In a program that uses the Hub's library itself, adapterd is a guest: it leaves that library as it found it."""

import subprocess
import sys

PROGRAM = """
import logging
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import are_progress_bars_disabled
import adapterd

def settings():
    names = ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET")
    levels = [logging.getLogger(name).level for name in ("huggingface_hub", "httpx2")]
    return [getattr(constants, name) for name in names], levels, are_progress_bars_disabled()

huggingface_hub.utils.logging.get_verbosity()  # from here on the library has set up its own logger
before = settings()
found = adapterd.resolve("acme/sentiment-es@v1")
assert settings() == before, (before, settings())
# Private: without the ambient token there is nothing to be had.
huggingface_hub.hf_hub_download("acme/sentiment-es", "adapterd.json", revision=found.commit)
print(found.tag)
"""


def test_the_programs_own_downloads_keep_their_token(shell: dict[str, str]) -> None:
    """After adapterd was used, the library still sends the ambient token, and bars, log lines and xet are as before."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "v1\n"), done.stderr
