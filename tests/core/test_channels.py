"""Channels follow their rules, and the index shows what is published."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapterd.core import channels, index
from adapterd.core.channels import Rule
from adapterd.core.version import AdapterVersion, Stage

OWN = ("adapterd.json", "README.md", ".gitattributes")


def version(number: int | None, *, final: bool = True, stage: Stage = Stage.PUBLISHED) -> AdapterVersion:
    """A version by its number, which is its row too."""
    commit = f"{number:040x}" if number else None
    return AdapterVersion(
        number or 99,
        "acme/support",
        f"{number or 0:064x}",
        "t" * 64,
        number or 99,
        stage,
        number=number,
        commit=commit,
        final=final,
    )


VERSIONS = [
    version(1),
    version(2),
    version(3, final=False),
    version(4, final=False),
    version(None, stage=Stage.VALIDATED),
]


@pytest.mark.parametrize(
    ("rule", "highest", "standing", "number"),
    [
        (Rule.FINALS, 0, {}, 2),
        (Rule.FINALS, 1, {}, 2),
        (Rule.FINALS, 2, {}, None),
        (Rule.FINALS, 3, {}, None),
        (Rule.FINALS, 0, {"yanks": [{"number": 2}]}, 1),
        (Rule.FINALS, 0, {"yanks": [{"number": 1}, {"number": 2}]}, None),
        (Rule.FINALS, 0, {"erasures": [{"identity": "x", "number": 2}]}, 1),
        (Rule.FINALS, 0, {"yanks": "nonsense", "holds": {"channel": "main"}}, 2),
        (Rule.CANDIDATES, 0, {}, 3),
        (Rule.CANDIDATES, 3, {}, None),
        (Rule.MANUAL, 0, {}, None),
    ],
)
def test_rules(rule: Rule, highest: int, standing: dict[str, Any], number: int | None) -> None:
    """An automatic rule takes what is newer than all it held, neither yanked nor erased, and of its kind."""
    found = channels.suited(rule, VERSIONS, highest, standing, {3})
    assert (found[0].number if found else None) == number


def test_a_checkpoint_never_goes_where_finals_go() -> None:
    """A checkpoint is newer than the last final, and is still not promoted to `main`."""
    assert channels.suited(Rule.FINALS, [version(9, final=False)], 0, {}, {9}) == ()


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("adapter_model.safetensors", True),
        ("model.safetensors", True),
        ("sub/pytorch_model.bin", True),
        ("config.json", True),
        ("tokenizer.json", True),
        ("modeling_custom.py", True),
        ("docs/data.json", False),
        ("notes.md", False),
        ("image.png", False),
    ],
)
def test_what_a_loader_reads(path: str, *, read: bool) -> None:
    """Weights, configs, tokenizers, pickles and code change what a deployer gets; pictures and notes do not."""
    assert channels.loader_reads(path) is read


def test_drift_is_what_a_loader_would_read() -> None:
    """A person's files stay on a channel, but not those that would change the model."""
    there = ["adapter_config.json", "notes.md", "config.json", *OWN]
    assert channels.drift(there, ["adapter_config.json"], OWN) == ("config.json",)


def test_the_index_shows_published_versions() -> None:
    """Published versions by tag and channels by name, in a fixed order; a yank is told."""
    entry = index.adapter_entry(
        "acme/support", "publisher-a", "acme/base", reversed(VERSIONS), {"main": 2}, {"yanks": [{"number": 1}]}
    )
    assert entry["channels"] == {"main": "v2"}
    assert list(entry["versions"]) == ["v1", "v2", "v3", "v4"]
    assert [v["yanked"] for v in entry["versions"].values()] == [True, False, False, False]
    part, turned = index.packed(entry), index.packed(dict(reversed(entry.items())))
    assert part.value() == entry
    document = json.loads(index.document([part], 7))
    assert document == {"schema": 1, "generation": 7, "adapters": {"acme/support": {**entry, "part": part.blob}}}
    assert index.document([part], 7) == index.document([turned], 7)


def test_the_index_beside_the_registry_is_the_index_repos() -> None:
    """But for the generation both say the same of the same parts, the newest versions and how many there are."""
    many = [version(number) for number in range(1, 15)]
    parts = [index.packed(index.adapter_entry(f"acme/{n}", "p", "", many, {"main": 2}, {})) for n in ("b", "a")]
    document = json.loads(index.document(parts, 7))
    gathered = json.loads(index.gathered({part.path: part.summary() for part in parts}))
    assert document == {**gathered, "generation": 7}
    assert list(document["adapters"]) == ["acme/a", "acme/b"]
    assert document["adapters"]["acme/a"]["count"] == 14
    assert {"v2", "v14"} <= document["adapters"]["acme/a"]["versions"].keys()
    assert json.loads(index.document([], 0)) == {"adapters": {}, "generation": 0, "schema": 1}


def test_the_index_leaves_out_what_is_not_published() -> None:
    """A number that is only reserved is no version for deployers."""
    reserved = replace(version(5), stage=Stage.VALIDATED, commit=None)
    assert index.adapter_entry("a/b", "p", "", [reserved], {}, {})["versions"] == {}
