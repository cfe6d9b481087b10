"""The one table of what serving engines do with an adapter, by trait: what was read where, up to which release. Data.

A rule says what one engine does with an adapter that has one trait of `core.enginetraits`. Rows are Python values and
no file beside it: so they are checked by types and by the tests as every other line, and the core reads nothing.

An engine's new release is read anew: its row says the new `read`, its rules what changed, and since a verdict may rest
on them where an engine is required, `core.verdict.VALIDATOR_VERSION` grows.
"""

from dataclasses import dataclass

YES, NO, UNKNOWN = "yes", "no", "unknown"
FULL, PARTIAL, NONE = "full", "partial", "none"


@dataclass(frozen=True, slots=True)
class Engine:
    """A serving engine; its rules hold from `since` up to `below`, the release after the one that was read last."""

    name: str
    title: str
    since: str
    below: str
    read: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What an engine does with an adapter that has a trait.

    Attributes:
        takes: whether it loads it: `YES`, `NO` or `UNKNOWN`.
        effect: what comes of it: `FULL`, `PARTIAL`, `NONE` or `UNKNOWN`; of no account where it is not taken.
        text: why, for a reader; ``{}`` is the trait's detail.
        source: where it is written: a path in the engine's source, or the URL of an issue.
    """

    engine: str
    trait: str
    takes: str
    effect: str
    text: str
    source: str


ENGINES = (
    Engine("peft", "PEFT", "0.3", "0.22", "releases 0.3.0 to 0.21.2"),
    Engine("transformers", "transformers", "5.23", "5.24", "release 5.23.0, each kind loaded and compared with PEFT"),
    Engine(
        "vllm", "vLLM", "0.33", "0.34", "release 0.33.0; of 0.10.2 and 0.30.0 to 0.32.0 what they read of the config"
    ),
    Engine("sglang", "SGLang", "0.5.23", "0.5.24", "release 0.5.23"),
    Engine("lorax", "TGI and LoRAX", "", "", "the main branches of both"),
)

_NATIVE = "transformers/integrations/peft.py"
_INJECT = "peft/mapping.py, inject_adapter_in_model"
_HELPER = "vllm/lora/peft_helper.py"
_MODEL = "vllm/lora/lora_model.py"
_NAMES = "vllm/lora/utils.py"
_SG = "python/sglang/srt/lora/lora.py"
_SG_CONFIG = "python/sglang/srt/lora/lora_config.py"
_SG_MANAGER = "python/sglang/srt/lora/lora_manager.py"
_SG_POOL = "python/sglang/srt/lora/mem_pool.py"
_TGI = "server/text_generation_server/adapters/lora.py"
_TGI_MAP = "server/text_generation_server/utils/adapter.py"

# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("transformers", "no_weights_of_its_own", NO, NONE, "{} is not injected into layers; load_adapter refuses it", _INJECT),
    Rule("transformers", "shared_state", NO, NONE, "{} keeps tensors in PEFT's own model; load_adapter refuses it", _INJECT),
    Rule("transformers", "dora", YES, PARTIAL, "load_adapter leaves DoRA's magnitudes out and goes on", _NATIVE),
    Rule("transformers", "alora", YES, NONE, "the invocation tokens of aLoRA are looked for by PEFT's own model alone", _NATIVE),

    Rule("vllm", "not_lora", NO, NONE, "it reads LoRA alone, this is {}", _HELPER),
    Rule("vllm", "dora", NO, NONE, "it refuses DoRA", _HELPER),
    Rule("vllm", "saved", NO, NONE, "it takes no layers that are saved in full: {}", _HELPER),
    Rule("vllm", "resized", NO, NONE, "LoRA of embeddings has {} rows, which the base has not", _MODEL),
    Rule("vllm", "head", UNKNOWN, UNKNOWN, "it takes {} where the served base has a head of its own in its place; before 0.31 never", _HELPER),
    Rule("vllm", "bias", NO, NONE, "it refuses bias: {}", _HELPER),
    Rule("vllm", "lora_bias", NO, NONE, "it refuses lora_bias", _HELPER),
    Rule("vllm", "moved_base", NO, NONE, "it refuses init_lora_weights: {}, which moves the base; before 0.32 it is served on the unmoved base", _HELPER),
    Rule("vllm", "alora", NO, NONE, "it refuses aLoRA; before 0.32 it is served as LoRA", _HELPER),
    Rule("vllm", "replication", NO, NONE, "it refuses layer_replication", _HELPER),
    Rule("vllm", "block_diagonal", NO, NONE, "it refuses block-diagonal LoRA", _HELPER),
    Rule("vllm", "qalora", NO, NONE, "it refuses QALoRA", _HELPER),
    Rule("vllm", "huge_rank", NO, NONE, "rank {} is above 512, the largest --max-lora-rank", "vllm/config/lora.py"),
    Rule("vllm", "patterns", YES, FULL, "{}: before 0.32 it is left out without a word", _HELPER),
    Rule("vllm", "tokens", NO, NONE, "the tensors of trained tokens are no LoRA weights to it", _NAMES),
    Rule("vllm", "parameters", UNKNOWN, UNKNOWN, "target_parameters: it takes those of fused experts alone", _MODEL),
    Rule("vllm", "shards", NO, NONE, "it looks for one adapter_model.safetensors, here are {} files", _MODEL),
    Rule("vllm", "vllm_refuses", NO, NONE, "its class for {} takes no LoRA", "vllm/model_executor/models/registry.py"),
    Rule("vllm", "vllm_unknown", UNKNOWN, UNKNOWN, "it has no class of its own for {}; transformers' may be used", "vllm/model_executor/models/registry.py"),
    Rule("vllm", "wrapped", YES, NONE, "{} has its language model under language_model, these names have not: no layer matches, and the base is served", "https://github.com/vllm-project/vllm/issues/48019"),

    Rule("sglang", "not_lora", NO, NONE, "it reads LoRA alone, this is {}", _SG),
    Rule("sglang", "dora", NO, NONE, "it refuses DoRA", _SG_MANAGER),
    Rule("sglang", "added_tokens", NO, NONE, "it refuses adapters that add tokens: {} in added_tokens.json", _SG_MANAGER),
    Rule("sglang", "regex", NO, NONE, "it wants target_modules as a list, this is a pattern", "python/sglang/srt/lora/utils.py"),
    Rule("sglang", "rslora", YES, PARTIAL, "it scales by alpha / r, so that rsLoRA is too weak by the root of the rank", "https://github.com/sgl-project/sglang/issues/40835"),
    Rule("sglang", "ranks", NO, NONE, "tensors of rank {} do not fit the buffers that it cuts for r", _SG_POOL),
    Rule("sglang", "alpha_pattern", YES, PARTIAL, "it does not read alpha_pattern", _SG),
    Rule("sglang", "fused", NO, NONE, "{}: it fuses these layers and looks for both", _SG),
    Rule("sglang", "saved_inside", NO, NONE, "it takes no layers that are saved in full: {}", _SG_POOL),
    Rule("sglang", "saved_outside", YES, PARTIAL, "layers that are saved in full are left out: {}", _SG),
    Rule("sglang", "head", UNKNOWN, PARTIAL, "a head of the adapter's own is left out", _SG),
    Rule("sglang", "tokens", YES, PARTIAL, "the tensors of trained tokens are left out", _SG),
    Rule("sglang", "bias", UNKNOWN, UNKNOWN, "it does not know of bias: {}", _SG),
    Rule("sglang", "lora_bias", UNKNOWN, UNKNOWN, "it does not know of lora_bias", _SG),
    Rule("sglang", "moved_base", YES, PARTIAL, "init_lora_weights: {} moves the base in PEFT, and not here", _SG_CONFIG),
    Rule("sglang", "alora", YES, PARTIAL, "it is applied to the whole text, not from its invocation on", _SG_CONFIG),
    Rule("sglang", "replication", NO, NONE, "it has no layers for layer_replication", _SG),
    Rule("sglang", "block_diagonal", UNKNOWN, UNKNOWN, "it does not know of block-diagonal LoRA", _SG_CONFIG),
    Rule("sglang", "qalora", UNKNOWN, UNKNOWN, "it does not know of QALoRA", _SG_CONFIG),
    Rule("sglang", "parameters", UNKNOWN, UNKNOWN, "it does not know of target_parameters", _SG_CONFIG),
    Rule("sglang", "resized", UNKNOWN, UNKNOWN, "LoRA of embeddings has {} rows, which the base has not", _SG_POOL),
    Rule("sglang", "unnumbered", UNKNOWN, NONE, "names without layers.N are left out, as {}", _SG),

    Rule("lorax", "not_lora", NO, NONE, "it reads LoRA alone, this is {}", _TGI),
    Rule("lorax", "dora", YES, PARTIAL, "DoRA's magnitudes are left out", _TGI),
    Rule("lorax", "ranks", UNKNOWN, PARTIAL, "it scales tensors of rank {} by alpha / r, and stacks one rank for each kind of layer", _TGI),
    Rule("lorax", "alpha_pattern", YES, PARTIAL, "it does not read alpha_pattern", _TGI),
    Rule("lorax", "saved_inside", YES, PARTIAL, "layers that are saved in full are left out: {}", _TGI),
    Rule("lorax", "saved_outside", YES, PARTIAL, "layers that are saved in full are left out: {}", _TGI),
    Rule("lorax", "tokens", YES, PARTIAL, "the tensors of trained tokens are left out", _TGI),
    Rule("lorax", "embedding_factors", YES, PARTIAL, "LoRA of embeddings is left out", _TGI),
    Rule("lorax", "bias", YES, PARTIAL, "bias: {} is left out", _TGI),
    Rule("lorax", "lora_bias", YES, PARTIAL, "lora_bias is left out", _TGI),
    Rule("lorax", "moved_base", YES, PARTIAL, "init_lora_weights: {} moves the base in PEFT, and not here", _TGI),
    Rule("lorax", "alora", YES, PARTIAL, "it is applied to the whole text, not from its invocation on", _TGI),
    Rule("lorax", "replication", UNKNOWN, UNKNOWN, "it does not know of layer_replication", _TGI),
    Rule("lorax", "block_diagonal", UNKNOWN, UNKNOWN, "it does not know of block-diagonal LoRA", _TGI),
    Rule("lorax", "qalora", UNKNOWN, UNKNOWN, "it does not know of QALoRA", _TGI),
    Rule("lorax", "parameters", UNKNOWN, UNKNOWN, "it does not know of target_parameters", _TGI),
    Rule("lorax", "some_gaps", YES, PARTIAL, "a kind of layer is used only if every layer of the base has it; not so {}", _TGI),
    Rule("lorax", "only_gaps", YES, NONE, "a kind of layer is used only if every layer of the base has it; not so {}", _TGI),
    Rule("lorax", "other_layers", UNKNOWN, UNKNOWN, "TGI knows no {}; LoRAX has a list for each architecture", _TGI_MAP),
    Rule("lorax", "no_text", UNKNOWN, UNKNOWN, "it generates text, this is for {}", _TGI_MAP),
)
# fmt: on


def page() -> str:
    """The reference page, in Markdown."""
    lines = [
        "# Serving engines",
        "",
        "What the report, the manifest and the card say of serving engines comes from this table. Generated from",
        "`core/enginerules.py`.",
        "",
        "| engine | holds for | read |",
        "|---|---|---|",
        *(f"| {e.title} (`{e.name}`) | {versions(e, e.since) or 'as read'} | {e.read} |" for e in ENGINES),
        "",
        "A rule applies to an adapter that has the trait; `{}` stands for what it is of this one. An adapter without any",
        "of them is taken, and does what it was trained to do.",
        "",
        "The rows about vLLM and SGLang are held against what their own loaders answered to every kind of adapter that PEFT",
        "makes (`tests/core/engine_answers`, by release); those about TGI and LoRAX were read, and nobody was asked.",
        "",
        "| engine | trait | taken | effect | why | source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {r.engine} | `{r.trait}` | {r.takes} | {r.effect} | {r.text} | {r.source} |" for r in RULES]
    return "\n".join([*lines, ""])


def versions(engine: Engine, since: str) -> str:
    """A range of releases, as package managers write it; empty where there are none to name."""
    return f">={since},<{engine.below}" if engine.below else ""
