"""Engines that answer token ids as vLLM and SGLang do, with the log-probabilities that a test gives them.

The shapes are those of vLLM's `entrypoints/openai/completion/serving.py` (`top_logprobs` may have one more than asked
for; with `return_tokens_as_token_ids` tokens are `token_id:N`) and of SGLang's
`srt/managers/tokenizer_manager.py` (`[log-probability, token id, null]`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from adapterd.core.golden import Prompt, Reply
from helpers.engines import BASE, RecordedEngine


@dataclass
class TalkingEngine(RecordedEngine):
    """A recorded engine that continues prompts.

    Attributes:
        prompts: that it has answers for.
        says: for each name, a reply to each prompt.
        plain: whether it answers with words for tokens, as an engine does that does not know the option.
    """

    prompts: Sequence[Prompt] = ()
    says: dict[str, Sequence[Reply]] = field(default_factory=dict)
    plain: bool = False

    def answer(self, method: str, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        """What this kind of engine says."""
        wanted = "/v1/completions" if self.kind == "vllm" else "/generate"
        if (method, path) != ("POST", wanted):
            return super().answer(method, path, key, body)
        name = body["model"] if self.kind == "vllm" else body.get("lora_path", BASE)
        if name not in self.says:
            return 404, {"error": {"message": f"The model `{name}` does not exist.", "code": 404}}
        ids = tuple(body["prompt"] if self.kind == "vllm" else body["input_ids"])
        reply = self.says[name][[prompt.ids for prompt in self.prompts].index(ids)]
        return 200, self._vllm(reply, body) if self.kind == "vllm" else _sglang(reply, body)

    def _vllm(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        assert body["return_tokens_as_token_ids"]
        token = "word {}" if self.plain else "token_id:{}"
        said = [token.format(n) for n in (reply.greedy or ())[: body["max_tokens"]]]
        top = {token.format(n): value for n, value in zip(reply.ids, reply.logprobs, strict=True)}
        logprobs = {
            "text_offset": [0] * len(said),
            "token_logprobs": [-0.1] * len(said),
            "tokens": said,
            "top_logprobs": [{**top, token.format(999_999): -30.0}, *[top] * (len(said) - 1)],
        }
        return {"object": "text_completion", "choices": [{"index": 0, "text": " so", "logprobs": logprobs}]}


def _sglang(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    assert body["return_logprob"]
    said = (reply.greedy or ())[: body["sampling_params"]["max_new_tokens"]]
    top = [[value, n, None] for n, value in zip(reply.ids, reply.logprobs, strict=True)]
    meta = {"output_token_logprobs": [[-0.1, n, None] for n in said], "output_top_logprobs": [top] * len(said)}
    return {"text": " so", "output_ids": list(said), "meta_info": meta}


@contextmanager
def talking(kind: str, **settings: Any) -> Iterator[TalkingEngine]:  # noqa: ANN401 - any field of the engine
    """An engine that answers until the end of the block."""
    engine = TalkingEngine(kind, **settings)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
