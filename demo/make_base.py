"""Make a small base model that has really learnt something: a tiny Llama and its tokenizer, trained on one text."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, utils

from walkthrough import measure, texts

VOCABULARY = 280
"""Little more than the bytes: a larger one is learnt by heart on so little text, and not understood."""
LENGTH = 96
BATCH = 16
RATE = 2e-3


def main() -> None:
    """Train, measure before and after, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, default=texts.FOLDER / "island.txt")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    learnt, held_out = texts.split(texts.paragraphs(given.text))
    tokenizer = make_tokenizer([p for file in sorted(texts.FOLDER.glob("*.txt")) for p in texts.paragraphs(file)])
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    began = time.perf_counter()
    before = measure.loss(model, tokenizer, held_out)
    train(model, tokenizer, learnt, given.steps)
    after = measure.loss(model, tokenizer, held_out)
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    figures = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss_before": before,
        "loss_after": after,
        "seconds": round(time.perf_counter() - began, 1),
    }
    measure.write_report(given.report, figures)


def make_tokenizer(corpus: Sequence[str]) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """A byte-level BPE tokenizer of the corpus."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<pad>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")  # noqa: S106 - no password


def train(model: Any, tokenizer: Any, learnt: Sequence[str], steps: int) -> None:  # noqa: ANN401 - the same
    """Plain next-token training on windows of the text, drawn at random."""
    stream = torch.tensor([t for text in learnt for t in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(steps):
        starts = torch.randint(len(stream) - LENGTH, (BATCH,), generator=generator).tolist()
        batch = torch.stack([stream[start : start + LENGTH] for start in starts])
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    main()
