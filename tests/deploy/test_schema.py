"""The published JSON Schemas accept what adapterd renders, and refuse what schema 1 does not allow."""

import copy
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from adapterd.core import engines, golden, index
from adapterd.core.enginetraits import Facts
from adapterd.core.golden import Golden, Prompt, Reply
from adapterd.core.version import AdapterVersion, Stage
from adapterd.deploy import parse_manifest


def validator(name: str) -> jsonschema.protocols.Validator:
    """A validator for one of the package's schemas, which is itself a valid schema."""
    schema = json.loads((files("adapterd") / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def manifest(rendered: dict[str, Any]) -> dict[str, Any]:
    """A manifest as it would be published, to be changed."""
    return copy.deepcopy(rendered)


def test_a_rendered_manifest_is_valid(manifest: dict[str, Any]) -> None:
    """The manifest of a published version satisfies the schema, and the deployer's own parser."""
    validator("manifest").validate(manifest)
    assert parse_manifest(json.dumps(manifest).encode(), "here").number == 3


def test_a_manifest_says_what_serving_engines_make_of_it(manifest: dict[str, Any]) -> None:
    """What the rules give is valid, and of another word for `takes` the schema says so."""
    served = engines.document(engines.judge(Facts({"r": 8}, "LORA", "CAUSAL_LM", ())))
    manifest["engines"] = served
    validator("manifest").validate(manifest)
    served["vllm"]["takes"] = "maybe"
    with pytest.raises(jsonschema.ValidationError):
        validator("manifest").validate(manifest)


def test_a_manifest_holds_golden_outputs(manifest: dict[str, Any]) -> None:
    """Those that are recorded are valid, of likeliest tokens and of values; a side that is missing is not."""
    speaks = Reply((5, 6), (2.0, 1.0), (-0.5, -1.5), (5,) * 8, None)
    for reply in (speaks, Reply(values=(0.5, 0.25), norm=1.0)):
        made = Golden("CAUSAL_LM", (Prompt((1, 2)),), (reply,), (reply,), "cpu", "float32", 0.1, {"torch": "2"})
        manifest["golden"] = golden.document(made)
        validator("manifest").validate(manifest)
        assert golden.parse(manifest["golden"]) == made
    del manifest["golden"]["prompts"][0]["base"]
    assert not validator("manifest").is_valid(manifest)


def test_unknown_keys_are_allowed_everywhere(manifest: dict[str, Any]) -> None:
    """A later adapterd may add keys within schema 1, at the top and inside."""
    manifest["flavour"] = manifest["peft"]["flavour"] = manifest["report"]["flavour"] = {"sweet": True}
    validator("manifest").validate(manifest)


def change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set a key, given by its dotted path."""

    def do(document: dict[str, Any]) -> None:
        *before, last = path.split(".")
        for key in before:
            document = document[key]
        document[last] = value

    return do


@pytest.mark.parametrize(
    "spoil",
    [
        change("schema", 2),
        change("number", 0),
        change("adapter", "no-namespace"),
        change("identity.digest", "abc"),
        change("files", {}),
        change("files", {"../up": {"sha256": "0" * 64, "size": 1}}),
        change("files", {"/etc/passwd": {"sha256": "0" * 64, "size": 1}}),
        change("files", {"a\\b": {"sha256": "0" * 64, "size": 1}}),
        change("files", {"adapterd.json": {"sha256": "0" * 64, "size": 1}}),
        change("files", {"a": {"sha256": "0" * 64}}),
        change("base.revision", "main"),
        change("peft.rank", "8"),
        change("report.verdict", "fine"),
        change("report.level", "half"),
        change("provenance.final", "yes"),
    ],
)
def test_what_schema_1_does_not_say_is_refused(
    manifest: dict[str, Any], spoil: Callable[[dict[str, Any]], None]
) -> None:
    """Wrong types, unsafe paths, moving revisions and unknown verdicts are no manifest."""
    spoil(manifest)
    assert not validator("manifest").is_valid(manifest)


@pytest.mark.parametrize(
    "key",
    [
        "schema",
        "adapter",
        "publisher",
        "number",
        "identity",
        "files",
        "card",
        "base",
        "peft",
        "provenance",
        "policy",
        "report",
        "serving_name",
    ],
)
def test_no_key_of_schema_1_may_be_missing(manifest: dict[str, Any], key: str) -> None:
    """Every key of the contract but golden and engines is required."""
    del manifest[key]
    assert not validator("manifest").is_valid(manifest)


def test_a_rendered_index_is_valid() -> None:
    """The index document with a published version, and an adapter without one, satisfy their schema."""
    version = AdapterVersion(
        1, "acme/support", "a" * 64, "b" * 64, 1, Stage.PUBLISHED, run="run-1", final=True, number=1, commit="c" * 40
    )
    full = index.adapter_entry("acme/support", "adapterd-1", "acme/base", [version], {"main": 1}, {})
    empty = index.adapter_entry("acme/other", "adapterd-1", "acme/base", [], {}, {})
    document = json.loads(index.document([index.packed(full), index.packed(empty)], 7))
    validator("index").validate(document)
    document["adapters"]["acme/support"]["channels"]["main"] = "1"
    assert not validator("index").is_valid(document)
