"""The demo is no package: its parts are found where its scripts find them, beside these."""

import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "demo"

sys.path.append(str(DEMO))
