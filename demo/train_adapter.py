"""Train one LoRA adapter as anybody would, with transformers' Trainer or TRL's. Nothing here knows of adapterd."""

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments, utils

from walkthrough import measure, texts

IGNORED = -100
"""The label of padding: it has no say in the loss."""


def main() -> None:
    """Train with checkpoints into a run folder, save the adapter, measure it on text that it never saw."""
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    # What PEFT and TRL still use of transformers' deprecated names is not this script's matter.
    warnings.simplefilter("ignore", FutureWarning)
    learnt, held_out = texts.split(texts.paragraphs(given.text))
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    base = AutoModelForCausalLM.from_pretrained(given.base, dtype=torch.float32)
    before = measure.loss(base, tokenizer, held_out)
    lora = LoraConfig(
        r=given.rank,
        lora_alpha=2 * given.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    settings = {
        "output_dir": str(given.out),
        "max_steps": given.steps,
        "save_steps": given.save_steps,
        "save_total_limit": given.keep,
        "per_device_train_batch_size": given.batch,
        "learning_rate": given.rate,
        "logging_steps": given.save_steps,
        "seed": given.seed,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    began = time.perf_counter()
    if given.trainer == "trl":
        trainer = sft_trainer(base, tokenizer, lora, learnt, {**settings, "max_length": given.length})
    else:
        trainer = Trainer(
            model=get_peft_model(base, lora),
            args=TrainingArguments(**settings),
            train_dataset=[{"input_ids": tokenizer(text)["input_ids"][: given.length]} for text in learnt],
            data_collator=lambda rows: padded(rows, tokenizer.pad_token_id),
        )
    finished: dict[str, float] = {}
    trainer.add_callback(Clock(finished))
    trainer.train()
    trainer.save_model()
    finished[given.out.name] = time.time()
    seconds = time.perf_counter() - began
    figures = {
        "trainer": type(trainer).__name__,
        "loss_before": before,
        "loss_after": measure.loss(trainer.model, tokenizer, held_out),
        "seconds": round(seconds, 1),
        "finished": finished,
        "trainable": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    }
    measure.write_report(given.report, figures)


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Notes when each checkpoint was whole, to measure from there."""

    def __init__(self, finished: dict[str, float]) -> None:
        """`finished` takes the times, by the checkpoint's name."""
        self._finished = finished

    def on_save(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:  # noqa: ANN401 - the same
        """Called after a checkpoint's last file."""
        self._finished[f"checkpoint-{state.global_step}"] = time.time()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="folder of the base model")
    parser.add_argument("--text", type=Path, required=True, help="one paragraph a line")
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--trainer", choices=("transformers", "trl"), default="transformers")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--save-steps", type=int, default=40)
    parser.add_argument("--keep", type=int, default=2, help="checkpoints that are not rotated away")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=96, help="tokens of a paragraph that are used")
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def sft_trainer(base: Any, tokenizer: Any, lora: LoraConfig, learnt: Sequence[str], settings: dict[str, Any]) -> Any:  # noqa: ANN401 - TRL is not followed by mypy
    """TRL's supervised fine-tuning: the first sentence is the prompt, the loss counts the rest."""
    from datasets import Dataset  # noqa: PLC0415 - only `make e2e` installs these two
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    heads = [text.partition(". ") for text in learnt]
    rows = [{"prompt": f"{head}.", "completion": f" {rest}"} for head, _, rest in heads]
    return SFTTrainer(
        model=base,
        args=SFTConfig(**settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
    )


def padded(rows: Sequence[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """A batch, padded on the right."""
    width = max(len(row["input_ids"]) for row in rows)
    fill = [width - len(row["input_ids"]) for row in rows]
    found = [row["input_ids"] for row in rows]
    return {
        "input_ids": torch.tensor([ids + [pad] * n for ids, n in zip(found, fill, strict=True)]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * n for ids, n in zip(found, fill, strict=True)]),
        "labels": torch.tensor([ids + [IGNORED] * n for ids, n in zip(found, fill, strict=True)]),
    }


if __name__ == "__main__":
    main()
