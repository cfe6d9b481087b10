"""Adapter directories whose weights are a pickle, as trainers wrote them before safetensors; and hostile ones."""

import json
import os
import sys
from pathlib import Path

import torch

from helpers.adapters import LORA_A, LORA_B, config

DIES = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
"""In the place of a converter: one that crashes."""


def tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    """A LoRA pair; the two share memory, as tied parameters do."""
    shared = torch.randn(64, generator=torch.Generator().manual_seed(seed))
    return {LORA_A: shared[:32].view(4, 8), LORA_B: shared[32:].view(8, 4)}


def write_pickled(folder: Path, content: object = None, *, legacy: bool = False, **fields: object) -> Path:
    """Write a whole adapter directory; one named ``checkpoint-N`` gets its trainer_state.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    held = tensors() if content is None else content
    torch.save(held, folder / "adapter_model.bin", _use_new_zipfile_serialization=not legacy)
    (folder / "adapter_config.json").write_text(json.dumps(config(**fields)))  # type: ignore[arg-type]  # passed on by name
    if folder.name.startswith("checkpoint-"):
        (folder / "trainer_state.json").write_text('{"global_step": 5}')
    return folder


class Bomb:
    """What an attacker would pickle: reading it makes a folder."""

    def __init__(self, path: Path) -> None:
        """Aim at a path."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Have the reader call os.mkdir."""
        return (os.mkdir, (str(self.path),))
