"""Serving engines that are installed here, asked themselves: what PEFT and transformers do, and what the rules say."""

import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from adapterd.served import engines_of
from worker.conftest import Bases, Build

IDS = torch.arange(5, 21)[None]
QV = ["q_proj", "v_proj"]
CAUSAL = {"task_type": "CAUSAL_LM"}


def lora(**fields: Any) -> Any:  # noqa: ANN401 - any field
    """A LoRA configuration, plain but for what is given."""
    return peft.LoraConfig(**{"target_modules": QV, "r": 4, "lora_alpha": 8, **CAUSAL, **fields})


CONFIGS = {
    "lora": lora(),
    "dora": lora(use_dora=True),
    "rslora": lora(use_rslora=True),
    "pissa": lora(init_lora_weights="pissa"),
    "patterns": lora(rank_pattern={"v_proj": 8}, alpha_pattern={"q_proj": 3}),
    "saved": lora(modules_to_save=["lm_head"]),
    "bias": lora(bias="all"),
    "lora_bias": lora(lora_bias=True),
    "tokens": lora(trainable_token_indices=[5, 6]),
    "embeddings": lora(target_modules=["embed_tokens", "q_proj"]),
    "replication": lora(layer_replication=[[0, 2], [1, 2]]),
    "one_layer": lora(layers_to_transform=[1]),
    "parameters": lora(target_modules=[], target_parameters=["q_proj.weight"]),
    "alora": lora(alora_invocation_tokens=[9, 10]),
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], **CAUSAL),
    "loha": peft.LoHaConfig(target_modules=QV, r=4, **CAUSAL),
    "oft": peft.OFTConfig(target_modules=QV, r=0, oft_block_size=8, **CAUSAL),
    "adalora": peft.AdaLoraConfig(target_modules=QV, init_r=4, target_r=2, total_step=10, **CAUSAL),
    "vera": peft.VeraConfig(target_modules=["q_proj"], r=4, **CAUSAL),
    "layer_norms": peft.LNTuningConfig(target_modules=["input_layernorm"], **CAUSAL),
    "prompt": peft.PromptTuningConfig(num_virtual_tokens=3, **CAUSAL),
    "prefix": peft.PrefixTuningConfig(num_virtual_tokens=3, **CAUSAL),
    "adaption": peft.AdaptionPromptConfig(adapter_len=3, adapter_layers=2, **CAUSAL),
}


def outputs(model: Any) -> torch.Tensor:  # noqa: ANN401 - transformers is not followed by mypy
    """The logits of some fixed tokens, without those of virtual ones."""
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(IDS).logits[:, -IDS.shape[1] :]
    return logits


def natively(base: Any, folder: Path, wanted: torch.Tensor) -> tuple[str, str]:  # noqa: ANN401 - the same
    """What transformers' own loader does: whether it takes the adapter, and what comes of it against PEFT."""
    bare = outputs(base)
    try:
        base.load_adapter(str(folder))
    except ValueError:
        return "no", "none"
    found = outputs(base)
    if torch.allclose(found, wanted, atol=1e-5):
        return "yes", "full"
    return "yes", "none" if torch.equal(found, bare) else "partial"


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_rules_say_what_the_loaders_do(bases: Bases, adapter: Build, config: Any) -> None:  # noqa: ANN401 - any kind
    """PEFT takes each kind with its effect; transformers takes, refuses or leaves out what its verdict says."""

    def base() -> Any:  # noqa: ANN401 - transformers is not followed by mypy
        return transformers.AutoModelForCausalLM.from_pretrained(bases.llama)

    folder = adapter(base(), config, moved=0.2)
    said = {v.engine: (v.takes, v.effect) for v in engines_of(folder, bases.llama)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = outputs(peft.PeftModel.from_pretrained(base(), folder))
        assert not torch.equal(wanted, outputs(base()))
        assert said["peft"] == ("yes", "full")
        assert said["transformers"] == natively(base(), folder, wanted)
