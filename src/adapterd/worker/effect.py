"""How much an adapter changes the weights of the base, layer by layer, relative to their size.

Plain LoRA factors are measured without making the product: the norm of B @ A follows from two r x r matrices. Every
other kind is asked on made-up inputs: the wrapped layer against the layer that it wraps.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer, ParamWrapper
from peft.tuners.lora.variants import ALoraLinearVariant
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers.pytorch_utils import Conv1D

_ROWS = 8
_COARSE = 0.02
"""Below this a relative change is measured again in finer types: rounding in bfloat16 may hide it, or feign it."""
_BEGUN = 2e-5
"""Relative difference between two decompositions of the same weights in float32 on one kind of device.

Those of a GPU and a CPU are up to 6e-4 apart where a layer has 2048 rows: as far as an early checkpoint may have come,
so they are not told from it.
"""
_NORMED = 1e-6
"""The same of two norms, as DoRA keeps them, on any devices: 2.4e-7 was the most."""
_EXACT = 1e-12
"""Rounding in float64."""


@dataclass(frozen=True, slots=True)
class Change:
    """The relative change of one layer; `saved` where the layer is saved in full and not wrapped."""

    module: str
    size: float
    saved: bool


def changes(
    model: nn.Module, name: str, norms: dict[str, float], begun: Mapping[str, torch.Tensor]
) -> Iterator[Change]:
    """Give the change of each layer that adapter `name` wraps or replaces; layers that cannot be asked are left out.

    `norms` keeps the norms of the base's weights from one adapter to the next. `begun` are the values that the adapter
    began with, where these were taken out of the base's weights (PiSSA and its kin): only what differs is a change.
    """
    with torch.no_grad():
        for path, module in model.named_modules():
            if isinstance(module, ModulesToSaveWrapper):
                if name in module.modules_to_save:
                    yield Change(path, _replaced(module.original_module, module.modules_to_save[name]), saved=True)
            elif isinstance(module, BaseTunerLayer):
                first = begun.get(f"{path}.lora_A.weight"), begun.get(f"{path}.lora_B.weight")
                size = _wrapped(path, module, name, norms, first)
                if size is not None:
                    yield Change(path, size, saved=False)


def _wrapped(
    path: str,
    module: Any,  # noqa: ANN401 - a tuner layer of any kind
    name: str,
    norms: dict[str, float],
    begun: tuple[torch.Tensor | None, torch.Tensor | None],
) -> float | None:
    """Give the change of one wrapped layer, None where it cannot be asked."""
    if isinstance(module, ParamWrapper):
        return _ratio(_norm(module.get_delta_weight(name)), _norm(module.get_param()))
    factors = _factors(module, name)
    if factors is None:
        return _answers(module, name)
    if path not in norms:
        norms[path] = _norm(module.get_base_layer().weight)
    down, up = factors
    if begun[0] is None or begun[1] is None:
        return _ratio(abs(module.scaling[name]) * _product_norm(down, up), norms[path])
    down, up = torch.cat([down, begun[0].flatten(1)]), torch.cat([up, -begun[1].flatten(1)], dim=1)
    size = _ratio(abs(module.scaling[name]) * _product_norm(down, up), norms[path])
    return size if size > max(_BEGUN, torch.finfo(down.dtype).eps / 2) else 0.0


def _factors(module: Any, name: str) -> tuple[torch.Tensor, torch.Tensor] | None:  # noqa: ANN401 - a tuner layer of any kind
    """Give A (r x in) and B (out x r) of a plain LoRA layer; None for any other."""
    if not isinstance(module, LoraLayer) or module.lora_bias.get(name):
        return None
    if not isinstance(module.lora_variant.get(name), ALoraLinearVariant | None):  # aLoRA's factors are plain ones
        return None
    if name in module.lora_embedding_A:
        return module.lora_embedding_A[name], module.lora_embedding_B[name]
    down, up = getattr(module, "lora_A", {}), getattr(module, "lora_B", {})
    if name not in down or not isinstance(down[name], nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return None
    return down[name].weight.flatten(1), up[name].weight.flatten(1)


def _product_norm(down: torch.Tensor, up: torch.Tensor) -> float:
    """Give the Frobenius norm of ``up @ down``; exactly zero where either is."""
    down, up = down.double(), up.double()
    return math.sqrt(max(float(((down @ down.T) * (up.T @ up)).sum()), 0.0))


def _answers(module: Any, name: str) -> float | None:  # noqa: ANN401 - a tuner layer of any kind
    """Give how far its answers are from those of the layer that it wraps, on inputs that are the same each time."""
    inputs = _inputs(module, name)
    if inputs is None:
        return None
    size = _distance(module, inputs)
    if _is_fresh(module, name):
        return size if size > _NORMED else 0.0
    if size >= _COARSE:
        return size
    finer = [_distance(copy.deepcopy(module).to(kind), _as(inputs, kind)) for kind in (torch.float32, torch.float64)]
    return min(finer) if min(finer) > _EXACT else 0.0


def _is_fresh(module: Any, name: str) -> bool:  # noqa: ANN401 - a tuner layer of any kind
    """Tell whether a LoRA layer's second factor is as it began: then a finer type shows only DoRA's own rounding."""
    up = getattr(module, "lora_B", {})
    return (
        isinstance(module, LoraLayer) and name in up and isinstance(up[name], nn.Linear) and not up[name].weight.any()
    )


def _as(inputs: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """Give inputs in another type; token ids stay what they are."""
    return inputs.to(kind) if inputs.is_floating_point() else inputs


def _distance(module: Any, inputs: torch.Tensor) -> float:  # noqa: ANN401 - a tuner layer of any kind
    """Give the relative distance of the wrapped layer's answer."""
    before, after = module.get_base_layer()(inputs), module(inputs)
    return _ratio(_norm(after.double() - before.double()), _norm(before))


def _inputs(module: Any, name: str) -> torch.Tensor | None:  # noqa: ANN401 - a tuner layer of any kind
    """Make inputs for a layer; None for a kind that is not known here."""
    layer = module.get_base_layer()
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor):
        return None
    if isinstance(layer, nn.Embedding):
        trained = getattr(module, "token_indices", {}).get(name)
        rows = trained if trained is not None else range(min(weight.shape[0], 64))
        return torch.tensor(list(rows), device=weight.device)
    if isinstance(layer, nn.Linear | Conv1D):
        width = weight.shape[0] if isinstance(layer, Conv1D) else weight.shape[1]
    elif weight.dim() == 1:  # a norm
        width = weight.shape[0]
    else:
        return None
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_ROWS, width, generator=generator).to(weight.device, weight.dtype)


def _replaced(before: nn.Module, after: nn.Module) -> float:
    """Give the largest relative change over the parameters of a layer that is saved in full."""
    new = dict(after.named_parameters())
    return max(
        (_ratio(_norm(new[key].float() - old.float()), _norm(old)) for key, old in before.named_parameters()),
        default=0.0,
    )


def _norm(tensor: torch.Tensor) -> float:
    """Give the Frobenius norm, summed in float32 or finer."""
    kind = torch.float64 if tensor.dtype is torch.float64 else torch.float32
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=kind))


def _ratio(change: float, size: float) -> float:
    """Give the change relative to the size; of a layer that is all zero, the change itself."""
    return change / size if size > 0 else change
