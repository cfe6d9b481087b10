"""Writes the files that are generated from the types: ``python -m adapterd.config.render [--check]``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from adapterd.config.documents import example, json_schema, reference


def documents() -> dict[str, str]:
    """Give every generated file by its path in the repository."""
    return {
        "config.example.yaml": example(),
        "docs/reference/config.md": reference(),
        "src/adapterd/schemas/config.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` name the stale ones and return 1."""
    parser = argparse.ArgumentParser(prog="python -m adapterd.config.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    stale = 0
    for name, text in documents().items():
        path: Path = options.root / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if options.check:
            sys.stderr.write(f"{name} is stale\nTry: python -m adapterd.config.render\n")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {name}\n")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
