"""The same as the pages, as JSON: `/status.json`, schema 1."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from adapterd.core import pushes
from adapterd.core.verdict import jsonable
from adapterd.status.view import Item, Line, Overview

SCHEMA = 1


def render(view: Overview) -> bytes:
    """The front page's document."""
    document = {
        "schema": SCHEMA,
        "at": view.now,
        "daemon": view.health,
        "counts": view.counts,
        "generation": view.generation,
        "stalled": [_item(item) for item in view.stalled],
        "waiting": [_item(item) for item in view.waiting],
        "versions": [_version(line) for line in view.newest],
        "channels": [asdict(channel) for channel in view.channels],
        "next_push": pushes.document(view.next_push),
    }
    return json.dumps(jsonable(document), indent=2).encode() + b"\n"


def _item(item: Item) -> Mapping[str, Any]:
    """Something that stands still."""
    return asdict(item)


def _version(line: Line) -> Mapping[str, Any]:
    """One version."""
    version = line.version
    return {
        "adapter": version.adapter,
        "version": version.label,
        "number": version.number,
        "commit": version.commit,
        "identity": version.identity,
        "stage": version.stage.value,
        "stalled": version.stalled,
        "run": version.run,
        "step": version.step,
        "final": version.final,
        "reason": version.reason,
        "message": version.message,
        "hint": version.hint,
        "due_at": version.due_at,
        "updated_at": version.updated_at,
        "measurements": line.measurements,
    }
