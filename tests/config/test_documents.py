"""Example, reference and schema say what the types say; stale copies are found."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from adapterd.config import Config, example, json_schema, load, parse, reference
from adapterd.config.describe import Shape
from adapterd.config.render import documents

REPOSITORY = Path(__file__).parents[2]
VALID = Path(__file__).parent / "valid"


def uncommented() -> str:
    """Take the example with every key set: a bare # goes away, prose stays."""
    return re.sub(r"^( *)#(?=[^ #\n])", r"\1", example(), flags=re.MULTILINE)


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """List every key that a section can have, with those of the sections in it."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        shape = Shape.of_field(field)
        inner = shape.model or (shape.item.model if shape.item is not None else None)
        names |= {f"{prefix}{name}"} | (keys(inner, f"{prefix}{name}.") if inner else set())
    return names


@pytest.mark.parametrize("name", list(documents()))
def test_generated_files_are_not_stale(name: str) -> None:
    """What is in the repository is what the types generate; `make docs` writes it."""
    assert (REPOSITORY / name).read_text(encoding="utf-8") == documents()[name]


def test_the_example_is_the_default_configuration() -> None:
    """The example loads as it is, and sets nothing but what a minimal file sets."""
    assert parse(example(), "config.example.yaml") == load(VALID / "minimal.yaml")


def test_the_example_loads_with_every_key_set() -> None:
    """Each commented key can be used by taking its # away, and where it shows a default it changes nothing."""
    config = parse(uncommented(), "config.example.yaml")
    default = load(VALID / "minimal.yaml")
    assert (config.settle, config.schedule, config.status, config.log) == (
        default.settle,
        default.schedule,
        default.status,
        default.log,
    )
    assert config.channels.items() >= default.channels.items()
    assert config.channels.keys() - default.channels.keys() == {"stable"}  # shows the keys that those leave out
    assert config.base_models


def test_the_example_has_every_key() -> None:
    """No key of the types is missing from the example."""
    text = uncommented()
    for key in keys(Config):
        name = key.rpartition(".")[2]
        assert re.search(rf"^ *(- )?{name}:|{{{name}: ", text, re.MULTILINE), key


def test_the_reference_has_every_key_with_its_meaning() -> None:
    """Each key has a row, and no cell of a row is empty."""
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) == len(keys(Config))
    for row in rows:
        assert all(cell.strip() for cell in row.strip("|").split(" | ")), row


def test_every_link_of_the_reference_has_its_heading() -> None:
    """The links between the tables lead somewhere."""
    text = reference()
    anchors = {re.sub(r"[^a-z_]", "", line.casefold()) for line in text.splitlines() if line.startswith("## `")}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) == anchors


def test_the_schema_refuses_unknown_keys_and_shows_human_units() -> None:
    """Editors flag unknown keys, and see durations and sizes as people write them."""
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values())
    settle = schema["$defs"]["Settle"]["properties"]
    assert settle["quiet"]["default"] == "5s"
    assert settle["max_size"]["default"] == "20GiB"
    assert re.search(settle["quiet"]["pattern"], "1h30m")
    assert not re.search(settle["quiet"]["pattern"], "90")
    assert schema["required"] == ["hub", "roots"]


def test_the_schema_lets_a_heading_stand_alone() -> None:
    """A section whose keys are all commented out is no error in an editor either."""
    assert {"type": "null"} in json_schema()["properties"]["settle"]["anyOf"]
