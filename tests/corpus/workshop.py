"""Makes adapters with real PEFT: wraps a base, moves or trains what is trainable, saves it as trainers do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from adapterd.core.probetexts import TEXTS
from corpus.bases import Bases
from helpers.tiny import silence

MOVED = 0.05
"""Standard deviation of what training adds to each parameter, where it is not really trained."""


@dataclass
class Workshop:
    """The bases, and the adapters that were made so far, by name."""

    bases: Bases
    home: Path
    made: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def at(cls, home: Path) -> "Workshop":
        """Open a workshop in an empty folder."""
        torch.set_num_threads(1)
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        for name in ("bases", "adapters"):
            (home / name).mkdir(parents=True)
        return cls(Bases(home / "bases"), home / "adapters")

    def folder(self, name: str) -> Path:
        """Give the place for an adapter of this name."""
        return self.home / "".join(letter if letter.isalnum() else "-" for letter in name)

    def wrap(
        self,
        base: str,
        config: Any,  # noqa: ANN401 - a PeftConfig
        *,
        kind: Any = transformers.AutoModelForCausalLM,  # noqa: ANN401 - a class of transformers
        **options: Any,  # noqa: ANN401 - of from_pretrained
    ) -> Any:  # noqa: ANN401 - a PeftModel
        """Put an untrained adapter on a base."""
        model = self.bases.load(base, kind, **options)
        torch.manual_seed(3)
        with silence():
            return peft.get_peft_model(model, config)


def move(model: Any, by: float = MOVED, *, only: Callable[[str], bool] = lambda _: True) -> Any:  # noqa: ANN401 - a model
    """Change every trainable parameter a little, in no direction; `only` picks some by name."""
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and only(name):
                parameter.add_(torch.randn_like(parameter) * by)
    return model


def train(model: Any, tokenizer: Any, steps: int = 12, rate: float = 2e-2) -> Any:  # noqa: ANN401 - a model, a tokenizer
    """Train a causal model on some of the probe texts for a few steps."""
    torch.manual_seed(5)
    batch = tokenizer(list(TEXTS[:3]), return_tensors="pt", padding=True, truncation=True, max_length=64)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.train()
    for _ in range(steps):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def save(model: Any, folder: Path, **options: Any) -> Path:  # noqa: ANN401 - a model, options of save_pretrained
    """Save as PEFT does."""
    with silence():
        model.save_pretrained(folder, **options)
    return folder
