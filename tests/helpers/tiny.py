"""Tiny models for tests: a tokenizer made on the fly, their sizes, and silence around PEFT."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from adapterd.core.probetexts import TEXTS

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
"""Of a Llama, a Mistral or a BERT of some kilobytes."""

VOCABULARY = 320
"""Tokens of the tokenizer: every byte, three special ones, and some pairs from the probe texts."""


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let PEFT warn as it likes while it makes and saves adapters: what it says is not under test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def byte_tokenizer() -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """Make a byte-level tokenizer, trained on the probe texts."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXTS, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
