"""The good adapters: every kind that PEFT makes, over every kind of base. All of them must pass."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import transformers

from corpus.workshop import MOVED, Workshop, move, save
from helpers.tiny import silence

LLM: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL_LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Good:
    """One good adapter.

    Attributes:
        kind: what of PEFT it shows, for the table.
        make: makes it and gives its folder; called once.
        warns: codes of the warnings that it rightly has, and that must be there.
    """

    name: str
    kind: str
    base: str
    make: Callable[[Workshop], Path]
    warns: frozenset[str] = frozenset()


def adapter(
    name: str,
    base: str,
    config: Callable[[], Any],
    *,
    kind: Any = transformers.AutoModelForCausalLM,  # noqa: ANN401 - a class of transformers
    moved: float = MOVED,
    warns: frozenset[str] = frozenset(),
    **options: Any,  # noqa: ANN401 - of from_pretrained
) -> Good:
    """Describe an adapter that is moved and saved with nothing special about it."""

    def make(shop: Workshop) -> Path:
        with silence():
            model = move(shop.wrap(base, config(), kind=kind, **options), moved)
            return save(model, shop.folder(name))

    with silence():
        shown = str(config().peft_type.value)
    return Good(name, shown, base, make, warns)


def lora(**fields: Any) -> Callable[[], Any]:  # noqa: ANN401 - fields of LoraConfig
    """Describe a LoRA on a causal language model."""
    return lambda: peft.LoraConfig(**({"r": 4, "lora_alpha": 8} | LLM | fields))


def of(kind: Any, **fields: Any) -> Callable[[], Any]:  # noqa: ANN401 - a class of PEFT and its fields
    """Describe another kind on a causal language model."""
    return lambda: kind(**(LLM | fields))


def prompt(kind: Any, **fields: Any) -> Callable[[], Any]:  # noqa: ANN401 - a class of PEFT and its fields
    """Describe a kind that has no targets."""
    return lambda: kind(**({"task_type": "CAUSAL_LM"} | fields))


LORAS = (
    adapter("LoRA", "llama", lora()),
    adapter("LoRA on all linear layers", "llama", lora(target_modules="all-linear", r=8)),
    adapter("LoRA by a regex", "llama", lora(target_modules=r".*layers\.1\..*\.(q|up)_proj")),
    adapter("LoRA on some layers", "llama", lora(layers_to_transform=[1], layers_pattern="layers")),
    adapter("LoRA with excluded layers", "llama", lora(exclude_modules=r".*layers\.0\..*")),
    adapter("LoRA with a bias of its own", "llama", lora(lora_bias=True)),
    adapter("DoRA", "llama", lora(use_dora=True)),
    adapter("rsLoRA", "llama", lora(use_rslora=True)),
    adapter("PiSSA", "llama", lora(init_lora_weights="pissa")),
    adapter("OLoRA", "llama", lora(init_lora_weights="olora")),
    adapter("LoRA with orthogonal factors", "llama", lora(init_lora_weights="orthogonal")),
    adapter("EVA", "llama", lora(init_lora_weights="eva", eva_config=peft.EvaConfig(rho=1.0))),
    adapter("rank and alpha patterns", "llama", lora(rank_pattern={"q_proj": 3}, alpha_pattern={"v_proj": 5})),
    adapter("patterns by a regex", "llama", lora(rank_pattern={r"^model\.layers\.0\..*": 2})),
    adapter("bias all", "gpt2", lora(bias="all", target_modules=["c_attn"], fan_in_fan_out=True)),
    adapter("bias lora_only", "gpt2", lora(bias="lora_only", target_modules=["c_attn"], fan_in_fan_out=True)),
    adapter("LoRA and a whole head", "llama", lora(modules_to_save=["lm_head"])),
    adapter("LoRA on an embedding", "llama", lora(target_modules=["q_proj", "embed_tokens"])),
    adapter("LoRA on a tied embedding", "tied llama", lora(target_modules=["q_proj", "embed_tokens"])),
    adapter("LoRA and a whole tied head", "tied llama", lora(modules_to_save=["lm_head"])),
    adapter("LoRA and a whole tied embedding", "tied llama", lora(modules_to_save=["embed_tokens"])),
    adapter("LoRA with trained tokens", "llama", lora(trainable_token_indices=[65, 66])),
    adapter("target parameters", "llama", lora(target_modules=[], target_parameters=["q_proj.weight"])),
    adapter("LoRA on Mixtral", "mixtral", lora()),
    adapter(
        "LoRA on Mixtral's experts", "mixtral", lora(target_parameters=["experts.gate_up_proj", "experts.down_proj"])
    ),
    adapter("repeated layers", "llama", lora(layer_replication=[[0, 2], [1, 2]])),
    adapter("LoRA on Mistral", "mistral", lora(target_modules=ALL_LINEAR)),
    adapter("LoRA on GPT-2", "gpt2", lora(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    adapter("DoRA on GPT-2", "gpt2", lora(target_modules=["c_attn"], fan_in_fan_out=True, use_dora=True)),
    adapter("LoRA without a task", "llama", lora(task_type=None)),
    adapter("LoRA that waits for its invocation", "llama", lora(alora_invocation_tokens=[300, 301])),
    adapter("LoRA and a whole norm", "llama", lora(modules_to_save=["norm"])),
)

KINDS = (
    adapter("LoHa", "llama", of(peft.LoHaConfig)),
    adapter("LoKr", "llama", of(peft.LoKrConfig)),
    adapter("LoKr in two factors", "llama", of(peft.LoKrConfig, r=2, decompose_both=True)),
    adapter(
        "IA3", "llama", of(peft.IA3Config, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    ),
    adapter(
        "IA3 on GPT-2",
        "gpt2",
        of(peft.IA3Config, target_modules=["c_attn"], feedforward_modules=[], fan_in_fan_out=True),
    ),
    adapter("OFT", "llama", of(peft.OFTConfig, oft_block_size=8)),
    adapter("OFT by rank", "llama", of(peft.OFTConfig, r=4, oft_block_size=0)),
    adapter("BOFT", "llama", of(peft.BOFTConfig, boft_block_size=4)),
    adapter("VeRA", "llama", of(peft.VeraConfig, r=8, target_modules=["q_proj", "o_proj"])),
    adapter(
        "VeRA without its projection",
        "llama",
        of(peft.VeraConfig, r=8, target_modules=["q_proj", "o_proj"], save_projection=False),
    ),
    adapter("AdaLoRA", "llama", of(peft.AdaLoraConfig, init_r=6, target_r=4, total_step=10)),
    adapter("FourierFT", "llama", of(peft.FourierFTConfig, n_frequency=32, scaling=10.0)),
    adapter("HRA", "llama", of(peft.HRAConfig, r=4)),
    adapter("LN tuning", "llama", prompt(peft.LNTuningConfig, target_modules=["input_layernorm", "norm"])),
    adapter(
        "LN tuning of BERT",
        "bert",
        lambda: peft.LNTuningConfig(task_type="FEATURE_EXTRACTION", target_modules=["LayerNorm"]),
        kind=transformers.AutoModel,
    ),
    adapter("trainable tokens", "llama", prompt(peft.TrainableTokensConfig, token_indices=[64, 65, 300])),
    adapter(
        "trainable tokens of a tied embedding", "tied llama", prompt(peft.TrainableTokensConfig, token_indices=[64, 65])
    ),
    adapter("RandLora", "llama", of(peft.RandLoraConfig, r=4, randlora_alpha=8)),
    adapter(
        "RandLora without its projection",
        "llama",
        of(peft.RandLoraConfig, r=4, randlora_alpha=8, save_projection=False),
    ),
    adapter("SHiRA", "llama", of(peft.ShiraConfig, r=2, random_seed=7)),
    adapter("SHiRA without a seed", "llama", of(peft.ShiraConfig, r=2)),
    adapter("adaption prompt", "llama", prompt(peft.AdaptionPromptConfig, adapter_layers=1, adapter_len=4)),
    adapter("adaption prompt on GPT-2", "gpt2", prompt(peft.AdaptionPromptConfig, adapter_layers=2, adapter_len=4)),
    adapter("prompt tuning", "llama", prompt(peft.PromptTuningConfig, num_virtual_tokens=3)),
    adapter("prefix tuning", "llama", prompt(peft.PrefixTuningConfig, num_virtual_tokens=3)),
    adapter(
        "prefix tuning with a projection",
        "llama",
        prompt(peft.PrefixTuningConfig, num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=16),
    ),
    adapter("p-tuning", "llama", prompt(peft.PromptEncoderConfig, num_virtual_tokens=3, encoder_hidden_size=16)),
    adapter(
        "p-tuning with an LSTM",
        "llama",
        prompt(
            peft.PromptEncoderConfig,
            num_virtual_tokens=3,
            encoder_hidden_size=16,
            encoder_reparameterization_type="LSTM",
        ),
    ),
    adapter("MiSS", "llama", of(peft.MissConfig, r=4)),
    adapter("C3A", "llama", of(peft.C3AConfig, block_size=8)),
    adapter("RoAd", "llama", of(peft.RoadConfig, group_size=8)),
    adapter("DeLoRA", "llama", of(peft.DeloraConfig, r=4)),
    adapter("VB-LoRA", "llama", of(peft.VBLoRAConfig, r=2, num_vectors=8, vector_length=8, topk=2)),
)

CLASSIFIER = transformers.AutoModelForSequenceClassification
TAGGER = transformers.AutoModelForTokenClassification
READER = transformers.AutoModelForQuestionAnswering
TRANSLATOR = transformers.AutoModelForSeq2SeqLM
BARE = transformers.AutoModel
LISTENER = transformers.AutoModelForSpeechSeq2Seq


def task(name: str, targets: list[str], **fields: Any) -> Callable[[], Any]:  # noqa: ANN401 - fields of LoraConfig
    """Describe a LoRA for another task."""
    return lora(task_type=name, target_modules=targets, **fields)


TASKS = (
    adapter("SEQ_CLS on BERT", "bert", task("SEQ_CLS", ["query", "value"]), kind=CLASSIFIER, num_labels=5),
    adapter("SEQ_CLS on Llama", "llama", task("SEQ_CLS", ATTENTION), kind=CLASSIFIER, num_labels=3),
    adapter(
        "SEQ_CLS on GPT-2", "gpt2", task("SEQ_CLS", ["c_attn"], fan_in_fan_out=True), kind=CLASSIFIER, num_labels=2
    ),
    adapter("SEQ_CLS on ALBERT", "albert", task("SEQ_CLS", ["query", "value"]), kind=CLASSIFIER, num_labels=4),
    adapter(
        "SEQ_CLS on T5",
        "t5",
        task("SEQ_CLS", ["q", "v"], modules_to_save=["classification_head"]),
        kind=CLASSIFIER,
        num_labels=3,
    ),
    adapter("SEQ_CLS on a base with a head", "bert with a head", task("SEQ_CLS", ["query"]), kind=CLASSIFIER),
    adapter("the base's own head", "bert with a head", lora(task_type=None, target_modules=["query"]), kind=CLASSIFIER),
    adapter("TOKEN_CLS on BERT", "bert", task("TOKEN_CLS", ["query", "value"]), kind=TAGGER, num_labels=7),
    adapter("TOKEN_CLS on ALBERT", "albert", task("TOKEN_CLS", ["query", "value"]), kind=TAGGER, num_labels=3),
    adapter("TOKEN_CLS on Llama", "llama", task("TOKEN_CLS", ["q_proj"]), kind=TAGGER, num_labels=3),
    adapter("QUESTION_ANS on BERT", "bert", task("QUESTION_ANS", ["query", "value"]), kind=READER),
    adapter("QUESTION_ANS on ALBERT", "albert", task("QUESTION_ANS", ["query", "value"]), kind=READER),
    adapter("SEQ_2_SEQ_LM on T5", "t5", task("SEQ_2_SEQ_LM", ["q", "v"]), kind=TRANSLATOR),
    adapter(
        "IA3 on T5",
        "t5",
        lambda: peft.IA3Config(task_type="SEQ_2_SEQ_LM", target_modules=["k", "v", "wo"], feedforward_modules=["wo"]),
        kind=TRANSLATOR,
    ),
    adapter(
        "prompt tuning on T5",
        "t5",
        lambda: peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3),
        kind=TRANSLATOR,
    ),
    adapter(
        "prefix tuning on T5",
        "t5",
        lambda: peft.PrefixTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3),
        kind=TRANSLATOR,
    ),
    adapter(
        "prompt tuning on BERT",
        "bert",
        lambda: peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
        kind=CLASSIFIER,
        num_labels=2,
    ),
    adapter(
        "prefix tuning on BERT",
        "bert",
        lambda: peft.PrefixTuningConfig(task_type="TOKEN_CLS", num_virtual_tokens=3),
        kind=TAGGER,
        num_labels=2,
    ),
    adapter(
        "p-tuning on BERT",
        "bert",
        lambda: peft.PromptEncoderConfig(task_type="QUESTION_ANS", num_virtual_tokens=3, encoder_hidden_size=16),
        kind=READER,
    ),
    adapter("FEATURE_EXTRACTION on BERT", "bert", task("FEATURE_EXTRACTION", ["query", "value"]), kind=BARE),
    adapter("FEATURE_EXTRACTION on Llama", "llama", task("FEATURE_EXTRACTION", ["q_proj"]), kind=BARE),
    adapter("FEATURE_EXTRACTION on ALBERT", "albert", task("FEATURE_EXTRACTION", ["query", "ffn"]), kind=BARE),
    adapter("Whisper without a task", "whisper", lora(task_type=None), kind=LISTENER),
    adapter("Whisper as SEQ_2_SEQ_LM", "whisper", lora(task_type="SEQ_2_SEQ_LM"), kind=LISTENER),
    adapter("BERT without a task", "bert", lora(task_type=None, target_modules=["query"]), kind=BARE),
    adapter("T5 without a task", "t5", lora(task_type=None, target_modules=["q"]), kind=TRANSLATOR),
)
