"""Ask a serving engine the golden prompts of a version: whose outputs does it serve, the adapter's or the bare base's?

vLLM is asked over `/v1/completions` with token ids, and answers with token ids for `return_tokens_as_token_ids` (its
`entrypoints/openai/completion/serving.py`). SGLang is asked over its own `/generate`, whose log-probabilities
carry token ids (its `srt/managers/tokenizer_manager.py`). Both give the model's raw log-probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.core import golden, likeness
from adapterd.core.golden import BadGoldenError, Golden, Prompt, Reply
from adapterd.core.likeness import INCONCLUSIVE, Answer
from adapterd.deploy.engines.contract import EngineRefusedError
from adapterd.deploy.engines.wire import Wire
from adapterd.ports import NotFound

_VLLM, _SGLANG = "vllm", "sglang"
_ID = "token_id:"


@dataclass(frozen=True, slots=True)
class Served:
    """What an engine serves: its kind, the base by name, and the names of everything else."""

    kind: str
    base: str
    names: tuple[str, ...]


def served(wire: Wire) -> Served:
    """Ask an engine what it serves.

    Raises:
        EngineRefusedError: it is neither vLLM nor SGLang.
    """
    answer = wire.get("/v1/models")
    cards = answer.body.get("data") if answer.ok and isinstance(answer.body, dict) else None
    listed = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    kind = next((str(c.get("owned_by")) for c in listed if c.get("owned_by") in {_VLLM, _SGLANG}), "")
    base = next((str(card.get("id")) for card in listed if not card.get("parent")), "")
    if not kind or not base:
        raise EngineRefusedError(
            f"{wire.url} does not say that it is vLLM or SGLang: {answer.status} {answer.message}",
            "the address of a vLLM or SGLang server, without /v1",
        )
    return Served(kind, base, tuple(str(card.get("id")) for card in listed))


def ask(wire: Wire, recorded: object, name: str) -> Answer:
    """Say whose outputs an engine serves under a name.

    Args:
        wire: to the engine.
        recorded: golden outputs as the version's manifest has them.
        name: that the version is served under.

    Raises:
        NotFound: the engine serves nothing under this name.
        EngineRefusedError: it does not answer the prompts.
    """
    try:
        ours = golden.parse(recorded)
    except BadGoldenError as error:
        return Answer(INCONCLUSIVE, str(error))
    if not all(reply.ids for reply in (*ours.adapter, *ours.base)):
        what = f"the recorded outputs are of the task {ours.task}; engines are asked for the next tokens alone"
        return Answer(INCONCLUSIVE, what)
    there = served(wire)
    if name not in there.names:
        raise NotFound(f"{wire.url} does not serve {name}", f"--name with one of {', '.join(there.names)}")
    sides = [[_reply(wire, there, each, p, _length(ours)) for p in ours.prompts] for each in (name, there.base)]
    here = Golden(
        task=ours.task,
        prompts=tuple(Prompt(prompt.ids) for prompt in ours.prompts),
        adapter=tuple(sides[0]),
        base=tuple(sides[1]),
        device=there.kind,
        dtype="",
        tolerance=ours.tolerance,
    )
    observed = golden.document(here)
    if observed is None:
        return Answer(INCONCLUSIVE, f"{name} answers with log-probabilities that are no finite numbers")
    return likeness.compare(recorded, observed)


def _length(ours: Golden) -> int:
    """Tokens to ask for: as long as the recorded continuations are."""
    return max((len(reply.greedy) for reply in ours.adapter if reply.greedy), default=1)


def _reply(wire: Wire, there: Served, name: str, prompt: Prompt, length: int) -> Reply:
    """What the engine answers on one prompt."""
    try:
        if there.kind == _VLLM:
            tops, said = _ask_vllm(wire, name, prompt.ids, length)
        else:
            tops, said = _ask_sglang(wire, name if name != there.base else "", prompt.ids, length)
        likeliest = sorted(tops.items(), key=lambda each: (-each[1], each[0]))[: golden.TOP]
        ids, logprobs = (tuple(column) for column in zip(*likeliest, strict=True))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise EngineRefusedError(
            f"{wire.url} answers for {name} without the log-probabilities of token ids ({error})",
            "an engine that gives them: vLLM with --max-logprobs 5 or more, SGLang",
        ) from None
    return Reply(ids=ids, logits=logprobs, logprobs=logprobs, greedy=said)


def _ask_vllm(wire: Wire, name: str, ids: Sequence[int], length: int) -> tuple[Mapping[int, float], tuple[int, ...]]:
    found = _post(
        wire,
        "/v1/completions",
        {
            "model": name,
            "prompt": list(ids),
            "max_tokens": length,
            "temperature": 0,
            "repetition_penalty": 1.0,
            "ignore_eos": True,
            "logprobs": golden.TOP,
            "return_tokens_as_token_ids": True,
        },
    )
    logprobs = found["choices"][0]["logprobs"]
    tops = {_token(token): float(value) for token, value in logprobs["top_logprobs"][0].items()}
    return tops, tuple(_token(token) for token in logprobs["tokens"])


def _token(text: str) -> int:
    if not text.startswith(_ID):
        raise ValueError(f"{text!r} is no token id")
    return int(text.removeprefix(_ID))


def _ask_sglang(wire: Wire, name: str, ids: Sequence[int], length: int) -> tuple[Mapping[int, float], tuple[int, ...]]:
    """`name` is empty for the bare base."""
    found = _post(
        wire,
        "/generate",
        {
            "input_ids": list(ids),
            "sampling_params": {
                "temperature": 0,
                "max_new_tokens": length,
                "repetition_penalty": 1.0,
                "ignore_eos": True,
            },
            "return_logprob": True,
            "top_logprobs_num": golden.TOP,
            **({"lora_path": name} if name else {}),
        },
    )
    meta = found["meta_info"]
    tops = {int(token): float(value) for value, token, *_ in meta["output_top_logprobs"][0]}
    return tops, tuple(int(token) for _, token, *_ in meta["output_token_logprobs"])


def _post(wire: Wire, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - any JSON
    answer = wire.post(path, body)
    if not answer.ok:
        raise EngineRefusedError(
            f"{wire.url}{path} refuses a golden prompt: {answer.status} {answer.message}",
            "serve the version under the name asked for, and see the engine's log",
        )
    return answer.body
