"""One command line for a whole set of adapters, or why an engine cannot serve them together."""

from dataclasses import replace
from typing import Any

import pytest

from adapterd.core import engines
from adapterd.core.enginetraits import Facts
from adapterd.core.flags import ENGINES, Flags, Wanted, flags, wanted

YES = {"takes": "yes", "effect": "full", "flags": []}


def version(name: str = "sql", verdict: dict[str, Any] | None = YES, **changes: Any) -> Wanted:  # noqa: ANN401 - any field
    """A version of rank 8 on q_proj and v_proj that the engine takes."""
    made = Wanted(
        name=f"acme/{name}@v3",
        adapter=f"acme/{name}",
        tag="v3",
        serving_name=f"acme-{name}@v3-0123456",
        base="acme/base",
        weights="f" * 64,
        rank=8,
        targets=("q_proj", "v_proj"),
        verdict=verdict,
    )
    return replace(made, **changes)


def said(*words: str, takes: str = "yes", effect: str = "full") -> dict[str, Any]:
    """A verdict with these flags."""
    return {"takes": takes, "effect": effect, "flags": list(words), "reasons": [{"text": "it says so", "source": "s"}]}


@pytest.mark.parametrize(
    ("engine", "versions", "line"),
    [
        ("vllm", [version()], "--enable-lora --max-lora-rank 16 --max-loras 1 --max-cpu-loras 2"),
        (
            "vllm",
            [version(), version("ner", said("--enable-lora", "--max-lora-rank 64")), version("de")],
            "--enable-lora --max-lora-rank 64 --max-loras 3 --max-cpu-loras 6",
        ),
        (
            "vllm",
            [version(verdict=None, rank=257)],
            "--enable-lora --max-lora-rank 320 --max-loras 1 --max-cpu-loras 2",
        ),
        (
            "sglang",
            [version(), version("ner", said("--lora-target-modules down_proj q_proj", "--max-lora-rank 24"))],
            "--enable-lora --max-lora-rank 24 --max-loras-per-batch 3 --lora-target-modules down_proj q_proj v_proj",
        ),
        (
            "sglang",
            [version(), version("ner", targets=())],
            "--enable-lora --max-lora-rank 8 --max-loras-per-batch 3 --lora-target-modules all",
        ),
        ("lorax", [version(), version("ner")], "--lora-adapters acme/sql@v3,acme/ner@v3"),
    ],
)
def test_the_command_line_has_room_for_the_largest_and_for_all(engine: str, versions: list[Wanted], line: str) -> None:
    """The highest rank in a value that the engine takes, the union of the layers, a place for each."""
    found = flags(engine, versions)
    assert (" ".join(found.arguments), found.problems) == (line, ())


def test_each_lies_below_a_folder_under_its_serving_name() -> None:
    """With a folder the engine loads them at its start; a batch may mix fewer than are loaded."""
    versions = [version(), version("ner"), version("de")]
    vllm = flags("vllm", versions, "/srv/adapters", 2)
    assert vllm.arguments[5:] == (
        "--max-cpu-loras",
        "6",
        "--lora-modules",
        "acme-sql@v3-0123456=/srv/adapters/acme-sql@v3-0123456",
        "acme-ner@v3-0123456=/srv/adapters/acme-ner@v3-0123456",
        "acme-de@v3-0123456=/srv/adapters/acme-de@v3-0123456",
    )
    assert vllm.arguments[3:5] == ("--max-loras", "2")
    assert flags("sglang", versions, "/srv/adapters").arguments[-4] == "--lora-paths"


@pytest.mark.parametrize(
    ("engine", "versions", "problem"),
    [
        ("vllm", [version(verdict=said(takes="no", effect="none"))], "acme/sql@v3: vllm refuses it: it says so"),
        ("vllm", [version(verdict=said(effect="none"))], "would serve the base model in its place"),
        ("sglang", [version(verdict=said(effect="partial"))], "otherwise than it was trained"),
        (
            "vllm",
            [version(), version("ner", base="acme/other")],
            "needs another base model than acme/sql@v3: acme/other",
        ),
        (
            "vllm",
            [version(), version("ner", weights="e" * 64)],
            "acme/base (eeeeeeeeeeee), not acme/base (ffffffffffff)",
        ),
        ("vllm", [version(), version()], "would know two of them by the name acme-sql@v3-0123456"),
        ("lorax", [version(), version(tag="v4", serving_name="other")], "two of them by the name acme/sql"),
        ("sglang", [version(targets=("transformer.h.0.attn.c_attn",))], "no LoRA for layers that are called c_attn"),
    ],
)
def test_what_cannot_be_served_is_named(engine: str, versions: list[Wanted], problem: str) -> None:
    """A refusal, a silent loss, another base, a name that is taken: no command line, and the reason."""
    found = flags(engine, versions)
    assert found.arguments == ()
    assert any(problem in each for each in found.problems), found.problems


def test_all_problems_are_told_at_once() -> None:
    """Whoever puts a set together learns of every adapter that does not fit."""
    refused = said(takes="no", effect="none")
    found = flags("vllm", [version(verdict=refused), version("ner", refused, base="acme/other")])
    assert len(found.problems) == 3


@pytest.mark.parametrize(
    ("verdict", "warning"),
    [
        (None, "its manifest says nothing of vllm"),
        (said(takes="unknown", effect="unknown"), "vllm may not take it: it says so"),
        (said(effect="unknown"), "it says so"),
    ],
)
def test_what_nobody_knows_is_a_warning(verdict: dict[str, Any] | None, warning: str) -> None:
    """The command line is given all the same: the engine itself will say."""
    found = flags("vllm", [version(verdict=verdict)])
    assert found.arguments
    assert warning in found.warnings[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("served", [None, {"vllm": "yes"}, {"vllm": {"flags": "--max-lora-rank 8"}}, []])
def test_a_manifest_of_any_age_is_read(engine: str, served: object) -> None:
    """Without verdicts, or with some that are none, rank and layers are those of the config."""
    manifest = {
        "adapter": "acme/sql",
        "number": 3,
        "serving_name": "acme-sql@v3-0123456",
        "base": {"id": "acme/base", "revision": "c" * 40},
        "peft": {"rank": 8, "targets": ["q_proj"]},
        "engines": served,
    }
    found = wanted(manifest, engine)
    assert (found.rank, found.weights, found.targets) == (8, "c" * 40, ["q_proj"])
    assert isinstance(flags(engine, [found]), Flags)


def test_the_verdicts_of_the_judge_are_what_is_read() -> None:
    """A verdict as the manifest has it gives the engine's own flags back."""
    facts = Facts({"r": 48, "target_modules": ["q_proj"]}, "LORA", "CAUSAL_LM", ())
    document = engines.document(engines.judge(facts))
    assert flags("vllm", [version(verdict=document["vllm"])]).arguments[1:3] == ("--max-lora-rank", "64")
    assert flags("sglang", [version(verdict=document["sglang"])]).arguments[1:3] == ("--max-lora-rank", "48")
