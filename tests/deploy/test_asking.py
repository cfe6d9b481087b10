"""verify --engine: a serving engine is asked the golden prompts, and its log-probabilities say what it serves."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.core import golden
from adapterd.core.golden import Golden, Prompt, Reply
from adapterd.deploy.engines.asking import ask
from adapterd.deploy.engines.contract import EngineRefusedError
from adapterd.deploy.engines.wire import Wire
from adapterd.ports import NotFound, Transient
from helpers.engines import BASE
from helpers.talkers import TalkingEngine, talking

if TYPE_CHECKING:
    from deploy.conftest import Repo

SERVED = "acme-support@v1-0123456"
PROMPTS = (Prompt((1, 2, 3)), Prompt((4, 5, 6)))
Start = Callable[..., AbstractContextManager[TalkingEngine]]


def replies(shift: float) -> tuple[Reply, ...]:
    """The five likeliest next tokens, all of them moved by so many nats."""
    logprobs = tuple(-value + shift for value in (1.0, 2.0, 3.0, 4.0, 5.0))
    return tuple(Reply((7, 8, 9, 10, 11), logprobs, logprobs, (7, 7, 8, 9)) for _ in PROMPTS)


def recorded(**changes: object) -> dict[str, object]:
    """Golden outputs in which the adapter moves each log-probability by 0.4 nats."""
    made = Golden("CAUSAL_LM", PROMPTS, replies(-0.4), replies(0.0), "cpu", "float32", 0.001, {"torch": "2"})
    found = golden.document(made)
    assert found is not None
    return found | changes


@pytest.fixture(params=["vllm", "sglang"])
def start(request: pytest.FixtureRequest) -> Start:
    """Start an engine of each kind that serves a version, and says this of it and of the base."""

    def do(says: Mapping[str, Sequence[Reply]], **settings: object) -> AbstractContextManager[TalkingEngine]:
        return talking(request.param, prompts=PROMPTS, says=dict(says), loaded={SERVED: "/adapters"}, **settings)

    return do


@pytest.mark.parametrize(
    ("served", "answer", "why"),
    [
        (-0.4, "adapter", "0 from the adapter's"),
        (-0.38, "adapter", "is near"),
        (0.0, "base", "0 from the base's"),
        (-0.2, "inconclusive", "like neither"),
        (-3.0, "inconclusive", "like neither"),
    ],
)
def test_an_engine_serves_the_adapter_or_the_bare_base(start: Start, served: float, answer: str, why: str) -> None:
    """The answer is that of `validate --golden`, whichever engine is asked; its own rounding is allowed for."""
    with start({SERVED: replies(served), BASE: replies(0.0)}) as engine:
        found = ask(Wire(engine.url, None, 10.0), recorded(), SERVED)
    assert found.answer == answer
    assert why in found.why
    assert found.greedy == (8, 8)


def test_a_name_that_is_not_served_is_told_with_those_that_are(start: Start) -> None:
    """A version that nobody loaded is not found; the hint lists what is there."""
    with start({}) as engine, pytest.raises(NotFound) as error:
        ask(Wire(engine.url, None, 10.0), recorded(), "acme-support@v2-7654321")
    assert SERVED in error.value.hint


def test_an_engine_that_refuses_a_prompt_is_told_in_its_words() -> None:
    """What the engine says stands in the error."""
    with (
        talking("vllm", prompts=PROMPTS, loaded={SERVED: "/adapters"}) as engine,
        pytest.raises(EngineRefusedError, match="does not exist"),
    ):
        ask(Wire(engine.url, None, 10.0), recorded(), SERVED)


def test_words_instead_of_token_ids_are_no_answer() -> None:
    """An engine that does not know the option cannot be compared."""
    says = {SERVED: replies(0.0), BASE: replies(0.0)}
    with (
        talking("vllm", prompts=PROMPTS, says=says, loaded={SERVED: "/adapters"}, plain=True) as engine,
        pytest.raises(EngineRefusedError, match="token ids"),
    ):
        ask(Wire(engine.url, None, 10.0), recorded(), SERVED)


def test_an_engine_that_is_down_is_waited_for() -> None:
    """Nothing is known to be wrong."""
    with talking("vllm") as engine:
        url = engine.url
    with pytest.raises(Transient):
        ask(Wire(url, None, 5.0), recorded(), SERVED)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"schema": 99}, "schema 99"),
        (
            golden.document(
                Golden("SEQ_CLS", PROMPTS[:1], (Reply(values=(1.0,)),), (Reply(values=(2.0,)),), "cpu", "float32", 0.1)
            ),
            "SEQ_CLS",
        ),
    ],
)
def test_what_an_engine_cannot_be_asked_is_inconclusive(document: object, why: str) -> None:
    """Outputs of a newer schema, and those of classifiers, are compared with nothing; no engine is asked."""
    found = ask(Wire("http://127.0.0.1:9", None, 5.0), document, SERVED)
    assert found.answer == "inconclusive"
    assert why in found.why


@pytest.mark.parametrize(
    ("shift", "code", "answer"), [(-0.4, 0, "adapter"), (0.0, 3, "base"), (-0.2, 4, "inconclusive")]
)
def test_the_verb_ends_with_the_answer(
    repo: "Repo", monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shift: float, code: int, answer: str
) -> None:
    """It reads the golden outputs from the Hub and asks for the serving name, with the engine's key."""
    repo.publish(change=lambda manifest: manifest.update(golden=recorded()))
    name = repo.manifests[1]["serving_name"]
    for variable, value in (
        ("HF_ENDPOINT", repo.hub.endpoint),
        ("HF_TOKEN", "hf_" + "a" * 34),
        ("HOME", str(tmp_path)),
    ):
        monkeypatch.setenv(variable, value)
    (tmp_path / "key").write_text("engine-key\n")
    says = {name: replies(shift), BASE: replies(0.0)}
    with talking("vllm", prompts=PROMPTS, says=says, loaded={name: "/adapters"}, key="engine-key") as engine:
        arguments = ["verify", f"{repo.adapter}@v1", "--engine", f"{engine.url}/v1", "--json"]
        done = CliRunner().invoke(app, [*arguments, "--key-file", str(tmp_path / "key")])
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout)
    assert (found["name"], found["answer"]) == (name, answer)
