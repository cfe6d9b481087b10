"""What an adapter has, told without any values, against what real PEFT makes of it in a real base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import save_file

from adapterd.ports import ProbeResult
from adapterd.worker import attach, structure
from adapterd.worker.architecture import Loader
from adapterd.worker.structure import Frame, NoValuesError, Structures

# PEFT's own words while it builds, which are not under test.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
Build = Callable[..., Path]
Probe = Callable[..., ProbeResult]
LLM: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
CAUSAL = Loader("AutoModelForCausalLM", "CAUSAL_LM")
KINDS: dict[str, Any] = {
    "LoRA": peft.LoraConfig(**LLM),
    "DoRA": peft.LoraConfig(use_dora=True, **LLM),
    "PiSSA": peft.LoraConfig(init_lora_weights="pissa", **LLM),
    "embedding": peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "embed_tokens"]),
    "head": peft.LoraConfig(modules_to_save=["lm_head"], **LLM),
    "VeRA": peft.VeraConfig(**LLM),
    "OFT": peft.OFTConfig(oft_block_size=4, **LLM),
    "prefix": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "repeated layers": peft.LoraConfig(layer_replication=[[0, 2], [0, 2]], **LLM),
}


@pytest.fixture
def llama(bases: Any) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """The tiny Llama."""
    return transformers.LlamaForCausalLM.from_pretrained(bases.llama)


def config_of(folder: Path) -> dict[str, Any]:
    """Read an adapter's config."""
    fields: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return fields


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_shapes_follow_from_the_configs_alone(kind: str, llama: Any, bases: Any, adapter: Build) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """The structure on meta is that of the adapter in the loaded base."""
    folder = adapter(llama, KINDS[kind])
    told = Structures().of(config_of(folder), folder, Frame(bases.llama, CAUSAL, None, None))
    fresh = transformers.LlamaForCausalLM.from_pretrained(bases.llama)
    model = attach.inject(fresh, attach.read(folder), "probe")
    assert told.expected == structure.shapes(attach.expected(model, "probe"))


def test_a_structure_is_built_once_per_base_and_config(llama: Any, bases: Any, adapter: Build, tmp_path: Path) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """The next adapter of the same shape is compared with what is known already: the snapshot is not even read."""
    folder = adapter(llama, KINDS["LoRA"])
    known, frame, config = Structures(), Frame(bases.llama, CAUSAL, None, None), config_of(folder)
    first = known.of(config, folder, frame)
    shutil.rmtree(folder)
    assert known.of(config | {"peft_version": "0.1", "base_model_name_or_path": "x"}, folder, frame) is first
    with pytest.raises(ValueError, match="adapter_config"):
        known.of(config | {"r": 2}, tmp_path / "adapter", frame)


@pytest.mark.parametrize(
    "config", [peft.BOFTConfig(boft_block_size=4, **LLM), peft.ShiraConfig(r=2, **LLM)], ids=["BOFT", "SHiRA"]
)
def test_what_peft_cannot_build_without_values_is_asked_of_the_base(
    config: Any,  # noqa: ANN401 - a PeftConfig
    llama: Any,  # noqa: ANN401 - transformers is not followed by mypy
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    adapter: Build,
    probe: Probe,
) -> None:
    """It is no fault of the adapter, which is compared in the resident base instead."""
    folder = adapter(llama, config)
    with pytest.raises(NoValuesError):
        Structures().of(config_of(folder), folder, Frame(bases.llama, CAUSAL, None, None))
    assert probe(folder).findings == ()


def test_a_structural_refusal_needs_no_weights_of_the_base(
    llama: Any,  # noqa: ANN401 - transformers is not followed by mypy
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    adapter: Build,
    probe: Probe,
    tmp_path: Path,
) -> None:
    """The base's config is enough to see that a tensor is missing."""
    folder = adapter(llama, KINDS["LoRA"])
    (folder / "adapter_config.json").write_text(json.dumps(config_of(folder) | {"target_modules": ["q_proj"]}))
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    shutil.copy(bases.llama / "config.json", hollow)
    result = probe(folder, hollow)
    assert [found.code for found in result.findings] == ["unexpected_keys"]
    assert "seconds_base" not in result.measurements


def test_adapters_of_experts_from_before_transformers_5_are_taken_as_peft_takes_them(
    probe: Probe, tmp_path: Path
) -> None:
    """One module per expert in the file, all experts in one parameter of the model: PEFT converts, and so do we."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.MixtralConfig(
        vocab_size=64, num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1, pad_token_id=0, **sizes
    )
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path / "base")
    folder = tmp_path / "experts"
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "w1", "w2", "w3"])
    lora.save_pretrained(folder)
    layer = "base_model.model.model.layers.0"
    modules = {f"{layer}.self_attn.q_proj": (16, 16)}
    for expert in range(2):
        inside = f"{layer}.block_sparse_moe.experts.{expert}"
        modules |= {f"{inside}.w1": (16, 24), f"{inside}.w2": (24, 16), f"{inside}.w3": (16, 24)}
    tensors = {}
    for name, (width, height) in modules.items():
        tensors[f"{name}.lora_A.weight"] = torch.randn(2, width) * 0.1
        tensors[f"{name}.lora_B.weight"] = torch.randn(height, 2) * 0.1
    save_file(tensors, folder / "adapter_model.safetensors")
    result = probe(folder, tmp_path / "base")
    assert result.findings == ()
    assert result.measurements["effects"].keys() == {"experts", "q_proj"}
