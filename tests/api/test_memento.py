"""A model of torch is made again what it was."""

import torch

from adapterd.memento import Memento


def test_modules_contents_tensors_and_gradients_come_back() -> None:
    """Whatever was replaced, added or emptied, the model is as it was, and its containers are the same objects."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2)}))
    first, inner = model[0], model[1]
    shared = {"kept": 1}
    model.settings, first.settings, inner.names = shared, shared, ["one"]
    before = [parameter.data_ptr() for parameter in model.parameters()]
    memento = Memento(model)
    model[0] = torch.nn.Identity()
    inner["b"] = torch.nn.Linear(2, 2)
    shared["more"] = 2
    inner.names.append("two")
    first.weight.data = torch.zeros(2, 2)
    first.weight.requires_grad_(requires_grad=False)
    first.added = True
    model.eval()
    memento.restore()
    assert (model[0], list(inner), inner.names) == (first, ["a"], ["one"])
    assert model.settings is first.settings is shared
    assert shared == {"kept": 1}
    assert [parameter.data_ptr() for parameter in model.parameters()] == before
    assert first.weight.requires_grad
    assert not hasattr(first, "added")
    assert model.training
