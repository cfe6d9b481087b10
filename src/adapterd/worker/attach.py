"""Into the base and out again: inject an adapter with PEFT, say which tensors it then expects, load exactly those."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.mapping_func import MODEL_TYPE_TO_PEFT_MODEL_MAPPING

from adapterd.core.adapter import Tensor
from adapterd.worker.files import Weights

_TORCH = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_KEEPS_BASE = {True, False, None, "gaussian", "orthogonal"}
_SEGMENTS = (".base_layer.", ".original_module.", ".modules_to_save.")


def unknown_parts(config: dict[str, Any]) -> list[str]:
    """Give what the installed PEFT does not know of the config and would drop: its type, or keys that say something."""
    kind = PEFT_TYPE_TO_CONFIG_MAPPING.get(config.get("peft_type", ""))
    if kind is None:
        return [f"peft_type {config.get('peft_type')!r}"]
    known = set(kind.__dataclass_fields__) | {"runtime_config"}
    return [f"{key} = {value!r}" for key, value in sorted(config.items()) if key not in known and value]


def changes_base(config: dict[str, Any]) -> bool:
    """Tell whether loading it rightly changes the base itself: by its initialisation, biases, or repeated layers."""
    initial = config.get("init_lora_weights", True)
    return (
        (isinstance(initial, str) and initial not in _KEEPS_BASE)
        or config.get("bias", "none") not in {"none", None}
        or bool(config.get("layer_replication"))
    )


def inject(base: Any, snapshot: Path, name: str) -> Any:  # noqa: ANN401 - a model in, a PeftModel out
    """Put the adapter's layers into the base as `PeftModel.from_pretrained` does, without its weights yet."""
    config = PeftConfig.from_pretrained(str(snapshot))
    config.inference_mode = True
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    torch.manual_seed(0)
    return kind(base, config, adapter_name=name, low_cpu_mem_usage=False)


def expected(model: Any, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - a PeftModel
    """Give the tensors that the injected adapter has, by the names that PEFT would save them under."""
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return state


def load(model: Any, weights: Weights, keys: Iterable[str], name: str) -> None:  # noqa: ANN401 - a PeftModel
    """Fill the injected adapter with these tensors of the file."""
    tensors = {key: tensor_of(weights, weights.tensors[key]) for key in keys}
    set_peft_model_state_dict(model, tensors, adapter_name=name, low_cpu_mem_usage=False)
    model.eval()


def tensor_of(weights: Weights, entry: Tensor) -> torch.Tensor:
    """Give one tensor of the file; it shares the file's memory."""
    kind = _TORCH[entry.dtype]
    if not entry.elements:
        return torch.empty(entry.shape, dtype=kind)
    return torch.frombuffer(weights.data[entry.begin : entry.end], dtype=kind).reshape(entry.shape)


def base_name(key: str) -> str:
    """Give the name that a saved tensor would have in the bare base model, were it one of its own."""
    name = key.removeprefix("base_model.model.").removeprefix("base_model.")
    for segment in _SEGMENTS:
        name = name.replace(segment, ".")
    return name
