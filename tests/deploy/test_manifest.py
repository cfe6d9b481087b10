"""A manifest is read strictly where a mistake could harm the deployer, and openly elsewhere."""

import json
from typing import Any

import pytest

from adapterd.deploy import NewerSchemaError, VerificationError, parse_manifest

GOOD = {"sha256": "0" * 64, "size": 1}


def manifest(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The keys that a deployer needs, with changes."""
    document = {
        "schema": 1,
        "adapter": "acme/support",
        "number": 3,
        "identity": {"digest": "a" * 64},
        "base": {"id": "acme/base", "revision": "local"},
        "serving_name": "acme-support@v3-aaaaaaa",
        "files": {"adapter_config.json": GOOD, "a/b.jinja": GOOD, "..odd": GOOD},
    }
    return json.dumps(document | changes).encode()


def test_what_a_deployer_needs_is_read() -> None:
    """Other keys are not asked for, and unknown ones are ignored."""
    found = parse_manifest(manifest(flavour={"sweet": True}), "here")
    assert (found.adapter, found.number, found.identity) == ("acme/support", 3, "a" * 64)
    assert found.files["a/b.jinja"] == ("0" * 64, 1)


def test_a_newer_schema_stops() -> None:
    """It is never half understood; the hint is to upgrade."""
    with pytest.raises(NewerSchemaError, match="upgrade"):
        parse_manifest(manifest(schema=2), "here")


@pytest.mark.parametrize(
    "change",
    [
        {"number": "1"},
        {"number": 0},
        {"number": True},
        {"schema": True},
        {"schema": None},
        {"schema": 0},
        {"files": {}},
        {"files": ["adapter_config.json"]},
        {"identity": {"digest": "abc"}},
        {"identity": {}},
        {"adapter": 7},
        {"base": None},
        {"base": {"id": 7, "revision": "local"}},
        {"files": {"../up": GOOD}},
        {"files": {"a/../../up": GOOD}},
        {"files": {"..": GOOD}},
        {"files": {"/etc/passwd": GOOD}},
        {"files": {"a\\b": GOOD}},
        {"files": {"a//b": GOOD}},
        {"files": {"./a": GOOD}},
        {"files": {"a/": GOOD}},
        {"files": {"": GOOD}},
        {"files": {"a\u0000b": GOOD}},
        {"files": {"a\nb": GOOD}},
        {"files": {"a": GOOD, "a/b": GOOD}},
        {"files": {"adapterd.json": GOOD}},
        {"files": {"a": {"sha256": "0" * 63, "size": 1}}},
        {"files": {"a": {"sha256": "0" * 64, "size": -1}}},
        {"files": {"a": {"sha256": "0" * 64, "size": 1.5}}},
        {"files": {"a": {"sha256": "0" * 64}}},
    ],
)
def test_a_manifest_that_is_wrong_is_refused(change: dict[str, object]) -> None:
    """No path may leave the directory or hide in another, no digest or number may be missing or of another type."""
    with pytest.raises(VerificationError):
        parse_manifest(manifest(**change), "here")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b"{}"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    """Whatever bytes lie there, the answer is the same error."""
    with pytest.raises(VerificationError):
        parse_manifest(data, "here")
