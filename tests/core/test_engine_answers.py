"""The rules against the loaders themselves: what vLLM and SGLang said to each kind of adapter that PEFT makes.

`engine_answers/` was written by `python -m corpus.asking`: config, names and shapes of every good adapter of the
corpus, and by release what the engine's own code answered: nothing where it took it as PEFT does.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from adapterd.core import engines
from adapterd.core.adapter import Tensor
from adapterd.core.enginerules import ENGINES, NO
from adapterd.core.enginetraits import Facts, traits

HERE = Path(__file__).parent / "engine_answers"
OTHERWISE = "otherwise: "


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def _facts(of: dict[str, Any]) -> Facts:
    tensors = [Tensor(name, "F32", tuple(shape), 0, 0) for name, shape in of["tensors"].items()]
    fields = ("config", "peft_type", "task", "shards", "layers", "vocabulary", "added_tokens")
    return Facts(tensors=tensors, architectures=tuple(of["architectures"]), **{key: of[key] for key in fields})


ADAPTERS = {name: _facts(of) for name, of in _read("adapters").items()}
RELEASES = sorted(path.stem for path in HERE.glob("*-*.json"))
ANSWERS = {name: _read(name) for name in RELEASES}
NEWEST = ("vllm-0.33.0", "sglang-0.5.23")


def verdict(adapter: str, engine: str) -> engines.EngineVerdict:
    """Our word on an adapter."""
    return next(v for v in engines.judge(ADAPTERS[adapter]) if v.engine == engine)


@pytest.mark.parametrize(("release", "adapter"), [(release, adapter) for release in NEWEST for adapter in ADAPTERS])
def test_a_verdict_is_what_the_loader_said(release: str, adapter: str) -> None:
    """Who refuses is never said to take it; who takes it is said to refuse it only for what was not asked.

    And who scales it otherwise than PEFT is never said to serve all of it.
    """
    told = ANSWERS[release]
    said, ours = told["answers"][adapter], verdict(adapter, told["engine"])
    if said.startswith(OTHERWISE):
        assert ours.takes == NO or ours.otherwise
    elif said:
        assert ours.takes == NO
    elif ours.takes == NO:
        assert not {source for _, source in ours.reasons} & set(told["asked"])


@pytest.mark.parametrize("release", NEWEST)
def test_the_releases_that_were_asked_are_those_of_the_table(release: str) -> None:
    """A verdict holds from the release on that was asked; each adapter of the corpus was."""
    name, _, number = release.rpartition("-")
    engine = next(e for e in ENGINES if e.name == name)
    assert number.startswith(engine.since)
    assert set(ANSWERS[release]["answers"]) == set(ADAPTERS)


@pytest.mark.parametrize(
    ("trait", "former", "said"),
    [
        ("patterns", "vllm-0.31.0", OTHERWISE),
        ("moved_base", "vllm-0.31.0", ""),
        ("alora", "vllm-0.31.0", ""),
        ("head", "vllm-0.30.0", "ValueError: vLLM only supports modules_to_save being None"),
    ],
)
def test_what_is_said_of_releases_before_was_so(trait: str, former: str, said: str) -> None:
    """Where a text says what came before a release, the one before it answered so, and 0.32 as 0.33 does."""
    with_it = [
        name
        for name, facts in ADAPTERS.items()
        if trait in (has := traits(facts)) and "not_lora" not in has and "saved" not in has and "tokens" not in has
    ]
    assert with_it
    for name in with_it:
        answer = ANSWERS[former]["answers"][name]
        assert answer.startswith(said) if said else not answer
        assert ANSWERS["vllm-0.32.0"]["answers"][name] == ANSWERS["vllm-0.33.0"]["answers"][name]


def test_every_release_took_some_and_refused_some() -> None:
    """The record is none of a loader that says the same to all."""
    for told in ANSWERS.values():
        refused = [said for said in told["answers"].values() if said and not said.startswith(OTHERWISE)]
        assert len(ADAPTERS) / 3 < len(refused) < 2 * len(ADAPTERS) / 3
