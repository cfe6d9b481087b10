"""How a resident base model stands before an adapter comes, so that it can be put back and shown to be the same.

PEFT wraps layers in place, sets attributes on modules and config, and registers hooks. Its own ways back differ by
kind of adapter; putting every module's attributes back as they were works for all of them alike. Tensors are watched:
where an address or a version counter moved, somebody wrote, and a sum over the bits tells whether anything else is
there now. The sums are taken once, when the base is loaded.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch

_CONTAINERS = (dict, OrderedDict, list, set)


class Standing:
    """The attributes of every module and config of a model, and the state of its tensors, at one moment."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Remember; nothing is copied but references."""
        self._model = model
        self._tensors = [(tensor, *_state(tensor), _sum(tensor)) for tensor in _tensors(model)]
        self.retake()

    def retake(self) -> None:
        """Take the attributes anew, after the model itself changed some in its first pass."""
        owners = [*self._model.modules(), *_configs(self._model)]
        self._owners = [(owner, type(owner), dict(vars(owner)), _contents(owner)) for owner in owners]

    def restore(self) -> None:
        """Put every attribute back."""
        for owner, kind, attributes, contents in self._owners:
            if type(owner) is not kind:
                owner.__class__ = kind
            now = vars(owner)
            for name in now.keys() - attributes.keys():
                del now[name]
            now.update(attributes)
            for container, content in contents:
                container.clear()
                container.extend(content) if isinstance(container, list) else container.update(content)

    def unchanged(self) -> bool:
        """Tell whether every parameter and buffer holds what it held."""
        return all(
            _state(tensor) == (address, version) or _sum(tensor) == total
            for tensor, address, version, total in self._tensors
        )


def _configs(model: torch.nn.Module) -> Iterator[object]:
    """Give the objects beside the modules that PEFT writes to."""
    for name in ("config", "generation_config"):
        if (config := getattr(model, name, None)) is not None:
            yield config


def _contents(owner: object) -> list[tuple[Any, Any]]:
    """Give each container among the attributes, with a copy of what it holds."""
    return [(value, value.copy()) for value in vars(owner).values() if type(value) in _CONTAINERS]


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Give every parameter and buffer once."""
    yield from model.parameters()
    yield from model.buffers()


def _state(tensor: torch.Tensor) -> tuple[int, int]:
    """Give what moves when somebody writes into a tensor."""
    return tensor.data_ptr(), tensor._version  # noqa: SLF001 - torch has no public name for the counter


def _sum(tensor: torch.Tensor) -> tuple[object, ...]:
    """Give shape, type, place, and the sum of its bits, read as whole numbers."""
    if tensor.is_meta or not tensor.numel():
        return (tensor.shape, tensor.dtype, tensor.device, 0)
    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    even = flat.numel() // 8 * 8
    total = int(flat[even:].sum(dtype=torch.int64))
    words = flat[:even].view(torch.int64)
    # numpy adds on the CPU ten times as fast
    total += int(words.numpy().sum() if words.device.type == "cpu" else words.sum())
    return (tensor.shape, tensor.dtype, tensor.device, total)
