"""The real worker against adapters that are broken in ways that PEFT mostly loads without a word."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapterd.core.verdict import Limits, decide
from adapterd.ports import ProbeResult

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Tensors = dict[str, torch.Tensor]
Probe = Callable[..., ProbeResult]
Broken = Callable[..., Path]


def codes(result: ProbeResult) -> list[str]:
    """Give the codes of all reasons, as the verdict orders them."""
    return [found.code for found in decide(result.findings, result.measurements, Limits()).reasons]


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    """Rename every key."""
    return lambda tensors: {key.replace(old, new): value for key, value in tensors.items()}


def without(part: str) -> Callable[[Tensors], Tensors]:
    """Leave out every key with this part."""
    return lambda tensors: {key: value for key, value in tensors.items() if part not in key}


def mapped(part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    """Change every tensor with this part in its key."""
    return lambda tensors: {key: change(value).contiguous() if part in key else value for key, value in tensors.items()}


def added(name: str, *shape: int) -> Callable[[Tensors], Tensors]:
    """Add a tensor."""
    return lambda tensors: tensors | {name: torch.ones(shape)}


def poisoned(tensors: Tensors) -> Tensors:
    """Put one NaN and two Inf in two tensors."""
    first, second = list(tensors)[:2]
    tensors[first][0, 0] = torch.nan
    tensors[second][0, :2] = torch.inf
    return tensors


PREFIX = "base_model.model."
FAULTS: dict[str, tuple[Callable[[Tensors], Tensors] | None, dict[str, Any], list[str]]] = {
    "lora_B is zero": (mapped("lora_B", torch.zeros_like), {}, ["no_effect"]),
    "alpha is zero": (None, {"lora_alpha": 0}, ["no_effect"]),
    "alpha is NaN": (None, {"lora_alpha": float("nan")}, ["bad_config"]),
    "NaN and Inf": (poisoned, {}, ["non_finite"]),
    "compiled prefix": (renamed(PREFIX, f"{PREFIX}_orig_mod."), {}, ["key_prefix"]),
    "no prefix": (renamed(PREFIX, ""), {}, ["key_prefix"]),
    "adapter name left in": (renamed(".weight", ".default.weight"), {}, ["key_prefix"]),
    "another architecture": (renamed("self_attn", "attention"), {}, ["unexpected_keys", "missing_keys"]),
    "half the layers lost": (without("layers.1"), {}, ["missing_keys"]),
    "targets shrunk": (None, {"target_modules": ["q_proj"]}, ["unexpected_keys"]),
    "targets grown": (None, {"target_modules": ["q_proj", "v_proj", "down_proj", "up_proj"]}, ["missing_keys"]),
    "another rank in the config": (None, {"r": 8}, ["shape_mismatch"]),
    "an absurd rank": (None, {"r": 10**9}, ["shape_mismatch"]),
    "another base's width": (mapped("lora_A", lambda t: t[:, :-1]), {}, ["shape_mismatch"]),
    "empty tensors": (mapped("lora_B", lambda _: torch.empty(0)), {}, ["empty_tensors"]),
    "no tensors": (lambda _: {}, {}, ["missing_keys"]),
    "the base's norm": (added(f"{PREFIX}model.norm.weight", 32), {}, ["base_keys"]),
    "the wrapped layer": (
        added(f"{PREFIX}model.layers.0.self_attn.q_proj.base_layer.weight", 32, 32),
        {},
        ["base_keys"],
    ),
    "an unknown type": (None, {"peft_type": "QUANTUM"}, ["unsupported_peft"]),
    "a key of a newer PEFT": (None, {"use_tomorrow": True}, ["unsupported_peft"]),
    "another task": (None, {"task_type": "TOKEN_CLS"}, ["head_missing"]),
    "a task of the other kind": (None, {"task_type": "SEQ_2_SEQ_LM"}, ["unsupported_task"]),
    "targets that are nowhere": (None, {"target_modules": ["qkv"]}, ["load_failed"]),
    "DoRA flag added": (None, {"use_dora": True}, ["missing_keys"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_code(fault: str, probe: Probe, broken: Broken) -> None:
    """A broken copy of a good adapter is refused for exactly what was broken."""
    change, config, expected = FAULTS[fault]
    assert codes(probe(broken(change, **config))) == expected


def test_messages_carry_the_numbers(probe: Probe, broken: Broken) -> None:
    """How many, of how many, and which first."""
    found = probe(broken(poisoned)).findings[0]
    assert found.message.startswith("3 values in 2 of 12 tensors are NaN or Inf: base_model.model.")
    assert found.hint


def test_all_faults_of_one_level_are_told_at_once(probe: Probe, broken: Broken) -> None:
    """A person repairs once, not once per run."""
    both = broken(lambda tensors: mapped("layers.1", lambda _: torch.empty(0))(poisoned(tensors)), lora_alpha=1e999)
    assert codes(probe(both)) == ["bad_config", "empty_tensors", "non_finite"]


def test_a_file_that_is_cut_off_is_no_weights_file(probe: Probe, broken: Broken) -> None:
    """The header's promise is held against the size."""
    folder = broken()
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-4])
    assert codes(probe(folder)) == ["bad_weights"]


def test_a_pickle_alone_is_never_opened(probe: Probe, broken: Broken) -> None:
    """It is refused by its name."""
    folder = broken()
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    assert codes(probe(folder)) == ["pickle_only"]


def test_a_config_that_is_no_json_is_told(probe: Probe, broken: Broken) -> None:
    """The message names the file, not the host's path."""
    folder = broken()
    (folder / CONFIG).write_text("{")
    result = probe(folder)
    assert codes(result) == ["bad_config"]
    assert str(folder) not in result.findings[0].message


def test_an_exception_of_peft_is_told_without_the_hosts_paths(probe: Probe, broken: Broken) -> None:
    """Class and first line, nothing else."""
    folder = broken(target_modules=["qkv"])
    message = probe(folder).findings[0].message
    assert message.startswith("NoMatchingPeftModuleError: Target modules")
    assert str(folder.parent) not in message


def test_weights_too_large_for_the_dtype_give_no_finite_output(probe: Probe, broken: Broken) -> None:
    """All values are finite, the forward pass is not."""
    huge = broken(mapped("lora_", lambda tensor: tensor.abs() * 1e4))
    assert codes(probe(huge, dtype="float16"))[0] == "output_non_finite"


def test_tokens_without_an_embedding_are_told(probe: Probe, broken: Broken, tokenizer: Any) -> None:  # noqa: ANN401 - transformers is not followed by mypy
    """Tokens were added to the tokenizer, the base was never resized: that fails only when one is used."""
    folder = broken()
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer.json").read_text())
    extra = settings["added_tokens"][0] | {"id": 320, "content": "<new>"}
    (folder / "tokenizer.json").write_text(json.dumps(settings | {"added_tokens": [*settings["added_tokens"], extra]}))
    result = probe(folder)
    assert codes(result) == ["tokens_out_of_range"]
    assert "up to 320" in result.findings[0].message


def test_a_base_that_is_not_there_is_not_the_adapters_fault(probe: Probe, good: Path, tmp_path: Path) -> None:
    """A person must act; the adapter is not refused."""
    result = probe(good, tmp_path / "nowhere")
    assert decide(result.findings, result.measurements, Limits()).verdict == "stalled"
    assert codes(result) == ["base_not_at_hand"]


def test_a_base_that_cannot_be_loaded_is_not_the_adapters_fault(
    probe: Probe,
    good: Path,
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    tmp_path: Path,
) -> None:
    """Damaged base weights stall."""
    base = shutil.copytree(bases.llama, tmp_path / "base")
    (base / "model.safetensors").write_bytes(b"damaged")
    assert codes(probe(good, base)) == ["base_not_at_hand"]


def test_a_base_folder_that_holds_an_adapter_is_refused(probe: Probe, good: Path, bases: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Transformers would load that adapter with the base, and every comparison would be with the wrong thing."""
    base = shutil.copytree(bases.llama, tmp_path / "base")
    shutil.copytree(good, base, dirs_exist_ok=True)
    assert codes(probe(good, base)) == ["base_not_at_hand"]


def test_the_worker_and_its_base_outlive_every_fault(probe: Probe, good: Path, broken: Broken) -> None:
    """What a broken adapter left behind would show in the next one's numbers."""
    before = probe(good)
    names = {"latency_ms", "latency_base_ms", "seconds", "seconds_base", "peak_rss"}
    folder = broken(renamed("layers.0", "layers.9"))
    assert probe(folder).findings
    save_file(load_file(good / WEIGHTS) | {f"{PREFIX}model.norm.weight": torch.zeros(32)}, folder / WEIGHTS)
    assert probe(folder).findings
    after = probe(good)
    kept = [{key: value for key, value in r.measurements.items() if key not in names} for r in (before, after)]
    assert kept[0] == kept[1]
    assert after.measurements["base_restored"] is True
