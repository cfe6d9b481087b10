"""What a writer writes: adapters that plain PEFT loads into a tiny base, cheap to make, and some that are broken."""

import json
import math
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from helpers.adapters import config, safetensors_bytes
from helpers.tiny import SIZES

BASE = "acme/tiny-base"
RANK, LAYERS, WIDTH = 4, SIZES["num_hidden_layers"], SIZES["hidden_size"]
SPREAD = 0.05
"""How far from zero the values lie: a change that shows, and breaks nothing."""


def make_base(folder: Path) -> None:
    """Make the tiny base that all of these adapters belong to; it takes torch, and some seconds."""
    from corpus.bases import Bases  # noqa: PLC0415 - the writer's process needs no torch

    Bases(folder.parent).path("llama").rename(folder)


def weights(seed: int, how: str = "") -> bytes:
    """A LoRA on all query projections of the base, whose values follow from the seed; `how` breaks it."""
    values = random.Random(seed)  # noqa: S311 - test data
    tensors = {}
    for layer in range(LAYERS):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        wide = WIDTH + 8 if how == "shape" else WIDTH
        for part, shape in (("lora_A", (RANK, wide)), ("lora_B", (WIDTH, RANK))):
            count = math.prod(shape)
            floats = [values.uniform(-SPREAD, SPREAD) for _ in range(count)]
            if how == "zero" and part == "lora_B":
                floats = [0.0] * count
            if how == "nan" and part == "lora_B":
                floats[values.randrange(count)] = math.nan
            tensors[f"{name}.{part}.weight"] = (shape, struct.pack(f"<{count}f", *floats))
    return safetensors_bytes(tensors)


BROKEN: Mapping[str, Callable[[int], bytes]] = MappingProxyType(
    {
        "nan": lambda seed: weights(seed, "nan"),
        "zero": lambda seed: weights(seed, "zero"),
        "shape": lambda seed: weights(seed, "shape"),
        "torn": lambda seed: weights(seed)[:-64],
    }
)
"""Ways to be broken; none of them may ever be published."""


def write(folder: Path, data: bytes) -> None:
    """Write a directory as a trainer does: weights, config, and the state of a checkpoint last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(data)
    (folder / "adapter_config.json").write_text(json.dumps(config(BASE), indent=2, sort_keys=True))
    if folder.name.startswith("checkpoint-"):
        state = {"global_step": int(folder.name.removeprefix("checkpoint-"))}
        (folder / "trainer_state.json").write_text(json.dumps(state))
