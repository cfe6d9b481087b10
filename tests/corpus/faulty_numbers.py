"""Faults of the values: damaged, scaled, rounded, or only one rank's part of them."""

import math
from functools import partial

import peft
import torch

from corpus.changes import blank_pages, emptied, first, flipped, poisoned, scaled, settings, shard_of, tensors
from corpus.faults import faulty
from corpus.good import adapter

_numbers = partial(faulty, "numbers")
_shards = partial(faulty, "one rank's part")
WIDE = adapter(
    "wide LoHa", "llama", lambda: peft.LoHaConfig(task_type="CAUSAL_LM", r=32, target_modules=["q_proj", "v_proj"])
)

DAMAGED = (
    _numbers("one NaN", "trained LoRA", "non_finite", first("lora_B", poisoned(math.nan))),
    _numbers("one Inf", "LoRA on GPT-2", "non_finite", first("lora_A", poisoned(math.inf))),
    _numbers("one -Inf in float16", "saved in float16", "non_finite", first("lora_A", poisoned(-math.inf))),
    _numbers("one NaN in bfloat16", "saved in bfloat16", "non_finite", first("lora_B", poisoned(math.nan))),
    _numbers("all NaN", "LoHa", "non_finite", tensors("", lambda t: torch.full_like(t, math.nan))),
    _numbers("NaN in a head", "SEQ_CLS on BERT", "non_finite", first("classifier", poisoned(math.nan))),
    _numbers("NaN in a prompt", "prompt tuning", "non_finite", first("", poisoned(math.nan))),
    _numbers("Inf in an embedding", "added tokens", "non_finite", first("embed_tokens", poisoned(math.inf))),
    _numbers("NaN in a magnitude", "DoRA", "non_finite", first("magnitude", poisoned(math.nan))),
    _numbers("a flipped bit", "trained LoRA", "absurd_values", first("lora_B", flipped)),
    _numbers("a flipped bit in bfloat16", "saved in bfloat16", "absurd_values", first("lora_A", flipped)),
    _numbers("a flipped bit on T5", "SEQ_2_SEQ_LM on T5", "absurd_values", first("decoder.*lora_B", flipped)),
    _numbers("a flipped bit in a head", "TOKEN_CLS on ALBERT", "absurd_values", first("classifier", flipped)),
    _numbers("a flipped bit in an embedding", "added tokens", "absurd_values", first("embed_tokens", flipped)),
    _numbers("a flipped bit in a prefix", "prefix tuning on T5", "absurd_values", first("", lambda t: flipped(t * 0.1))),
    _numbers("one value of a million", "LoKr", "absurd_values", first("lokr_w1", poisoned(-1e6))),
    _numbers("lora_B x1e4", "trained LoRA", "effect_too_large", tensors("lora_B", scaled(1e4))),
    _numbers("both factors x1e4", "LoRA on GPT-2", "effect_too_large absurd_values", tensors("lora_", scaled(1e4))),
    _numbers("both factors x1e6", "LoRA on Mistral", "absurd_values", tensors("lora_", scaled(1e6))),
    _numbers("LoHa x1e4", "LoHa", "effect_too_large absurd_values", tensors("hada", scaled(1e4))),
    _numbers("IA3 x1e4", "IA3", "effect_too_large absurd_values", tensors("ia3", scaled(1e4))),
    _numbers("BERT x1e5", "FEATURE_EXTRACTION on BERT", "effect_too_large absurd_values", tensors("lora_B", scaled(1e5))),
    _numbers("alpha of a million", "trained LoRA", "effect_too_large", settings(lora_alpha=1_000_000)),
    _numbers("alpha of a million on Whisper", "Whisper without a task", "effect_too_large", settings(lora_alpha=1_000_000)),
    _numbers("int8", "trained LoRA", "dtype_mismatch", tensors("", lambda t: (t * 127).round().to(torch.int8))),
    _numbers("int32", "LoRA on GPT-2", "dtype_mismatch", tensors("", lambda t: (t * 100).round().to(torch.int32))),
    _numbers("uint8", "IA3", "dtype_mismatch", tensors("", lambda t: (t * 50).clamp(0).to(torch.uint8))),
    _numbers("bool", "LoRA", "dtype_mismatch", tensors("lora_B", lambda t: t > 0)),
    _numbers("one tensor in int8", "LoRA on Mistral", "dtype_mismatch", first("lora_A", lambda t: (t * 127).to(torch.int8))),
    _numbers("a prompt in int64", "prompt tuning", "dtype_mismatch", tensors("", lambda t: (t * 100).long())),
    _numbers("indices out of the matrix", "SHiRA", "absurd_values shape_mismatch bad_weights", first("indices", lambda t: t + 1000)),
    _numbers("indices below zero", "SHiRA", "absurd_values shape_mismatch bad_weights", first("indices", lambda t: -t - 1)),
    _numbers("indices as fractions", "SHiRA", "dtype_mismatch", tensors("indices", lambda t: t.float())),
    _numbers("packed in 4 bits", "trained LoRA", "dtype_mismatch shape_mismatch", tensors("lora_", lambda t: (t.view(-1, 1)[::2] * 99).to(torch.uint8))),
)  # fmt: skip

PAGES = (
    _numbers("one page of zeros", "trained LoRA", "zeroed_pages", blank_pages(2, 1)),
    _numbers("four pages of zeros", "trained LoRA on Mistral", "zeroed_pages", blank_pages(3, 4)),
    _numbers("a second half of zeros", "trained LoRA", "zeroed_pages", blank_pages(-7, 8)),
    _numbers("a page of zeros in an embedding", "added tokens", "zeroed_pages", blank_pages(3, 1)),
    _numbers("a page of zeros in a saved head", "LoRA and a whole head", "zeroed_pages", blank_pages(2, 2)),
    _numbers("a page of zeros in LoHa", WIDE, "zeroed_pages", blank_pages(2, 1)),
)  # fmt: skip

PARTS = (
    _shards("1 of 2", "trained LoRA", "partial_rows", shard_of(2, 0)),
    _shards("2 of 2", "LoRA on Mistral", "partial_rows", shard_of(2, 1)),
    _shards("1 of 4", "LoRA", "partial_rows", shard_of(4, 0)),
    _shards("3 of 4 on T5", "SEQ_2_SEQ_LM on T5", "partial_rows", shard_of(4, 2)),
    _shards("8 of 8 on GPT-2", "LoRA on GPT-2", "partial_rows", shard_of(8, 7)),
    _shards("2 of 3, uneven", "LoRA on all linear layers", "partial_rows", shard_of(3, 1)),
    _shards("1 of 2 in bfloat16", "saved in bfloat16", "partial_rows", shard_of(2, 0)),
    _shards("1 of 4 of DoRA", "DoRA", "partial_rows", shard_of(4, 0)),
    _shards("2 of 4 on Whisper", "Whisper without a task", "partial_rows", shard_of(4, 1)),
    _shards("1 of 2 on BERT", "SEQ_CLS on BERT", "partial_rows", shard_of(2, 0)),
    _shards("both factors, 1 of 2", "trained LoRA", "partial_rows", shard_of(2, 0, "lora_")),
    _shards("ZeRO-3, all of it", "LoRA", "empty_tensors", emptied()),
    _shards("ZeRO-3, every lora_B", "trained LoRA on GPT-2", "empty_tensors", emptied("lora_B")),
    _shards("ZeRO-3, one layer", "LoRA on Mistral", "empty_tensors", emptied(r"layers\.1\.")),
    _shards("ZeRO-3, IA3", "IA3 on T5", "empty_tensors", emptied()),
    _shards("ZeRO-3, a prompt", "prefix tuning", "empty_tensors", emptied()),
    _shards("ZeRO-3, a head", "SEQ_CLS on BERT", "empty_tensors", emptied("classifier")),
    _shards("ZeRO-3, rows of none", "LoHa", "empty_tensors", tensors("hada_w1_a", lambda t: t[:0])),
)  # fmt: skip

FAULTS = (*DAMAGED, *PAGES, *PARTS)
