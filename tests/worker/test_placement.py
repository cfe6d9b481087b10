"""Where the parameters of an adapter lie, on the CPU and on `meta`, which stands in for another device."""

from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers

from adapterd.worker.placement import placement
from worker.test_kinds import CAUSAL

META = torch.device("meta")
LORA: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}
KINDS = {
    **CAUSAL,
    "OFT": peft.OFTConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], oft_block_size=4),
    "VeRA": peft.VeraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]),
    "VB-LoRA": peft.VBLoRAConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "o_proj"], vector_length=8),
    "embeddings": peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["embed_tokens", "q_proj"]),
}

Attach = Callable[..., Any]


@pytest.fixture
def attach(bases: Any) -> Attach:  # noqa: ANN401 - a dataclass of the conftest
    """Put an adapter of a kind into the tiny Llama, under the name that is given."""

    def put(config: Any, name: str = "mine") -> Any:  # noqa: ANN401 - PEFT's own
        base = transformers.LlamaForCausalLM.from_pretrained(bases.llama)
        return peft.get_peft_model(base, config, adapter_name=name)

    return put


def moved(module: torch.nn.Module, name: str) -> None:
    """Put one parameter of a module on `meta`."""
    holder = module.get_submodule(name.rpartition(".")[0])
    leaf = name.rpartition(".")[2]
    parameter = holder.get_parameter(leaf)
    holder.register_parameter(leaf, torch.nn.Parameter(parameter.to(META), requires_grad=False))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_was_put_in_lies_with_its_layers(kind: str, attach: Attach) -> None:
    """Of every kind."""
    assert placement(attach(KINDS[kind]), "mine") == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_without_values_is_named(kind: str, attach: Attach) -> None:
    """Whatever the kind holds its parameters in."""
    model = attach(KINDS[kind])
    name = next(name for name, _ in model.named_parameters() if ".mine." in f".{name}.")
    moved(model, name)
    assert placement(model, "mine") == [name]
    assert placement(model, "other") == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("config", "wrapped", "parameter"),
    [
        (LORA | {}, "q_proj.base_layer", "lora_A.mine.weight"),
        (LORA | {"use_dora": True}, "q_proj.base_layer", "lora_magnitude_vector.mine.weight"),
        (LORA | {"target_modules": ["embed_tokens"]}, "embed_tokens.base_layer", "lora_embedding_A.mine"),
        (LORA | {"modules_to_save": ["lm_head"]}, "lm_head.original_module", "modules_to_save.mine.weight"),
        (LORA | {"trainable_token_indices": [5]}, "token_adapter.base_layer", "trainable_tokens_delta.mine"),
        (
            LORA | {"target_modules": [], "target_parameters": ["q_proj.weight"]},
            "q_proj.base_layer",
            "lora_A.mine.weight",
        ),
    ],
)
def test_a_parameter_on_another_device_than_its_layer_is_named(
    config: dict[str, Any], wrapped: str, parameter: str, attach: Attach
) -> None:
    """A layer that says it lies on a GPU stands in for one that does."""
    model = attach(peft.LoraConfig(**config))
    layers = model.named_modules(remove_duplicate=False)
    for layer in [module for name, module in layers if name.endswith(wrapped)]:
        layer.register_parameter("weight", torch.nn.Parameter(Elsewhere(layer.weight.data), requires_grad=False))
    found = placement(model, "mine")
    assert any(name.endswith(parameter) for name in found), found
    assert placement(model, "other") == []


@pytest.mark.filterwarnings("ignore")
def test_what_layers_share_may_lie_with_one_of_them(attach: Attach) -> None:
    """VB-LoRA has one bank of vectors for all layers; PEFT moves it in each pass."""
    model = attach(KINDS["VB-LoRA"])
    layers = [module for name, module in model.named_modules() if name.endswith("q_proj.base_layer")]
    for layer in layers:
        layer.register_parameter("weight", torch.nn.Parameter(Elsewhere(layer.weight.data), requires_grad=False))
    found = placement(model, "mine")
    assert found
    assert not any("vector_bank" in name for name in found)


class Elsewhere(torch.Tensor):  # type: ignore[misc] # torch is not followed by mypy
    """A tensor that says it lies on a GPU."""

    @property
    def device(self) -> torch.device:
        """Say so."""
        return torch.device("cuda:1")
