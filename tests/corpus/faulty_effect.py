"""Faults that leave the model as it was: nothing was trained, nothing is scaled in, or no key is recognised."""

from functools import partial

import peft
import torch

from corpus.changes import every, renamed, settings, tensors, weights
from corpus.faults import Faulty, faulty
from corpus.good import CLASSIFIER, TRANSLATOR, Good, adapter, lora, of, prompt, task

_silent = partial(faulty, "no effect")
_prefixed = partial(faulty, "keys under another prefix")
BODY = r"^base_model\.model\."
OTHER = "unexpected_keys missing_keys"


def _fresh(good: Good) -> Faulty:
    """Describe an adapter that was saved before its first step."""
    return _silent(f"untrained {good.name.removeprefix('fresh ')}", good, "no_effect")


UNTRAINED = tuple(
    _fresh(adapter(f"fresh {name}", base, config, moved=0.0, **options))
    for name, base, config, options in (
        ("LoRA", "llama", lora(), {}),
        ("LoRA on GPT-2", "gpt2", lora(target_modules=["c_attn"], fan_in_fan_out=True), {}),
        ("LoRA on T5", "t5", task("SEQ_2_SEQ_LM", ["q", "v"]), {"kind": TRANSLATOR}),
        ("LoRA below a trained head", "bert", task("SEQ_CLS", ["query"]), {"kind": CLASSIFIER}),
        ("DoRA", "llama", lora(use_dora=True), {}),
        ("rsLoRA", "llama", lora(use_rslora=True), {}),
        ("PiSSA", "llama", lora(init_lora_weights="pissa"), {}),
        ("OLoRA", "llama", lora(init_lora_weights="olora"), {}),
        ("LoRA on an embedding", "llama", lora(target_modules=["embed_tokens"]), {}),
        ("target parameters", "llama", lora(target_modules=[], target_parameters=["q_proj.weight"]), {}),
        ("LoHa", "llama", of(peft.LoHaConfig), {}),
        ("LoKr", "mistral", of(peft.LoKrConfig), {}),
        ("IA3", "llama", of(peft.IA3Config, feedforward_modules=[]), {}),
        ("OFT", "llama", of(peft.OFTConfig, oft_block_size=8), {}),
        ("BOFT", "llama", of(peft.BOFTConfig, boft_block_size=4), {}),
        ("VeRA", "llama", of(peft.VeraConfig, r=8, target_modules=["q_proj"], d_initial=0.0), {}),
        ("AdaLoRA", "llama", of(peft.AdaLoraConfig, init_r=6, target_r=4, total_step=10), {}),
        ("HRA", "llama", of(peft.HRAConfig, r=4), {}),
        ("MiSS", "llama", of(peft.MissConfig, r=4), {}),
        ("RandLora", "llama", of(peft.RandLoraConfig, r=4), {}),
        ("SHiRA", "llama", of(peft.ShiraConfig, r=2, random_seed=7), {}),
        ("RoAd", "llama", of(peft.RoadConfig, group_size=8), {}),
        ("LN tuning", "llama", prompt(peft.LNTuningConfig, target_modules=["input_layernorm"]), {}),
        ("trainable tokens", "llama", prompt(peft.TrainableTokensConfig, token_indices=[64, 65]), {}),
        ("adaption prompt", "llama", prompt(peft.AdaptionPromptConfig, adapter_layers=1, adapter_len=4), {}),
    )
)

ZEROS = (
    _silent("lora_B is zero", "trained LoRA", "no_effect", tensors("lora_B", torch.zeros_like)),
    _silent("lora_A is zero", "trained LoRA on GPT-2", "no_effect", tensors("lora_A", torch.zeros_like)),
    _silent("lora_B is minus zero", "LoRA on Mistral", "no_effect", tensors("lora_B", lambda t: torch.zeros_like(t) * -1)),
    _silent("lora_B is zero in bfloat16", "saved in bfloat16", "no_effect", tensors("lora_B", torch.zeros_like)),
    _silent("all values are zero", "LoRA", "no_effect zeroed_pages", tensors("", torch.zeros_like)),
    _silent("hada_w2_a is zero", "LoHa", "no_effect", tensors("hada_w2_a", torch.zeros_like)),
    _silent("IA3 of ones", "IA3 on GPT-2", "no_effect", tensors("", torch.ones_like)),
    _silent("VeRA without lambda_d", "VeRA", "no_effect", tensors("lambda_d", torch.zeros_like)),
    _silent("alpha is zero", "LoRA", "no_effect", settings(lora_alpha=0)),
    _silent("alpha is zero on Whisper", "Whisper without a task", "no_effect", settings(lora_alpha=0)),
    _silent("alpha is zero by pattern", "LoRA", "no_effect", settings(alpha_pattern={"q_proj": 0, "v_proj": 0})),
    _silent("alpha of LoHa is zero", "LoHa", "no_effect", settings(alpha=0)),
    _silent("lost in float16", "LoRA", "no_effect", tensors("lora_B", lambda t: (t * 1e-9).half())),
    _silent("a prompt without tokens", "prompt tuning", "empty_tensors", every(tensors("", lambda t: t[:0]), settings(num_virtual_tokens=0))),
    _silent("no tensors", "LoRA", "missing_keys", weights(lambda _: {})),
    _silent("no tensors of IA3", "IA3", "missing_keys", weights(lambda _: {})),
)  # fmt: skip

PREFIXES = (
    _prefixed("compiled", "LoRA", "key_prefix", renamed(BODY, "base_model.model._orig_mod.")),
    _prefixed("compiled, outside", "LoRA", "key_prefix", renamed("^", "_orig_mod.")),
    _prefixed("compiled, layer by layer", "LoRA", "key_prefix", renamed(r"(layers\.\d+\.)", r"\1_orig_mod.")),
    _prefixed("compiled T5", "SEQ_2_SEQ_LM on T5", "key_prefix", renamed(BODY, "base_model.model._orig_mod.")),
    _prefixed("compiled IA3", "IA3", "key_prefix", renamed("^", "_orig_mod.")),
    _prefixed("DDP", "LoRA on GPT-2", "key_prefix", renamed("^", "module.")),
    _prefixed("DDP, inside", "DoRA", "key_prefix", renamed(BODY, "base_model.model.module.")),
    _prefixed("FSDP", "LoRA on Mistral", "key_prefix", renamed(BODY, "base_model.model._fsdp_wrapped_module.")),
    _prefixed("checkpointed layers", "LoRA", "key_prefix", renamed(r"(layers\.\d+\.)", r"\1_checkpoint_wrapped_module.")),
    _prefixed("adapter name left in", "LoRA", "key_prefix", renamed(r"\.weight$", ".default.weight")),
    _prefixed("another adapter name", "SEQ_2_SEQ_LM on T5", "key_prefix", renamed(r"(lora_[AB])", r"\1.sft")),
    _prefixed("adapter name left in LoHa", "LoHa", "key_prefix", renamed("$", ".default")),
    _prefixed("adapter name left in IA3", "IA3", "key_prefix", renamed("$", ".default")),
    _prefixed("doubled", "LoRA", "key_prefix", renamed("^", "base_model.model.")),
    _prefixed("doubled on Whisper", "Whisper without a task", "key_prefix", renamed("^", "base_model.model.")),
    _prefixed("no prefix", "LoRA", "key_prefix", renamed(BODY, "")),
    _prefixed("no prefix on BERT", "FEATURE_EXTRACTION on BERT", "key_prefix", renamed(BODY, "")),
    _prefixed("half a prefix", "OFT", "key_prefix", renamed(BODY, "base_model.")),
    _prefixed("the body's own", "trained LoRA on GPT-2", "key_prefix", renamed(r"transformer\.", "")),
    _prefixed("the body's, twice", "LoKr", "key_prefix", renamed(r"(model\.layers)", r"model.\1")),
    _prefixed("a multimodal model's", "LoRA", "key_prefix", renamed(r"model\.layers", "model.language_model.layers")),
    _prefixed("the classifier's body", "SEQ_CLS on BERT", "key_prefix", renamed(r"\.bert\.", ".")),
    _prefixed("another task's", "LoRA", f"key_prefix {OTHER}", settings(task_type="FEATURE_EXTRACTION")),
    _prefixed("another architecture", "LoRA", OTHER, renamed("self_attn", "attention")),
    _prefixed("another architecture's layers", "LoRA on GPT-2", OTHER, renamed(r"transformer\.h\.", "gpt_neox.layers.")),
    _prefixed("layers counted on", "LoRA", OTHER, renamed(r"layers\.", "layers.1")),
    _prefixed("kohya's names", "LoRA", OTHER, renamed(r"lora_A", "lora_down")),
    _prefixed("a prompt as it stands in the model", "prompt tuning", OTHER, renamed("^prompt_embeddings$", "prompt_encoder.default.embedding.weight")),
)  # fmt: skip

FAULTS = (*UNTRAINED, *ZEROS, *PREFIXES)
