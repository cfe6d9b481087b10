"""The files that are generated from the types; ``python -m adapterd.cli.documents`` writes them."""

import json

from adapterd.config.documents import example, json_schema, reference
from adapterd.config.followpage import follow_example, follow_reference
from adapterd.config.labelpage import labels_reference


def documents() -> dict[str, str]:
    """Give every generated file by its path in the repository."""
    return {
        "config.example.yaml": example(),
        "docs/reference/follow.md": follow_reference(),
        "follow.example.yaml": follow_example(),
        "docs/reference/config.md": reference(),
        "docs/reference/labels.md": labels_reference(),
        "src/adapterd/schemas/config.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }
