"""Into the base and out again: inject an adapter with PEFT, say which tensors it then expects, load exactly those."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.mapping_func import MODEL_TYPE_TO_PEFT_MODEL_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers

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
_NULL_AT_FIRST = frozenset(
    {
        "LORA",
        "ADALORA",
        "LOHA",
        "LOKR",
        "IA3",
        "OFT",
        "BOFT",
        "HRA",
        "FOURIERFT",
        "VERA",
        "RANDLORA",
        "LN_TUNING",
        "MISS",
    }
)
"""Types that change nothing before their first step."""
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


def read(snapshot: Path, *, initialised: bool = True) -> Any:  # noqa: ANN401 - a PeftConfig
    """Read the config as `PeftModel.from_pretrained` does; without initialisation where only the shapes count."""
    config = PeftConfig.from_pretrained(str(snapshot))
    config.inference_mode = True
    if not initialised and isinstance(getattr(config, "init_lora_weights", None), str):
        config.init_lora_weights = False
    return config


def inject(base: Any, config: Any, name: str) -> Any:  # noqa: ANN401 - a model and a PeftConfig in, a PeftModel out
    """Put the adapter's layers into the base as `PeftModel.from_pretrained` does, without its weights yet."""
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    torch.manual_seed(0)
    return kind(base, config, adapter_name=name, low_cpu_mem_usage=False)


def expected(model: Any, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - a PeftModel
    """Give the tensors that the injected adapter has, by the names that PEFT would save them under."""
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return state


def load(model: Any, tensors: Mapping[str, torch.Tensor], weights: Weights, name: str) -> None:  # noqa: ANN401 - a PeftModel
    """Fill the injected adapter with these tensors, given by the names that PEFT takes them for.

    Where these are not the file's own names PEFT converts them itself, and is given the file as it is.
    """
    if not tensors.keys() <= weights.tensors.keys():
        tensors = {key: tensor_of(weights, entry) for key, entry in weights.tensors.items()}
    set_peft_model_state_dict(model, dict(tensors), adapter_name=name, low_cpu_mem_usage=False)
    model.eval()


def at_rest(model: Any, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - a PeftModel
    """Keep the values of a fresh adapter: a null adapter of the same shape.

    Empty where it begins at random, and for plain LoRA, which adds exact zeros at rest: its noise floor is the base's.
    """
    config = model.peft_config[name]
    if config.peft_type == "LORA" and not config.use_dora:
        return {}
    initial = getattr(config, "init_lora_weights", getattr(config, "init_weights", True))
    if config.is_prompt_learning or config.peft_type not in _NULL_AT_FIRST or initial is not True:
        return {}
    return {key: tensor.clone() for key, tensor in expected(model, name).items()}


def begun(model: Any, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - a PeftModel
    """Keep the values of a fresh LoRA that began with a part of the base's own weights; empty for any other."""
    initial = getattr(model.peft_config[name], "init_lora_weights", True)
    if not isinstance(initial, str) or initial in _KEEPS_BASE:
        return {}
    return {key: tensor.clone() for key, tensor in expected(model, name).items()}


def put(model: Any, tensors: Mapping[str, torch.Tensor], name: str) -> None:  # noqa: ANN401 - a PeftModel
    """Put values of its own back into an injected adapter."""
    set_peft_model_state_dict(model, dict(tensors), adapter_name=name, low_cpu_mem_usage=False)


@contextmanager
def watched(model: Any, name: str) -> Iterator[set[str]]:  # noqa: ANN401 - a PeftModel
    """Watch which of the layers that the adapter wraps are run; those that are not stay in the set."""
    idle: set[str] = set()
    hooks = []
    for path, module in model.named_modules():
        wraps = isinstance(module, BaseTunerLayer) and name in _adapters(module)
        if wraps or (isinstance(module, AuxiliaryTrainingWrapper) and name in module._adapters):  # noqa: SLF001 - PEFT's own
            idle.add(path)
            hooks.append(module.register_forward_hook(lambda *_, path=path: idle.discard(path)))
    try:
        yield idle
    finally:
        for hook in hooks:
            hook.remove()


def _adapters(layer: BaseTunerLayer) -> set[str]:
    """The names of the adapters that a layer holds parameters for."""
    return {key for kind in layer.adapter_layer_names for key in getattr(layer, kind, {})}


def trained_tokens(config: Mapping[str, Any]) -> frozenset[int]:
    """The token ids that an adapter's config says were trained one by one."""
    named = config.get("trainable_token_indices") or config.get("token_indices") or ()
    lists = named.values() if isinstance(named, dict) else [named]
    return frozenset(n for listed in lists if isinstance(listed, list) for n in listed if isinstance(n, int))


def converted(model: Any, weights: Weights, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - a PeftModel
    """The file's tensors as PEFT takes them for this base: adapters of before transformers 5 are converted."""
    tensors = {key: tensor_of(weights, entry) for key, entry in weights.tensors.items()}
    taken: dict[str, torch.Tensor] = convert_peft_adapter_state_dict_for_transformers(
        model, model.peft_config[name], tensors, name
    )
    return taken


def tensor_of(weights: Weights, entry: Tensor) -> torch.Tensor:
    """Give one tensor of the file; it shares the file's memory."""
    kind = _TORCH[entry.dtype]
    if not entry.elements:
        return torch.empty(entry.shape, dtype=kind)
    return torch.frombuffer(weights.bytes_of(entry), dtype=kind).reshape(entry.shape)


def base_name(key: str) -> str:
    """Give the name that a saved tensor would have in the bare base model, were it one of its own."""
    name = key.removeprefix("base_model.model.").removeprefix("base_model.")
    for segment in _SEGMENTS:
        name = name.replace(segment, ".")
    return name
