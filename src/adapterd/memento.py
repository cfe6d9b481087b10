"""What a model of torch looked like, to make it so again after a change that failed half way. No torch is imported.

PEFT injects adapters into the model that it is given and cannot take back what it did when it fails. It replaces
modules, fills dictionaries, and gives some parameters other tensors; so that is what is remembered. A tensor itself is
not copied: PEFT writes into none of the base's.
"""

from typing import Any

_CONTAINERS = (dict, list, set)


class Memento:
    """The modules of a model, their attributes, and what their containers hold; and which parameters want gradients."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - a torch module
        """Remember how it is now."""
        self._modules = [(module, dict(vars(module))) for module in model.modules()]
        self._contents: dict[int, tuple[Any, Any]] = {}
        for _, attributes in self._modules:
            for value in attributes.values():
                if isinstance(value, _CONTAINERS):
                    self._contents[id(value)] = (value, value.copy())
        self._parameters = [(each, each.data, each.requires_grad) for each in model.parameters()]

    def restore(self) -> None:
        """Make it so again; containers stay the same objects, since several modules may share one."""
        for module, attributes in self._modules:
            vars(module).clear()
            vars(module).update(attributes)
        for value, content in self._contents.values():
            value.clear()
            value.extend(content) if isinstance(value, list) else value.update(content)
        for parameter, data, gradient in self._parameters:
            if parameter.data_ptr() != data.data_ptr():
                parameter.data = data
            parameter.requires_grad_(gradient)
