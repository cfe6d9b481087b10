"""Faults of which tensors there are: some have no place, some are missing, some are the base's own or the head's."""

import re
from functools import partial

import torch

from corpus.changes import Tensors, added, every, renamed, scaled, settings, tensors, weights, without
from corpus.faults import faulty
from corpus.good import CLASSIFIER, READER, TAGGER, Good, adapter, lora, task
from corpus.good_odd import native

_part = partial(faulty, "part of it is not loaded")
_base = partial(faulty, "overwrites the base")
_head = partial(faulty, "head not saved")
MORE, LESS, SHAPE, OWN = "unexpected_keys", "missing_keys", "shape_mismatch", "base_keys"

CONFIGURED = (
    _part("targets shrunk", "LoRA", MORE, settings(target_modules=["q_proj"])),
    _part("targets grown", "LoRA", LESS, settings(target_modules=["q_proj", "v_proj", "down_proj"])),
    _part("targets shrunk on T5", "SEQ_2_SEQ_LM on T5", MORE, settings(target_modules=["q"])),
    _part("targets grown on Whisper", "Whisper without a task", LESS, settings(target_modules=["q_proj", "v_proj", "fc1"])),
    _part("targets of LoHa shrunk", "LoHa", MORE, settings(target_modules=["v_proj"])),
    _part("targets of IA3 grown", "IA3", LESS, settings(target_modules=["k_proj", "down_proj", "q_proj"])),
    _part("targets of LN tuning shrunk", "LN tuning", MORE, settings(target_modules=["norm"])),
    _part("a narrower regex", "LoRA by a regex", MORE, settings(target_modules=r".*layers\.1\..*\.q_proj")),
    _part("a wider regex", "LoRA by a regex", LESS, settings(target_modules=r".*\.(q|up)_proj")),
    _part("only some layers", "LoRA", MORE, settings(layers_to_transform=[0])),
    _part("all layers", "LoRA on some layers", LESS, settings(layers_to_transform=None, layers_pattern=None)),
    _part("a layer excluded", "LoRA", MORE, settings(exclude_modules=r".*layers\.0\..*")),
    _part("no layer excluded", "LoRA with excluded layers", LESS, settings(exclude_modules=None)),
    _part("DoRA flag off", "DoRA", MORE, settings(use_dora=False)),
    _part("DoRA flag off on GPT-2", "DoRA on GPT-2", MORE, settings(use_dora=False)),
    _part("DoRA flag on", "LoRA", LESS, settings(use_dora=True)),
    _part("bias of its own off", "LoRA with a bias of its own", MORE, settings(lora_bias=False)),
    _part("another rank", "LoRA", SHAPE, settings(r=8)),
    _part("another rank on ALBERT", "FEATURE_EXTRACTION on ALBERT", SHAPE, settings(r=2)),
    _part("rank of LoKr", "LoKr in two factors", f"{SHAPE} {LESS} {MORE}", settings(r=3)),
    _part("rank of HRA", "HRA", SHAPE, settings(r=6)),
    _part("blocks of OFT", "OFT", SHAPE, settings(oft_block_size=16)),
    _part("blocks of BOFT", "BOFT", SHAPE, settings(boft_block_size=8, boft_block_num=0)),
    _part("frequencies of FourierFT", "FourierFT", SHAPE, settings(n_frequency=16)),
    _part("size of SHiRA", "SHiRA", SHAPE, settings(r=3)),
    _part("rank pattern dropped", "rank and alpha patterns", SHAPE, settings(rank_pattern={})),
    _part("rank pattern added", "LoRA", SHAPE, settings(rank_pattern={"v_proj": 2})),
    _part("saved head dropped", "LoRA and a whole head", f"{MORE} {OWN}", settings(modules_to_save=None)),
    _part("saved head added", "LoRA", f"{LESS} head_missing", settings(modules_to_save=["lm_head"])),
    _part("trained tokens dropped", "LoRA with trained tokens", MORE, settings(trainable_token_indices=None)),
    _part("more trained tokens", "LoRA with trained tokens", SHAPE, settings(trainable_token_indices=[65, 66, 67])),
    _part("more tokens", "trainable tokens", SHAPE, settings(token_indices=[64, 65, 300, 301])),
    _part("layers not repeated", "repeated layers", MORE, settings(layer_replication=None)),
    _part("virtual tokens", "prompt tuning", SHAPE, settings(num_virtual_tokens=5)),
    _part("virtual tokens of prefix tuning", "prefix tuning", SHAPE, settings(num_virtual_tokens=2)),
    _part("virtual tokens of p-tuning on BERT", "p-tuning on BERT", SHAPE, settings(num_virtual_tokens=4)),
    _part("layers of an adaption prompt", "adaption prompt", LESS, settings(adapter_layers=2)),
    _part("length of an adaption prompt", "adaption prompt on GPT-2", SHAPE, settings(adapter_len=6)),
    _part("another type", "LoRA", f"{MORE} {LESS}", settings(peft_type="ADALORA", init_r=4, target_r=4, total_step=10)),
)  # fmt: skip


def _both(held: Tensors) -> Tensors:
    """Save the state of a model with two adapters as if there were one."""
    one = {re.sub(r"(lora_[AB])", r"\1.default", key): tensor for key, tensor in held.items()}
    return one | {key.replace(".default.", ".second."): tensor.clone() for key, tensor in one.items()}


LOST = (
    _part("a layer lost", "LoRA", LESS, without(r"layers\.1\.")),
    _part("one tensor lost", "trained LoRA on Mistral", LESS, without(r"layers\.0\.mlp\.up_proj\.lora_B")),
    _part("every lora_B lost", "LoRA on GPT-2", LESS, without("lora_B")),
    _part("magnitudes lost", "DoRA", LESS, without("magnitude")),
    _part("experts lost", "LoRA on Mixtral's experts", LESS, without("experts")),
    _part("half of the experts' factors lost", "LoRA on Mixtral's experts", LESS, without(r"experts\.base_layer")),
    _part("experts of another architecture", "LoRA on Mixtral's experts", f"{MORE} {LESS}", renamed(r"mlp\.experts", "feed_forward.experts")),
    _part("two adapters in one file", "default of two named adapters", f"{MORE} {LESS} key_prefix", weights(_both)),
    _part("decoder lost", "SEQ_2_SEQ_LM on T5", LESS, without("decoder")),
    _part("encoder lost", "Whisper without a task", LESS, without("encoder")),
    _part("projection lost", "VeRA", LESS, without(r"vera_[AB]")),
    _part("indices lost", "SHiRA without a seed", LESS, without("indices")),
    _part("half of a LoHa lost", "LoHa", LESS, without("hada_w2")),
    _part("layers that are not shared", "FEATURE_EXTRACTION on ALBERT", f"{MORE} {LESS}", renamed("albert_layers.0", "albert_layers.1")),
    _part("factors exchanged", "trained LoRA", SHAPE, every(renamed("lora_A", "lora_C"), renamed("lora_B", "lora_A"), renamed("lora_C", "lora_B"))),
    _part("factors transposed", "trained LoRA", SHAPE, tensors("lora_", torch.t)),
    _part("columns lost", "SEQ_2_SEQ_LM on T5", SHAPE, tensors("lora_A", lambda t: t[:, :-1])),
    _part("flattened", "LoRA on Mistral", SHAPE, tensors("lora_B", torch.flatten)),
    _part("a deeper base", "LoRA", LESS, base="deeper llama"),
    _part("a shallower base", "LoRA", MORE, base="shallower llama"),
    _part("a shallower base for LoHa", "LoHa", MORE, base="shallower llama"),
    _part("a deeper base for a prefix", "prefix tuning", f"{SHAPE} load_failed", base="deeper llama"),
    _part("a wider base", "LoRA", SHAPE, base="wider llama"),
    _part("a wider base for a prompt", "prompt tuning", f"{SHAPE} load_failed", base="wider llama"),
    _part("another base altogether", "LoRA on GPT-2", f"{MORE} {LESS} load_failed", base="llama"),
    _part("a decoder's adapter on an encoder", "LoRA", f"{MORE} {LESS} load_failed unsupported_task", base="bert"),
)  # fmt: skip

PREFIX = "base_model.model."
OF_BASE = (
    _base("a norm", "LoRA", OWN, added(f"{PREFIX}model.norm.weight", 32)),
    _base("a norm of BERT", "SEQ_CLS on BERT", OWN, added(f"{PREFIX}bert.embeddings.LayerNorm.weight", 32)),
    _base("a norm of T5", "SEQ_2_SEQ_LM on T5", OWN, added(f"{PREFIX}encoder.final_layer_norm.weight", 32)),
    _base("the wrapped layer", "LoRA", OWN, added(f"{PREFIX}model.layers.0.self_attn.q_proj.base_layer.weight", 32, 32)),
    _base("the wrapped layer by its old name", "LoRA", OWN, added(f"{PREFIX}model.layers.0.self_attn.q_proj.weight", 32, 32)),
    _base("a layer beside", "LoHa", OWN, added(f"{PREFIX}model.layers.1.mlp.up_proj.weight", 48, 32)),
    _base("the head", "LoRA", OWN, added(f"{PREFIX}lm_head.weight", 320, 32)),
    _base("the embedding", "LoRA on Mistral", OWN, added(f"{PREFIX}model.embed_tokens.weight", 320, 32)),
    _base("the positions", "LoRA on GPT-2", OWN, added(f"{PREFIX}transformer.wpe.weight", 256, 32)),
    _base("a bias", "trained LoRA on GPT-2", OWN, added(f"{PREFIX}transformer.h.0.attn.c_attn.base_layer.bias", 96)),
    _base("a shared layer", "FEATURE_EXTRACTION on ALBERT", OWN, added(f"{PREFIX}encoder.embedding_hidden_mapping_in.weight", 32, 16)),
    _base("a norm beside a prompt", "prompt tuning", f"{OWN} {MORE}", added("base_model.model.norm.weight", 32)),
    _base("the embedding beside its factors, altered", "LoRA on an embedding", OWN, tensors("base_layer", scaled(1.5))),
    _base("the embedding of a base without its tokens", "LoRA on a tied embedding", OWN, tensors("base_layer", torch.zeros_like)),
    _base("biases that the config does not name", "bias all", f"{OWN} {MORE}", settings(bias="none")),
    _base("fewer biases than the file has", "bias all", f"{OWN} {MORE}", settings(bias="lora_only")),
)  # fmt: skip


def _headless(name: str, base: str, kind: object, targets: list[str]) -> Good:
    """Describe an adapter of a classifier that was saved without a task type, and therefore without its head."""
    return adapter(f"headless {name}", base, lora(task_type=None, target_modules=targets), kind=kind)


def _native(base: str, kind: type, targets: list[str]) -> Good:
    """Describe a native save of a classifier, which holds no head either."""
    return Good(f"native headless {base}", "LORA", base, native(base, kind, targets))


HEADS = (
    _head("SEQ_CLS, null task", _headless("BERT", "bert", CLASSIFIER, ["query"]), "head_missing"),
    _head("SEQ_CLS on Llama, null task", _headless("Llama", "llama", CLASSIFIER, ["q_proj"]), "head_missing"),
    _head("TOKEN_CLS, null task", _headless("tagger", "bert", TAGGER, ["query"]), "head_missing"),
    _head("QUESTION_ANS, null task", _headless("reader", "albert", READER, ["query"]), "head_missing"),
    _head("SEQ_CLS on T5, whose head has another name", adapter("headless T5", "t5", task("SEQ_CLS", ["q"]), kind=CLASSIFIER), "head_missing"),
    _head("SEQ_CLS, taken out", "SEQ_CLS on BERT", "head_missing", without("classifier")),
    _head("SEQ_CLS on Llama, taken out", "SEQ_CLS on Llama", "head_missing", without("score")),
    _head("SEQ_CLS on GPT-2, taken out", "SEQ_CLS on GPT-2", "head_missing", without("score")),
    _head("TOKEN_CLS, taken out", "TOKEN_CLS on BERT", "head_missing", without("classifier")),
    _head("TOKEN_CLS on ALBERT, taken out", "TOKEN_CLS on ALBERT", "head_missing", without("classifier")),
    _head("QUESTION_ANS, taken out", "QUESTION_ANS on BERT", "head_missing", without("qa_outputs")),
    _head("only the head's weight taken out", "QUESTION_ANS on ALBERT", f"head_missing {LESS}", without(r"qa_outputs\.weight")),
    _head("beside a prompt", "prompt tuning on BERT", "head_missing", without("classifier")),
    _head("beside a prefix", "prefix tuning on BERT", "head_missing", without("classifier")),
)  # fmt: skip

FAULTS = (*CONFIGURED, *LOST, *OF_BASE, *HEADS)
