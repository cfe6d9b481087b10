"""Good adapters of many kinds pass in the real worker, one after the other on the same resident base."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import transformers
from safetensors.torch import load_file, save_file

from adapterd.core.examples import Example
from adapterd.core.verdict import Limits, decide
from adapterd.ports import ProbeResult
from adapterd.worker.supervisor import WorkerSupervisor

Probe = Callable[..., ProbeResult]
Build = Callable[..., Path]
LLM: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}

CAUSAL: dict[str, Any] = {
    "LoRA": peft.LoraConfig(**LLM),
    "DoRA": peft.LoraConfig(use_dora=True, **LLM),
    "rsLoRA": peft.LoraConfig(use_rslora=True, **LLM),
    "PiSSA": peft.LoraConfig(init_lora_weights="pissa", **LLM),
    "rank pattern": peft.LoraConfig(rank_pattern={"q_proj": 3}, alpha_pattern={"q_proj": 5}, **LLM),
    "bias": peft.LoraConfig(bias="all", **LLM),
    "modules_to_save": peft.LoraConfig(modules_to_save=["lm_head"], **LLM),
    "trained tokens": peft.LoraConfig(trainable_token_indices=[65, 66], **LLM),
    "target parameters": peft.LoraConfig(task_type="CAUSAL_LM", target_modules=[], target_parameters=["q_proj.weight"]),
    "null task": peft.LoraConfig(target_modules=["q_proj"]),
    "IA3": peft.IA3Config(feedforward_modules=[], **LLM),
    "LoHa": peft.LoHaConfig(**LLM),
    "HRA": peft.HRAConfig(**LLM),
    "LN tuning": peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=["input_layernorm"]),
    "prompt tuning": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "prefix tuning": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}
OF_ITS_OWN = {"PiSSA", "bias"}
"""Kinds that rightly change the base, which is loaded anew after them."""


def verdict(result: ProbeResult) -> tuple[str, list[str]]:
    """Give the decision without limits, and why."""
    decided = decide(result.findings, result.measurements, Limits())
    return decided.verdict, [found.message for found in decided.reasons]


@pytest.fixture
def llama(bases: Any) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """The tiny Llama."""
    return transformers.LlamaForCausalLM.from_pretrained(bases.llama)


@pytest.mark.parametrize("kind", CAUSAL)
def test_good_adapters_of_every_kind_pass(kind: str, llama: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """A kind that PEFT can save is loaded whole, has an effect, and leaves the base as it was."""
    result = probe(adapter(llama, CAUSAL[kind]))
    assert verdict(result) == ("passed", [])
    assert result.measurements["max_dlogit"] > 0
    assert result.measurements["deterministic"] is True
    assert result.measurements["base_restored"] == ("reloaded" if kind in OF_ITS_OWN else True)


UNTRAINED = ("LoRA", "DoRA", "rank pattern", "trained tokens", "IA3", "LoHa", "HRA", "LN tuning")


@pytest.mark.parametrize("kind", UNTRAINED)
def test_untrained_adapters_have_no_effect(kind: str, llama: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Saved before its first step, an adapter changes no weight; rounding is not taken for a change."""
    result = probe(adapter(llama, CAUSAL[kind], moved=0.0))
    assert [found.code for found in decide(result.findings, result.measurements, Limits()).reasons] == ["no_effect"]


@pytest.mark.parametrize(("kind", "part", "by"), [("DoRA", "lora_magnitude_vector", 2**-23), ("PiSSA", "lora_A", 8e-6)])
def test_the_rounding_of_another_device_is_no_effect(
    kind: str,
    part: str,
    by: float,
    llama: Any,  # noqa: ANN401 - transformers is not followed by mypy
    adapter: Build,
    probe: Probe,
) -> None:
    """Norms and decompositions of the base's weights differ in the last digits between a CPU and a GPU."""
    folder = adapter(llama, CAUSAL[kind], moved=0.0)
    file = folder / "adapter_model.safetensors"
    save_file({name: t * (1 + by) if part in name else t for name, t in load_file(file).items()}, file)
    result = probe(folder)
    assert [found.code for found in decide(result.findings, result.measurements, Limits()).reasons] == ["no_effect"]


def test_an_adapter_that_learnt_lowers_the_loss(probe: Probe, good: Path) -> None:
    """Loss, divergence, effect, tokens, latency and memory are measured with and without it."""
    result = probe(good)
    numbers = result.measurements
    assert verdict(result) == ("passed", [])
    assert numbers["loss_adapter"] < numbers["loss_base"] - 0.05
    assert numbers["kl"] > 0
    assert 0 < numbers["effect_min"] <= numbers["effect"]
    assert (numbers["tensors"], numbers["modules"], numbers["modules_without_effect"]) == (12, 6, 0)
    assert (numbers["task"], numbers["texts"], numbers["rank"]) == ("CAUSAL_LM", 6, 4)
    assert min(numbers[name] for name in ("tokens", "latency_ms", "peak_rss", "seconds", "parameters", "bytes")) > 0
    assert (result.device, result.dtype) == ("cpu", "float32")
    assert result.versions.keys() == {"python", "torch", "transformers", "peft", "safetensors"}
    assert len(result.base_fingerprint) == 64


def test_a_tiny_change_is_told_from_none_even_in_bfloat16(llama: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """An early checkpoint moves no output in bfloat16; that is a warning, and no rejection."""
    result = probe(adapter(llama, peft.IA3Config(feedforward_modules=[], **LLM), moved=1e-6), dtype="bfloat16")
    decided = decide(result.findings, result.measurements, Limits())
    assert (decided.verdict, result.dtype) == ("passed", "bfloat16")
    assert 0 < result.measurements["effect"] < 1e-4
    assert "logits_unchanged" in [found.code for found in decided.warnings]


def test_the_limits_reach_the_probe_texts(probe: Probe, good: Path) -> None:
    """Other texts, fewer tokens."""
    numbers = probe(good, examples=(Example("one two three four five"),), tokens=3).measurements
    assert (numbers["texts"], numbers["tokens"]) == (1, 3)


def test_features_are_compared_by_their_cosine(bases: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """FEATURE_EXTRACTION runs the bare model: hidden states, no loss."""
    base = transformers.BertModel.from_pretrained(bases.bert)
    config = peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query", "value"])
    result = probe(adapter(base, config), bases.bert)
    assert verdict(result) == ("passed", [])
    assert 0 < result.measurements["cosine"] <= 1
    assert "loss_adapter" not in result.measurements


def classifier(bases: Any, labels: int) -> Any:  # noqa: ANN401 - a dataclass of the conftest, a transformers model
    """Give the tiny BERT with a head of its own."""
    with_head = transformers.BertForSequenceClassification.from_pretrained(bases.bert, num_labels=labels)
    with_head.config.name_or_path = str(bases.bert)
    return with_head


def test_a_classifier_brings_its_head_and_its_labels(bases: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """The label count is taken from the head in the file, whatever the base's config says."""
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"])
    result = probe(adapter(classifier(bases, 5), config), bases.bert)
    assert verdict(result) == ("passed", [])
    assert result.measurements["labels"] == 5
    assert result.measurements["saved_effect"] > 0


def test_a_classifier_without_its_head_is_refused(bases: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Without a task type PEFT saves no head, and every load would make up another."""
    result = probe(adapter(classifier(bases, 5), peft.LoraConfig(target_modules=["query"])), bases.bert)
    assert [found.code for found in result.findings] == ["head_missing"]


def test_trained_heads_do_not_hide_factors_without_effect(bases: Any, adapter: Build, probe: Probe) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """The base's head is random, so a saved one always differs; the wrapped layers decide."""
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"])
    result = probe(adapter(classifier(bases, 3), config, moved=0.0), bases.bert)
    assert decide(result.findings, result.measurements, Limits()).reasons[0].code == "no_effect"


@pytest.fixture
def resized(llama: Any) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """The tiny Llama with two more embeddings."""
    llama.resize_token_embeddings(322, mean_resizing=False)
    return llama


@pytest.mark.parametrize("saved", [None, ["embed_tokens", "lm_head"]])
def test_resized_embeddings_are_loaded_with_the_adapter(
    resized: Any,  # noqa: ANN401 - transformers is not followed by mypy
    adapter: Build,
    probe: Probe,
    saved: list[str] | None,
) -> None:
    """Added tokens bring whole embeddings, trained or not; they go into a base of their own."""
    result = probe(adapter(resized, peft.LoraConfig(modules_to_save=saved, **LLM)))
    assert verdict(result) == ("passed", [])
    assert result.measurements["base_restored"] == "reloaded"


def test_embeddings_of_the_base_saved_beside_trained_ones_are_no_fault(
    llama: Any,  # noqa: ANN401 - transformers is not followed by mypy
    adapter: Build,
    probe: Probe,
) -> None:
    """PEFT saves the base's embedding unchanged where a target is an embedding."""
    result = probe(adapter(llama, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "embed_tokens"])))
    assert verdict(result) == ("passed", [])
    assert result.measurements["base_restored"] is True


def test_the_worker_steps_back_behind_training(probe: Probe, good: Path, worker: WorkerSupervisor) -> None:
    """It is nice, first to go when memory is short, and alone in its process group."""
    probe(good)
    process = Path(f"/proc/{worker.pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    assert (process / "oom_score_adj").read_text().strip() == "600"
    assert int(fields[16]) >= 10
    assert int(fields[2]) == worker.pid


SIGHT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 8,
}


def test_a_model_of_pictures_is_probed_with_pictures(adapter: Build, probe: Probe, tmp_path: Path) -> None:
    """It knows no tokens; what it is given is noise that is the same each time."""
    base = tmp_path / "sight"
    transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=3, **SIGHT)).save_pretrained(base)
    model = transformers.ViTForImageClassification.from_pretrained(base)
    lora = peft.LoraConfig(target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    result = probe(adapter(model, lora), base)
    assert verdict(result) == ("passed", [])
    assert result.measurements["max_dlogit"] > 0
    assert result.measurements["base_restored"] is True


def test_a_base_that_cannot_be_run_alone_is_no_fault_of_the_adapter(
    adapter: Build, probe: Probe, tmp_path: Path
) -> None:
    """A model of texts and pictures at once is given texts alone: that proves nothing, and says so."""
    base = tmp_path / "both"
    words = {name: SIGHT[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers")}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 100, "num_attention_heads": 4, "bos_token_id": 1, "eos_token_id": 2, **words},
        vision_config=SIGHT,
        projection_dim=16,
    )
    transformers.CLIPModel(config).save_pretrained(base)
    folder = adapter(transformers.CLIPModel.from_pretrained(base), peft.LoraConfig(target_modules=["q_proj"]))
    result = probe(folder, base)
    decided = decide(result.findings, result.measurements, Limits())
    assert (decided.verdict, [found.code for found in decided.reasons]) == ("stalled", ["unsupported_input"])
