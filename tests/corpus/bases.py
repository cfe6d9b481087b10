"""Tiny base models of many architectures, made on the fly with fixed seeds; none is larger than 200 kilobytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers

from helpers.tiny import SIZES, VOCABULARY, byte_tokenizer, silence

Make = Callable[[], Any]
"""Makes a model; transformers is not followed by mypy."""

SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MELS, FRAMES = 8, 64
"""Of the tiny Whisper's sound: bands, and pieces of time."""


def _llama(seed: int, **sizes: object) -> Make:
    config = {"vocab_size": VOCABULARY, "num_key_value_heads": 2, "tie_word_embeddings": False, **SPECIAL, **SIZES}
    return lambda: _seeded(seed, transformers.LlamaForCausalLM, transformers.LlamaConfig(**(config | sizes)))


def _mistral() -> Any:  # noqa: ANN401 - a model
    config = transformers.MistralConfig(
        vocab_size=VOCABULARY, num_key_value_heads=2, tie_word_embeddings=False, **SPECIAL, **SIZES
    )
    return _seeded(5, transformers.MistralForCausalLM, config)


def _mixtral() -> Any:  # noqa: ANN401 - a model
    config = transformers.MixtralConfig(
        vocab_size=VOCABULARY,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        tie_word_embeddings=False,
        **SPECIAL,
        **SIZES,
    )
    return _seeded(13, transformers.MixtralForCausalLM, config)


def _gpt2() -> Any:  # noqa: ANN401 - a model
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=256, n_inner=48, **SPECIAL
    )
    return _seeded(6, transformers.GPT2LMHeadModel, config)


def _bert() -> Any:  # noqa: ANN401 - a model
    return _seeded(7, transformers.BertModel, transformers.BertConfig(vocab_size=VOCABULARY, **SPECIAL, **SIZES))


def _classifier() -> Any:  # noqa: ANN401 - a model
    config = transformers.BertConfig(vocab_size=VOCABULARY, num_labels=3, **SPECIAL, **SIZES)
    return _seeded(14, transformers.BertForSequenceClassification, config)


def _albert() -> Any:  # noqa: ANN401 - a model
    sizes = SIZES | {"num_hidden_layers": 3, "embedding_size": 16}
    config = transformers.AlbertConfig(vocab_size=VOCABULARY, num_hidden_groups=1, **SPECIAL, **sizes)
    return _seeded(8, transformers.AlbertModel, config)


def _t5() -> Any:  # noqa: ANN401 - a model
    config = transformers.T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    return _seeded(9, transformers.T5ForConditionalGeneration, config)


def _whisper() -> Any:  # noqa: ANN401 - a model
    config = transformers.WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=MELS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=FRAMES // 2,
        max_target_positions=128,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
        **SPECIAL,
    )
    return _seeded(10, transformers.WhisperForConditionalGeneration, config)


def _seeded(seed: int, kind: Any, config: Any) -> Any:  # noqa: ANN401 - a class, a config, a model
    """Make a model whose weights are far enough from zero that it matters which base an adapter sits on."""
    torch.manual_seed(seed)
    with silence():
        model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    return model


MAKERS: Mapping[str, Make] = {
    "llama": _llama(1),
    "llama with other weights": _llama(2),
    "deeper llama": _llama(3, num_hidden_layers=3),
    "shallower llama": _llama(4, num_hidden_layers=1),
    "wider llama": _llama(11, hidden_size=48),
    "tied llama": _llama(12, tie_word_embeddings=True),
    "mistral": _mistral,
    "mixtral": _mixtral,
    "gpt2": _gpt2,
    "bert": _bert,
    "bert with a head": _classifier,
    "albert": _albert,
    "t5": _t5,
    "whisper": _whisper,
}


@dataclass(frozen=True)
class Bases:
    """The base models by name, each made when it is first asked for."""

    home: Path

    @cached_property
    def tokenizer(self) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
        """The one tokenizer of all of them."""
        return byte_tokenizer()

    def path(self, name: str) -> Path:
        """Where a base lies."""
        folder = self.home / name.replace(" ", "-")
        if not folder.exists():
            with silence():
                MAKERS[name]().save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
                if name == "whisper":
                    transformers.WhisperFeatureExtractor(feature_size=MELS, n_fft=64).save_pretrained(folder)
        return folder

    def load(self, name: str, kind: Any = transformers.AutoModelForCausalLM, **options: Any) -> Any:  # noqa: ANN401 - a class, its options, a model
        """Load a base as trainers do; a head that it does not have is the same each time."""
        torch.manual_seed(0)
        with silence():
            return kind.from_pretrained(self.path(name), **options)
