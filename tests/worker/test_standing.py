"""A resident base can be put back, and whoever wrote into it is seen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from torch.nn.utils import parametrize

from adapterd.worker.standing import Standing


@pytest.fixture
def model() -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """A model of two layers."""
    torch.manual_seed(0)
    return transformers.BertModel(
        transformers.BertConfig(
            vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2
        )
    )


class Double(nn.Module):  # type: ignore[misc] # torch is not followed by mypy
    """A parametrization."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Give twice the weight."""
        return 2 * weight


def swap(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Replace a layer, as PEFT does."""
    model.encoder.layer[0].attention.self.query = nn.Linear(8, 8)


def add(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Add a layer and an attribute."""
    model.encoder.layer.append(nn.Linear(8, 8))
    model.peft_config = {"probe": 1}


def hook(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Leave a hook behind."""
    model.embeddings.register_forward_hook(lambda _module, _given, out: out + 1)


def settings(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Change the config."""
    model.config.hidden_act = "relu"
    model.config.added = True


def dress(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Change a module's class, as parametrizations do."""
    parametrize.register_parametrization(model.pooler.dense, "weight", Double())


@pytest.mark.parametrize("change", [swap, add, hook, settings, dress])
def test_whatever_was_put_in_is_taken_out(model: Any, change: Callable[[Any], None]) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Modules, attributes, hooks, config and classes are what they were, and so is the output."""
    ids = torch.arange(6).reshape(1, 6)
    model.eval()
    with torch.no_grad():
        before, config = model(input_ids=ids).last_hidden_state, model.config.to_dict()
        standing = Standing(model)
        change(model)
        standing.restore()
        assert torch.equal(model(input_ids=ids).last_hidden_state, before)
    assert model.config.to_dict() == config
    assert not hasattr(model, "peft_config")
    assert len(model.encoder.layer) == 2
    assert type(model.pooler.dense) is nn.Linear
    assert standing.unchanged()


def copied(weight: torch.Tensor) -> None:
    """Write in place, as `load_state_dict` does."""
    weight.copy_(weight + 1)


def replaced(weight: torch.Tensor) -> None:
    """Put other values in its place, as PiSSA does."""
    weight.data = weight.data - 1


@pytest.mark.parametrize("write", [copied, replaced])
def test_a_write_into_the_base_is_seen(model: Any, write: Callable[[torch.Tensor], None]) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """In place or beside it; putting attributes back does not hide it."""
    standing = Standing(model)
    with torch.no_grad():
        write(model.pooler.dense.weight)
    standing.restore()
    assert not standing.unchanged()


def test_the_same_values_written_again_are_no_change(model: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """What counts is what is there, bit by bit."""
    standing = Standing(model)
    with torch.no_grad():
        model.pooler.dense.weight.copy_(model.pooler.dense.weight.clone())
        model.pooler.dense.bias.data = model.pooler.dense.bias.data.clone()
    assert standing.unchanged()
