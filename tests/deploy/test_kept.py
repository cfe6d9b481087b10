"""Documents of every schema that was ever published are read for ever; these files are never rewritten."""

import json
from pathlib import Path

from adapterd.core import index
from adapterd.core.publication import git_blob
from adapterd.deploy import parse_manifest
from adapterd.deploy.catalogue import parse_catalogue, parse_entry
from deploy.test_schema import validator

KEPT = Path(__file__).parent / "kept"


def test_a_manifest_of_schema_1() -> None:
    """Its parser and its JSON Schema take it."""
    data = (KEPT / "manifest-1.json").read_bytes()
    validator("manifest").validate(json.loads(data))
    found = parse_manifest(data, "here")
    assert (found.adapter, found.number, len(found.files)) == ("acme/support", 3, 3)


def test_an_index_of_schema_1() -> None:
    """Index and part are read, and the one follows from the other."""
    part, data = json.loads((KEPT / "part-1.json").read_bytes()), (KEPT / "index-1.json").read_bytes()
    validator("index").validate(json.loads(data))
    entry = parse_catalogue(data, "here").entry("acme/support")
    assert entry.channels == {"main": 15, "stable": 2}
    assert (entry.count, sorted(entry.versions)) == (15, [1, 2, *range(6, 16)])
    blob = git_blob((KEPT / "part-1.json").read_bytes())
    assert data == index.gathered({"adapters/support.json": index.summary(part, blob)})


def test_a_part_from_before_verdicts_and_holds() -> None:
    """The first parts told neither; they are whole parts all the same."""
    part = json.loads((KEPT / "part-1-first.json").read_bytes())
    validator("index").validate({"schema": 1, "adapters": {"acme/support": part}})
    entry = parse_entry(part, "here")
    assert (entry.holds, entry.versions[1].yanked, entry.versions[1].published) == ({}, True, None)
