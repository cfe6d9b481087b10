"""Feed nonsense to every parser: `make fuzz`. Exit 1 if one of them raises what it must not.

With atheris installed the fuzzer follows the parser's branches (libFuzzer); without it, changes are blind.
"""

import argparse
import importlib.util
import logging
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from durability.mutations import mutated
from durability.targets import TARGETS, Target

MOST_BYTES = 1 << 16


def main() -> int:
    """Fuzz each target for so many seconds, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="for each parser (default: 60)")
    parser.add_argument("--only", metavar="NAME", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=0, help="of the blind fuzzer")
    parser.add_argument("--guided", metavar="NAME", choices=sorted(TARGETS), help=argparse.SUPPRESS)
    # What stands behind `--` is libFuzzer's; argparse takes the mark itself from some releases on, and not from others.
    given = sys.argv[1:]
    asked = parser.parse_args(given[: given.index("--")] if "--" in given else given)
    logging.disable()  # what libraries remark on nonsense
    if asked.guided:
        return _follow(asked.guided)
    guided = importlib.util.find_spec("atheris") is not None
    crashed = False
    sys.stdout.write(f"{'parser':16} {'inputs':>10} {'taken':>9}  crash   ({'guided' if guided else 'blind'})\n")
    for name in [asked.only] if asked.only else sorted(TARGETS):
        tried, taken, crash = blind(TARGETS[name], asked.seconds / (4 if guided else 1), asked.seed)
        if guided and not crash:
            more, crash = _guide(name, asked.seconds * 3 / 4)
            tried += more
        crashed |= bool(crash)
        sys.stdout.write(f"{name:16} {tried:10} {taken:9}  {'YES' if crash else 'no'}\n{crash}")
        sys.stdout.flush()
    return int(crashed)


def blind(target: Target, seconds: float, seed: int) -> tuple[int, int, str]:
    """Try random documents for some seconds: how many, how many of them were taken, and the first crash."""
    choice = random.Random(seed)  # noqa: S311 - no secret
    tried = taken = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(target.seeds, target.words, choice)
        tried += 1
        try:
            taken += target(data)
        except Exception:  # noqa: BLE001 - what is looked for
            return tried, taken, f"{data!r}\n{traceback.format_exc()}"
    return tried, taken, ""


def _guide(name: str, seconds: float) -> tuple[int, str]:
    """Run the guided fuzzer in a process of its own: libFuzzer ends the process that it runs in."""
    with tempfile.TemporaryDirectory(prefix="adapterd-fuzz-") as folder:
        home = Path(folder)
        corpus, words = home / "corpus", home / "words"
        corpus.mkdir()
        for number, seed in enumerate(TARGETS[name].seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        pieces = ("".join(f"\\x{byte:02x}" for byte in word) for word in TARGETS[name].words)
        words.write_text("".join(f'"{piece}"\n' for piece in pieces))
        flags = [
            f"-max_total_time={seconds:.0f}",
            f"-max_len={MOST_BYTES}",
            *([f"-dict={words}"] if TARGETS[name].words else []),
            f"-artifact_prefix={home}/",
        ]
        command = [sys.executable, "-m", "durability.fuzz", "--guided", name, "--", *flags, "-verbosity=0"]
        command += ["-print_final_stats=1", str(corpus)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        said = done.stdout + done.stderr
        crashes = [
            f"{path.read_bytes()!r}\n" for path in home.iterdir() if path.name.startswith(("crash-", "timeout-"))
        ]
    tried = [line.rpartition(":")[2] for line in said.splitlines() if "number_of_executed_units" in line]
    count = int(tried[0]) if tried else 0
    return count, "".join(crashes) + (said if done.returncode else "")


def _follow(name: str) -> int:
    """Be the guided fuzzer's process: libFuzzer takes what stands behind ``--``, and never comes back."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415 - only `make fuzz` installs it

    target = TARGETS[name]
    atheris.instrument_all()

    def one(data: bytes) -> None:
        target(data)

    atheris.Setup([sys.argv[0], *sys.argv[sys.argv.index("--") + 1 :]], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
