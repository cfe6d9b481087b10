"""Write adapter directories as raw files, without torch: safetensors is a length, a JSON header, and data."""

import json
import random
import struct
from collections.abc import Mapping
from pathlib import Path

LORA_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
LORA_B = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


def safetensors_bytes(tensors: Mapping[str, tuple[tuple[int, ...], bytes]]) -> bytes:
    """The bytes of a safetensors file of float32 tensors: name to (shape, data)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + b"".join(data for _, data in tensors.values())


def weights(seed: int = 0, rank: int = 4, width: int = 8) -> bytes:
    """A LoRA pair whose values follow from the seed."""
    values = random.Random(seed)  # noqa: S311 - test data

    def floats(count: int) -> bytes:
        return struct.pack(f"<{count}f", *(values.uniform(-1, 1) for _ in range(count)))

    return safetensors_bytes(
        {LORA_A: ((rank, width), floats(rank * width)), LORA_B: ((width, rank), floats(width * rank))}
    )


def config(base: str = "acme/tiny-base", **fields: object) -> dict[str, object]:
    """The fields of an ``adapter_config.json`` as PEFT writes them."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": None,
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "modules_to_save": None,
        "inference_mode": True,
        "peft_version": "0.21.2",
        **fields,
    }


def write_adapter(folder: Path, *, seed: int = 0, base: str = "acme/tiny-base", **fields: object) -> Path:
    """Write a whole adapter directory; one named ``checkpoint-N`` gets its trainer_state.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n")
    (folder / "adapter_model.safetensors").write_bytes(weights(seed))
    (folder / "adapter_config.json").write_text(json.dumps(config(base, **fields), indent=2, sort_keys=True))
    if folder.name.startswith("checkpoint-"):
        state = {"global_step": int(folder.name.removeprefix("checkpoint-"))}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder
