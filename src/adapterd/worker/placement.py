"""Where an adapter's parameters lie: each beside the layer that it changes, and none without values."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper

_WEIGHTS = ("weight", "qweight")
"""A layer's own weight, plain or as GPTQ names it."""
Found = Iterator[tuple[str, torch.Tensor, torch.device | None]]


def placement(model: Any, adapter_name: str) -> list[str]:  # noqa: ANN401 - a PeftModel
    """Names of an adapter's parameters that are on `meta`, or not on the device of their base layer.

    What several layers share lies with one of them, and PEFT moves it in each pass: it needs values, and no more.
    """
    found = {
        f"{module_name}.{name}" if module_name else name: (tensor, device)
        for module_name, module in model.named_modules()
        for name, tensor, device in _held(module, adapter_name)
    }
    holders = Counter(id(tensor) for tensor, _ in found.values())
    wrong = {
        name
        for name, (tensor, device) in found.items()
        if device is not None and tensor.device != device and holders[id(tensor)] == 1
    }
    part = f".{adapter_name}."
    every = (*model.named_parameters(), *model.named_buffers())
    wrong |= {name for name, tensor in every if tensor.is_meta and part in f".{name}."}
    return sorted(wrong)


def _held(module: torch.nn.Module, adapter: str) -> Found:
    """The adapter's parameters in one module, with the device that each belongs on; None where none is known."""
    if isinstance(module, BaseTunerLayer):
        base = _device(module.get_base_layer())
        for holder in module.adapter_layer_names:
            for name, parameter in _entries(getattr(module, holder, None), adapter):
                yield f"{holder}.{name}", parameter, base
    elif isinstance(module, AuxiliaryTrainingWrapper):
        originals = dict(module.original_module.named_parameters())
        for holder in module.adapter_layer_names:
            for name, parameter in _entries(getattr(module, holder, None), adapter):
                original = originals.get(name.partition(".")[2])
                yield f"{holder}.{name}", parameter, _known(original) or _device(module.original_module)


def _entries(holder: object, adapter: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """The parameters that a holder has for this adapter."""
    if not isinstance(holder, torch.nn.ModuleDict | torch.nn.ParameterDict):
        return
    for name, parameter in holder.named_parameters():
        if name == adapter or name.startswith(f"{adapter}."):
            yield name, parameter


def _device(layer: torch.nn.Module) -> torch.device | None:
    """The device of a layer: of its weight, or of its first parameter."""
    for name in _WEIGHTS:
        if isinstance(weight := getattr(layer, name, None), torch.Tensor):
            return _known(weight)
    return _known(next(layer.parameters(), None))


def _known(tensor: torch.Tensor | None) -> torch.device | None:
    """The device of a tensor; None for one whose values are kept elsewhere until they are needed."""
    return None if tensor is None or tensor.is_meta else tensor.device
