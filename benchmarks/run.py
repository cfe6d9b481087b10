"""Measure every figure that the README states, and write them down: `make bench`, or `run.py NAME...` for some.

Each figure has a script, and each script a process of its own.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import figures

HERE = Path(__file__).parent
SCRIPTS = (
    "help_time",
    "hub_requests",
    "promoting",
    "pulling",
    "following",
    "daemon_memory",
    "scan_cost",
    "validating",
    "time_to_tag",
)
RESULTS = HERE / "results.md"
HEAD = """# What was measured

Written by `make bench` on {machine}; load average {before:.1f} before and {after:.1f} after, of which one is its own.
Times depend on the machine, and so do ratios where others compete for it; both sides of a ratio are measured in turn in
one run.

"""


def main() -> int:
    """Run the scripts; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCRIPTS)}; all of them without")
    names = parser.parse_args().names or SCRIPTS
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f"there is no figure {', '.join(sorted(unknown))}")
    before = os.getloadavg()[0]
    found = [figure for name in names for figure in measured(name)]
    written = figures.table(found)
    if set(names) == set(SCRIPTS):
        head = HEAD.format(machine=machine(), before=before, after=os.getloadavg()[0])
        RESULTS.write_text(head + written, encoding="utf-8")
    print(written)
    return int(any(figure.met is False for figure in found))


def measured(name: str) -> list[figures.Figure]:
    """Run one script."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    python_path = os.pathsep.join(filter(None, [str(HERE.parent / "tests"), os.environ.get("PYTHONPATH")]))
    variables = {"PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py")],
        env=os.environ | variables | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return figures.take_over(done.stdout)


def machine() -> str:
    """The machine in a few words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a processor")
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores of {model}, Python {version}"


if __name__ == "__main__":
    sys.exit(main())
