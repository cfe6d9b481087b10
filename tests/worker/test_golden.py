"""Golden outputs are taken from a loaded model of any kind, and tell the adapter from the base again."""

import warnings
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers

from adapterd.core.golden import GREEDY, PROMPTS, TOKENS
from adapterd.core.likeness import Answer, compare
from adapterd.core.probetexts import TEXTS
from adapterd.worker import golden

LLM: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
SIZES: dict[str, Any] = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT: dict[str, Any] = {**SIZES, "intermediate_size": 48}
WHERE: dict[str, Any] = {"device": "cpu", "dtype": "float32", "versions": {"torch": "2"}}


def llama(**config: Any) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """A tiny Llama."""
    fields = {"intermediate_size": 48, "num_key_value_heads": 2, "pad_token_id": 0, **SIZES, **config}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))


def gpt2() -> Any:  # noqa: ANN401 - the same
    """A tiny GPT-2, whose layers are transposed."""
    config = transformers.GPT2Config(
        vocab_size=320, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


def t5() -> Any:  # noqa: ANN401 - the same
    """A tiny T5, which encodes what it is asked and decodes its answer."""
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=320, decoder_start_token_id=0, tie_word_embeddings=False, **sizes)
    )


def bert(kind: str, **config: Any) -> Callable[[], Any]:  # noqa: ANN401 - the same
    """A tiny BERT with a head."""
    return lambda: getattr(transformers, f"Bert{kind}")(transformers.BertConfig(**BERT, **config))


KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "LoRA": (llama, peft.LoraConfig(**LLM)),
    "DoRA": (llama, peft.LoraConfig(use_dora=True, **LLM)),
    "IA3": (llama, peft.IA3Config(feedforward_modules=[], **LLM)),
    "prompt tuning": (llama, peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)),
    "p-tuning": (llama, peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)),
    "prefix tuning": (llama, peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)),
    "adaption prompt": (llama, peft.AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=4, adapter_layers=2)),
    "GPT-2": (gpt2, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], fan_in_fan_out=True)),
    "T5": (t5, peft.LoraConfig(task_type="SEQ_2_SEQ_LM", target_modules=["q", "v"])),
    "T5 prompt": (t5, peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3)),
    "SEQ_CLS": (bert("ForSequenceClassification"), peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"])),
    "SEQ_CLS prompt": (
        bert("ForSequenceClassification"),
        peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
    ),
    "TOKEN_CLS": (
        bert("ForTokenClassification", num_labels=5),
        peft.LoraConfig(task_type="TOKEN_CLS", target_modules=["query"]),
    ),
    "QUESTION_ANS": (
        bert("ForQuestionAnswering"),
        peft.LoraConfig(task_type="QUESTION_ANS", target_modules=["query"]),
    ),
    "features": (
        bert("Model"),
        peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query", "value", "dense"]),
    ),
}
SPEAKS = ("CAUSAL_LM", "SEQ_2_SEQ_LM")


def trained(base: Any, config: Any) -> Any:  # noqa: ANN401 - the same
    """The base with an adapter, every parameter of it moved, as training does."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(base, config).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def both(request: pytest.FixtureRequest, tokenizer: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    """What a base answers, and the same base with an adapter, by the name of a kind."""
    build, config = KINDS[request.param]
    torch.manual_seed(1)
    base = build().eval()
    base.config.use_cache = False
    asked = golden.prompts(tokenizer, 320)
    bare = golden.observe(base, asked, task=config.task_type)
    model = trained(base, config)
    own = golden.observe(model, asked, task=config.task_type)
    return {"base": bare, "adapter": own, "model": model, "asked": asked, "task": config.task_type}


def document(both: dict[str, Any], **changes: Any) -> Any:  # noqa: ANN401 - the same
    """As it stands in the manifest."""
    sides = both | changes
    return golden.document(both["asked"], sides["base"], sides["adapter"], **WHERE)


@pytest.mark.parametrize("both", KINDS, indirect=True)
def test_every_kind_is_told_from_its_base(both: dict[str, Any]) -> None:
    """Asked once more, the adapter answers as recorded; the bare base answers as the base."""
    recorded = document(both)
    again = golden.observe(both["model"], both["asked"], task=both["task"])
    assert compare(recorded, document(both, adapter=again)).answer == "adapter"
    assert compare(recorded, document(both, adapter=both["base"])).answer == "base"
    assert len(str(recorded)) < 20_000
    speaks = both["task"] in SPEAKS
    assert [reply.greedy is not None for reply in both["adapter"].replies] == [speaks] * PROMPTS


@pytest.mark.parametrize("both", ["LoRA", "prompt tuning", "prefix tuning", "adaption prompt", "GPT-2"], indirect=True)
def test_what_is_recorded_is_a_plain_pass(both: dict[str, Any]) -> None:
    """Cached steps say the same as whole passes without a cache: logits, and each token of the continuation."""
    model, asked = both["model"], both["asked"]
    ids = torch.tensor([prompt.ids for prompt in asked.each])
    steps = []
    with torch.inference_mode():
        for _ in range(GREEDY):
            steps.append(model(input_ids=ids, attention_mask=torch.ones_like(ids))["logits"][:, -1])
            ids = torch.cat([ids, steps[-1].argmax(-1, keepdim=True)], dim=1)
    for at, reply in enumerate(both["adapter"].replies):
        likeliest = steps[0][at].topk(5)
        assert reply.ids == tuple(likeliest.indices.tolist())
        assert reply.logits == pytest.approx(likeliest.values.tolist(), abs=1e-5)
        assert reply.logprobs == pytest.approx(steps[0][at].log_softmax(-1)[likeliest.indices].tolist(), abs=1e-5)
        assert reply.greedy == tuple(ids[at, -GREEDY:].tolist())


def test_prompts_are_of_one_length_and_give_their_text_where_it_gives_them(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """Nothing is padded, so that an engine that is asked alone sees the same; it can be asked in words too."""
    asked = golden.prompts(tokenizer, 320)
    assert [len(prompt.ids) for prompt in asked.each] == [TOKENS] * PROMPTS
    for prompt, text in zip(asked.each, TEXTS, strict=False):
        assert prompt.text is not None
        assert text.startswith(prompt.text)
        assert tuple(tokenizer(prompt.text)["input_ids"]) == prompt.ids
    short = golden.prompts(tokenizer, 320, texts=("The ferry", "The ferry leaves the harbour"))
    assert len({len(prompt.ids) for prompt in short.each}) == 1
    assert short.each[0].text == "The ferry"
    assert short.digest != asked.digest


def test_without_a_tokenizer_ids_are_made_up() -> None:
    """They are the same each time, within what the base knows, and have no text."""
    asked = golden.prompts(None, 50)
    assert asked == golden.prompts(None, 50)
    assert all(prompt.text is None and max(prompt.ids) < 50 for prompt in asked.each)
    assert len({prompt.ids for prompt in asked.each}) == PROMPTS


def test_ids_that_the_base_does_not_know_are_folded(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """No text gives those, so none is recorded."""
    asked = golden.prompts(tokenizer, 40)
    assert all(max(prompt.ids) < 40 for prompt in asked.each)
    assert asked.each[0].text is None


def test_an_adapter_that_waits_for_tokens_is_given_them(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """An aLoRA acts after its invocation alone; without that it would answer as its base does."""
    torch.manual_seed(1)
    base = llama().eval()
    sides: dict[tuple[int, ...], dict[str, Any]] = {}
    leadings: tuple[tuple[int, ...], ...] = ((), (5, 6))
    for leading in leadings:
        asked = golden.prompts(tokenizer, 320, leading=leading)
        sides[leading] = {"asked": asked, "base": golden.observe(base, asked, task="CAUSAL_LM")}
    model = trained(base, peft.LoraConfig(alora_invocation_tokens=[5, 6], **LLM))
    answers: dict[tuple[int, ...], Answer] = {}
    for leading, both in sides.items():
        both["adapter"] = golden.observe(model, both["asked"], task="CAUSAL_LM")
        answers[leading] = compare(document(both), document(both))
    assert answers[5, 6].answer == "adapter"
    assert answers[()].answer == "inconclusive"
    assert all(prompt.ids[:2] == (5, 6) and len(prompt.ids) == TOKENS for prompt in sides[5, 6]["asked"].each)


def test_the_settings_of_a_model_step_aside_and_come_back(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """Penalties, ends and sampling of its own would make the continuation another engine's riddle."""
    torch.manual_seed(1)
    model = llama().eval()
    asked = golden.prompts(tokenizer, 320)
    plain = golden.observe(model, asked, task="CAUSAL_LM")
    assert plain is not None
    first = plain.replies[0].greedy or ()
    own = transformers.GenerationConfig(
        eos_token_id=first[0], suppress_tokens=[first[0]], repetition_penalty=5.0, do_sample=True
    )
    model.generation_config = own
    assert golden.observe(model, asked, task="CAUSAL_LM") == plain
    assert model.generation_config is own


def test_a_model_that_cannot_generate_still_gives_logits(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """Where the cached steps fail, one plain pass is made, and no continuation is recorded."""

    class Mute(transformers.LlamaForCausalLM):  # type: ignore[misc]  # transformers is not followed
        """A model whose generation is broken."""

        def generate(self, **_: Any) -> Any:  # noqa: ANN401 - as in transformers
            """Fail."""
            raise NotImplementedError

    torch.manual_seed(1)
    speaking = llama().eval()
    mute = Mute(speaking.config).eval()
    mute.load_state_dict(speaking.state_dict())
    asked = golden.prompts(tokenizer, 320)
    one, other = (golden.observe(model, asked, task="CAUSAL_LM") for model in (speaking, mute))
    assert one is not None
    assert other is not None
    for with_it, without in zip(one.replies, other.replies, strict=True):
        assert without.greedy is None
        assert without.ids == with_it.ids
        assert without.logits == pytest.approx(with_it.logits, abs=1e-5)


def test_what_reads_no_text_is_not_asked(tokenizer: Any) -> None:  # noqa: ANN401 - the same
    """Sound and pictures have no public text; nothing is recorded, and nothing fails."""
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "encoder_attention_heads": 2}
    config = transformers.WhisperConfig(
        vocab_size=320, decoder_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes
    )
    model = transformers.WhisperForConditionalGeneration(config).eval()
    asked = golden.prompts(tokenizer, 320)
    found = golden.observe(model, asked, task="SEQ_2_SEQ_LM")
    assert found is None
    assert golden.document(asked, found, found, **WHERE) is None
