"""Golden outputs from a loaded model: a few public prompts, its likeliest next tokens, a short continuation.

The prompts are one batch without any padding, so that each is what an engine sees when it is asked alone. A language
model's logits and continuation come from one call: one pass over the prompts, then cached steps of a token each.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig

from adapterd.core import golden
from adapterd.core.golden import FEATURES, GREEDY, MOST_VALUES, TOKENS, TOP, Golden, Prompt, Reply
from adapterd.core.probetexts import TEXTS
from adapterd.worker.architecture import LANGUAGE, SEQ_2_SEQ_LM
from adapterd.worker.devices import is_device_fault, ran_out

_LEADING = 4
"""Most ids that are put in front of a prompt."""
_PER_POSITION = 3


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked: token ids, all of one length, with their texts, and the tokenizer that made them."""

    each: tuple[Prompt, ...]
    tokenizer: Any = field(default=None, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Names the token ids."""
        return hashlib.sha256(repr([prompt.ids for prompt in self.each]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Observed:
    """What one model answered: a reply for each prompt."""

    task: str
    replies: tuple[Reply, ...]


def prompts(
    tokenizer: Any,  # noqa: ANN401 - transformers' tokenizer, or None
    rows: int,
    *,
    leading: Sequence[int] = (),
    texts: Sequence[str] = TEXTS[: golden.PROMPTS],
) -> Prompts:
    """Give the prompts of a base that knows `rows` token ids; made-up ids where no tokenizer is at hand.

    `leading` are ids without which the adapter does nothing: an aLoRA's invocation, tokens that it trained. They
    stand in front.
    """
    first = tuple(number % rows for number in leading[:_LEADING])
    if tokenizer is None:
        made_up = [tuple((7 + 31 * number + 13 * at) % rows for at in range(TOKENS)) for number in range(len(texts))]
        return Prompts(tuple(Prompt((*first, *ids)[:TOKENS]) for ids in made_up))
    room = min(TOKENS - len(first), *(len(_ids(tokenizer, text, TOKENS)) for text in texts))
    return Prompts(tuple(_prompt(tokenizer, text, max(room, 1), first, rows) for text in texts), tokenizer)


def _prompt(tokenizer: Any, text: str, room: int, first: tuple[int, ...], rows: int) -> Prompt:  # noqa: ANN401 - transformers' tokenizer
    """Cut a text to a number of tokens, and keep its words where they give exactly these tokens."""
    ids = _ids(tokenizer, text, room) or (0,)
    folded = (*first, *(number % rows for number in ids))
    for said in (text, tokenizer.decode(list(ids), skip_special_tokens=True)):
        if folded == ids and _ids(tokenizer, said) == ids:
            return Prompt(folded, said)
    return Prompt(folded)


def _ids(tokenizer: Any, text: str, most: int | None = None) -> tuple[int, ...]:  # noqa: ANN401 - transformers' tokenizer
    """Token ids of a text; cut within its special tokens, which stay."""
    options = {} if most is None else {"truncation": True, "max_length": most}
    return tuple(int(number) for number in tokenizer(text, **options)["input_ids"])


def observe(model: Any, asked: Prompts, *, task: str) -> Observed | None:  # noqa: ANN401 - a model, or a PeftModel around it
    """Ask a model; None where it takes no text, or answers in a form that is not known here."""
    if getattr(model, "main_input_name", "input_ids") != "input_ids":
        return None
    ids = torch.tensor([prompt.ids for prompt in asked.each], device=model.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.inference_mode():
        if task not in LANGUAGE:
            replies = _values(model(**inputs), ids.shape[1])
            return None if replies is None else Observed(task, replies)
        said = _generated(model, inputs)
        if said is not None:
            return Observed(task, _tokens(*said, asked.tokenizer))
        if task == SEQ_2_SEQ_LM:
            inputs["decoder_input_ids"] = torch.full_like(ids[:, :1], _start(model.config))
        return Observed(task, _tokens(model(**inputs)["logits"][:, -1], None, asked.tokenizer))


def document(
    asked: Prompts,
    base: Observed | None,
    adapter: Observed | None,
    *,
    device: str,
    dtype: str,
    versions: Mapping[str, str],
    noise: float = 0.0,
    quantization: str = "",
) -> dict[str, Any] | None:
    """Both sides as plain JSON; None where one is missing, or holds no finite number.

    `noise` and `quantization` are those of the base.
    """
    if base is None or adapter is None:
        return None
    tolerance = golden.tolerance(dtype, (base.replies, adapter.replies), noise)
    return golden.document(
        Golden(
            task=adapter.task,
            prompts=asked.each,
            adapter=adapter.replies,
            base=base.replies,
            device=device,
            dtype=dtype,
            tolerance=tolerance,
            versions=dict(versions),
            quantization=quantization,
        )
    )


def _generated(model: Any, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor] | None:  # noqa: ANN401 - a model
    """Logits after the prompts, and the likeliest continuation; None where the model cannot generate."""
    with _plain_generation(model) as plain:
        if plain is None:
            return None
        try:
            with warnings.catch_warnings():  # PEFT warns at each step of what it does with prompts
                warnings.simplefilter("ignore")
                answer = model.generate(**inputs, generation_config=plain)
        except Exception as error:
            if ran_out(error) or is_device_fault(error):
                raise
            return None
    return answer.logits[0], answer.sequences[:, -GREEDY:]


@contextmanager
def _plain_generation(model: Any) -> Iterator[GenerationConfig | None]:  # noqa: ANN401 - a model, or a PeftModel around it
    """Let nothing but likelihood decide: the model's own settings, such as penalties and ends, step aside."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = getattr(inner, "generation_config", None)
    if own is None:
        yield None
        return
    plain = GenerationConfig(
        max_new_tokens=GREEDY,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        pad_token_id=getattr(inner.config, "pad_token_id", None) or 0,
        decoder_start_token_id=_start(inner.config),
        return_dict_in_generate=True,
        output_logits=True,
    )
    inner.generation_config = plain
    try:
        yield plain
    finally:
        inner.generation_config = own


def _start(config: Any) -> int:  # noqa: ANN401 - a config of transformers
    """The token that a decoder begins with."""
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    return next((n for n in (getattr(config, name, None) for name in names) if isinstance(n, int)), 0)


def _tokens(logits: torch.Tensor, said: torch.Tensor | None, tokenizer: Any) -> tuple[Reply, ...]:  # noqa: ANN401 - transformers' tokenizer, or None
    """The likeliest next tokens of each prompt, and how it goes on."""
    logits = logits.float()
    top = logits.topk(min(TOP, logits.shape[-1]), dim=-1)
    logprobs = (top.values - logits.logsumexp(-1, keepdim=True)).tolist()
    continued = None if said is None else said.tolist()
    return tuple(
        Reply(
            ids=tuple(ids),
            logits=tuple(values),
            logprobs=tuple(logprobs[at]),
            greedy=None if continued is None else tuple(continued[at]),
            text=None if continued is None or tokenizer is None else tokenizer.decode(continued[at]),
        )
        for at, (ids, values) in enumerate(zip(top.indices.tolist(), top.values.tolist(), strict=True))
    )


def _values(answer: Any, length: int) -> tuple[Reply, ...] | None:  # noqa: ANN401 - transformers' outputs
    """Class logits of each text or of its last token, start and end of an answer, or the mean hidden state.

    Virtual tokens of a prompt stand in front: of positions the last `length` count.
    """
    if "start_logits" in answer:
        both = (answer["start_logits"][:, -length:], answer["end_logits"][:, -length:])
        return _replies(torch.cat(both, dim=-1).float())
    logits, hidden = answer.get("logits"), answer.get("last_hidden_state")
    if isinstance(logits, torch.Tensor):
        return _replies((logits[:, -1] if logits.dim() == _PER_POSITION else logits).float())
    if isinstance(hidden, torch.Tensor) and hidden.dim() == _PER_POSITION:
        mean = hidden[:, -length:].float().mean(dim=1)
        return tuple(
            Reply(values=tuple(values), norm=norm)
            for values, norm in zip(mean[:, :FEATURES].tolist(), mean.norm(dim=-1).tolist(), strict=True)
        )
    return None


def _replies(values: torch.Tensor) -> tuple[Reply, ...]:
    return tuple(Reply(values=tuple(row)) for row in values[:, :MOST_VALUES].tolist())
