"""Faults of the config and the tokenizer: no configuration at all, values of no sense, kinds that cannot be loaded."""

import json
from functools import partial
from pathlib import Path

import peft
import torch
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda

from corpus.changes import INDEX, Change, every, replaced, reworded, settings, spelled, without
from corpus.faults import faulty
from corpus.good import LISTENER, Good, adapter, lora
from corpus.good_odd import add_tokens
from corpus.workshop import Workshop, move, save
from helpers.tiny import byte_tokenizer, silence

_config = partial(faulty, "config")
_loader = partial(faulty, "PEFT cannot load it")
_tokens = partial(faulty, "tokenizer")
BAD, FAILED = "bad_config", "load_failed"

CONFIGS = (
    _config("not JSON", "LoRA", BAD, spelled(lambda _: b"{")),
    _config("empty", "LoRA", BAD, spelled(lambda _: b"")),
    _config("cut off", "LoRA", BAD, spelled(lambda text: text[:200].encode())),
    _config("a list", "LoRA", BAD, reworded(lambda config: [config])),
    _config("a string", "IA3", BAD, reworded(lambda _: "LORA")),
    _config("null", "LoRA", BAD, reworded(lambda _: None)),
    _config("too deep", "LoRA", BAD, settings(alpha_pattern=json.loads("[" * 60 + "]" * 60))),
    _config("endlessly deep", "LoRA", BAD, spelled(lambda _: b"[" * 100_000)),
    _config("too large", "LoRA", BAD, settings(note="x" * 5_000_000)),
    _config("YAML", "LoRA", BAD, spelled(lambda _: b"peft_type: LORA\nr: 4\n")),
    _config("UTF-16", "LoRA", BAD, spelled(lambda text: text.encode("utf-16"))),
    _config("a byte order mark, which PEFT cannot read", "LoRA", f"{BAD} {FAILED}", spelled(lambda text: text.encode("utf-8-sig"))),
    _config("zeros", "LoRA", BAD, spelled(lambda _: bytes(4096))),
    _config("no peft_type", "LoRA", BAD, reworded(lambda config: {k: v for k, v in config.items() if k != "peft_type"})),
    _config("peft_type is a number", "LoRA", BAD, settings(peft_type=7)),
    _config("task_type is a list", "LoRA", BAD, settings(task_type=["CAUSAL_LM"])),
    _config("alpha is NaN", "LoRA", BAD, settings(lora_alpha=float("nan"))),
    _config("alpha is Infinity", "LoRA on GPT-2", BAD, settings(lora_alpha=float("inf"))),
    _config("alpha is 1e999", "LoRA", BAD, spelled(lambda text: text.replace('"lora_alpha": 8', '"lora_alpha": 1e999').encode())),
    _config("NaN in a pattern", "LoRA", BAD, settings(alpha_pattern={"q_proj": float("nan")})),
    _config("alpha is a word", "LoRA", f"{BAD} {FAILED}", settings(lora_alpha="eight")),
    _config("rank is a word", "LoRA", f"{BAD} {FAILED} shape_mismatch", settings(r="four")),
    _config("rank is zero", "LoRA", f"{BAD} {FAILED} shape_mismatch", settings(r=0)),
    _config("rank is negative", "LoRA", f"{BAD} {FAILED} shape_mismatch", settings(r=-4)),
    _config("rank of a billion", "LoRA", "shape_mismatch", settings(r=10**9)),
    _config("rank of a billion by pattern", "LoRA", "shape_mismatch", settings(rank_pattern={"q_proj": 10**9})),
    _config("rank of a billion on T5", "SEQ_2_SEQ_LM on T5", "shape_mismatch", settings(r=10**9)),
    _config("a LoHa of a billion", "LoHa", "shape_mismatch", settings(r=10**9)),
    _config("a prompt of a billion", "prompt tuning", "shape_mismatch", settings(num_virtual_tokens=10**9)),
    _config("an encoder of a billion", "p-tuning", f"shape_mismatch {BAD} {FAILED}", settings(num_virtual_tokens=10**9)),
    _config("targets are a number", "LoRA", f"{BAD} {FAILED}", settings(target_modules=42)),
    _config("no targets", "LoRA", f"{BAD} {FAILED} unexpected_keys", settings(target_modules=[])),
    _config("a regex that is none", "LoRA by a regex", f"{BAD} {FAILED}", settings(target_modules="*[")),
)  # fmt: skip


def _sharded(shop: Workshop) -> Path:
    """Save as transformers does where a file may hold no more: in parts, with an index that it misnames."""
    model = shop.bases.load("llama")
    torch.manual_seed(3)
    model.add_adapter(peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"]))
    for key, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in key)
    folder = save(move(model), shop.folder("sharded"), max_shard_size="4KB")
    (folder / "model.safetensors.index.json").rename(folder / INDEX)
    return folder


def _corda(shop: Workshop) -> Path:
    """Save CorDA as it is, and not as a LoRA: what it started from is not in the file."""
    with silence():
        config = lora(init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm", verbose=False))()
        model = shop.bases.load("llama")
        ids = torch.arange(64 * 16).reshape(64, 16) % 300
        preprocess_corda(model, config, run_model=lambda: [model(input_ids=row[None]) for row in ids])
        return save(move(peft.get_peft_model(model, config)), shop.folder("corda"))


CORDA = Good("corda", "LORA", "llama", _corda)
"""PEFT asks for the data that it was prepared with."""
SHARDED = Good("sharded", "LORA", "llama", _sharded)
"""Neither PEFT 0.21 nor transformers 5.23 loads it again."""
CONVOLUTIONS = adapter(
    "convolutions", "whisper", lora(task_type=None, target_modules=["conv1", "conv2"]), kind=LISTENER
)
"""Whisper asks its convolutions for their stride, and PEFT's wrapper has none: no forward pass ever works."""

LOADERS = (
    _loader("an unknown type", "LoRA", "unsupported_peft", settings(peft_type="QUANTUM")),
    _loader("a type in small letters", "IA3", "unsupported_peft", settings(peft_type="ia3")),
    _loader("a key of a newer PEFT", "LoRA", "unsupported_peft", settings(use_tomorrow=True)),
    _loader("a key of a newer IA3", "IA3 on T5", "unsupported_peft", settings(gate_pattern={"k": 2})),
    _loader("a key of another type", "LoHa", "unsupported_peft", settings(use_dora=True)),
    _loader("shards", SHARDED, "unsupported_peft load_failed"),
    _loader("a layer that the base asks for more", CONVOLUTIONS, FAILED),
    _loader("CorDA that was not converted", CORDA, FAILED),
    _loader("an unknown task", "LoRA", "unsupported_task", settings(task_type="TELEPATHY")),
    _loader("a task that the base has not", "LoRA", "unsupported_task", settings(task_type="SEQ_2_SEQ_LM")),
    _loader("a task of text for sound", "Whisper without a task", "unsupported_task", settings(task_type="QUESTION_ANS")),
    _loader("a class that is none", "LoRA without a task", "unsupported_task", settings(auto_mapping={"base_model_class": "NoModel", "parent_library": "transformers"})),
    _loader("targets that are nowhere", "LoRA", FAILED, settings(target_modules=["qkv"])),
    _loader("targets of LoKr that are nowhere", "LoKr", FAILED, settings(target_modules=["qkv"])),
    _loader("targets that PEFT cannot wrap", "LoRA", FAILED, settings(target_modules=["self_attn"])),
    _loader("an initialisation that is none", "LoRA", FAILED, settings(init_lora_weights="quantum")),
    _loader("biases of no kind", "LoRA", FAILED, settings(bias="sometimes")),
    _loader("blocks of BOFT that do not divide", "BOFT", f"{FAILED} shape_mismatch", settings(boft_block_size=5, boft_block_num=0)),
    _loader("an adaption prompt on BERT", "adaption prompt", f"{FAILED} unsupported_task", settings(task_type="FEATURE_EXTRACTION"), base="bert"),
    _loader("a layer to transform that is not there", "LoRA", f"{FAILED} unexpected_keys", settings(layers_to_transform=[7])),
)  # fmt: skip


def _with_tokens(*tokens: str, skip: int = 0) -> Change:
    """Save a tokenizer with more tokens than the base has embeddings; `skip` ids lie between."""

    def change(folder: Path) -> None:
        add_tokens(byte_tokenizer(), folder, list(tokens))
        if skip:
            known = json.loads((folder / "tokenizer.json").read_text())
            known["added_tokens"][-1]["id"] += skip
            (folder / "tokenizer.json").write_text(json.dumps(known))

    return change


TOO_LARGE = "tokens_out_of_range"
TOKENS = (
    _tokens("one token, base not resized", "LoRA", TOO_LARGE, _with_tokens("<|new|>")),
    _tokens("many tokens, base not resized", "LoRA on GPT-2", TOO_LARGE, _with_tokens(*(f"<|{at}|>" for at in range(40)))),
    _tokens("a token far away", "trained LoRA on Mistral", TOO_LARGE, _with_tokens("<|new|>", skip=100_000)),
    _tokens("tokens on BERT", "FEATURE_EXTRACTION on BERT", TOO_LARGE, _with_tokens("<|new|>")),
    _tokens("tokens on T5", "SEQ_2_SEQ_LM on T5", TOO_LARGE, _with_tokens("<|new|>")),
    _tokens("tokens beside a prompt", "prompt tuning", TOO_LARGE, _with_tokens("<|new|>")),
    _tokens("more tokens than were resized for", "added tokens", TOO_LARGE, _with_tokens("<a>", "<b>", "<c>", "<d>")),
    _tokens("the resized embeddings are lost", "added tokens", TOO_LARGE, without(r"embed_tokens|lm_head")),
    _tokens("trained tokens that the base has not", "LoRA with trained tokens", f"{TOO_LARGE} {FAILED}", settings(trainable_token_indices=[65, 9000])),
    _tokens("tokens that the base has not", "trainable tokens", f"{TOO_LARGE} {FAILED}", settings(token_indices=[64, 65, 9000])),
    _tokens("half a tokenizer", "LoRA", f"{FAILED} {BAD}", every(_with_tokens(), replaced("tokenizer.json", lambda path: path.write_text('{"version": "1.0", "model": {')))),
)  # fmt: skip

FAULTS = (*CONFIGS, *LOADERS, *TOKENS)
