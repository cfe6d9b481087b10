"""validate: a base model, a real worker process, adapters; and what needs neither."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from adapterd.cli.app import app

if TYPE_CHECKING:
    from cli.conftest import Make, Type

C, W = "adapter_config.json", "adapter_model.safetensors"

LAYER = "model.layers.0."
SHAPES = {
    "model.embed_tokens.weight": (256, 16),
    "model.norm.weight": (16,),
    "lm_head.weight": (256, 16),
    **{f"{LAYER}self_attn.{name}_proj.weight": (16, 16) for name in "qkvo"},
    **{f"{LAYER}mlp.{name}_proj.weight": (16, 16) for name in ("gate", "up", "down")},
    **{f"{LAYER}{name}_layernorm.weight": (16,) for name in ("input", "post_attention")},
}
BASE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A tiny Llama with random weights and a tokenizer of bytes, written without torch."""
    folder = tmp_path / "base"
    folder.mkdir()
    random = np.random.default_rng(1)
    tensors = {name: random.normal(0, 0.1, shape).astype("float32") for name, shape in SHAPES.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(BASE))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


def adapter(folder: Path, base: Path, spread: float) -> None:
    """A LoRA adapter for the tiny Llama as PEFT writes it, naming the base by its path."""
    folder.mkdir()
    random = np.random.default_rng(2)
    prefix = f"base_model.model.{LAYER}self_attn.q_proj"
    a = random.normal(0, 0.1, (2, 16)).astype("float32")
    b = random.normal(0, 1, (16, 2)).astype("float32") * np.float32(spread)
    save_file({f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}, folder / W, {"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / C).write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))


def lines(text: str) -> list[dict[str, object]]:
    """The lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_adapters_are_judged_in_their_base(adapterd: "Type", base: Path, tmp_path: Path) -> None:
    """A trained adapter passes, one without effect is rejected; one line each, the worst gives the exit code.

    Neither names a base on the command line: the path that the trainer wrote is there.
    """
    adapter(tmp_path / "trained", base, 0.1)
    adapter(tmp_path / "untrained", base, 0.0)
    done = adapterd("validate", "trained", "untrained", "--device", "cpu", "--json")
    assert done.returncode == 3, done.stderr
    trained, untrained = lines(done.stdout)
    assert set(trained) == {"schema", "dir", "verdict", "reasons", "warnings", "measurements", "policy", "engines"}
    assert (trained["dir"], trained["verdict"], trained["reasons"]) == (str(tmp_path / "trained"), "passed", [])
    assert isinstance(trained["measurements"], dict)
    assert trained["measurements"]["effect"] > 0
    assert isinstance(trained["engines"], dict)
    assert (trained["engines"]["vllm"]["takes"], trained["engines"]["vllm"]["flags"]) == ("yes", ["--enable-lora"])
    assert untrained["verdict"] == "rejected"
    assert [reason["code"] for reason in untrained["reasons"]] == ["no_effect"]  # type: ignore[attr-defined]  # a list
    assert trained["policy"] == untrained["policy"]
    assert "validating" in done.stderr


@pytest.mark.parametrize(
    ("files", "verdict", "code", "exit_code"),
    [
        ({C: True, "adapter_model.bin": b"pickle"}, "rejected", "pickle_only", 3),
        ({C: True, W: b"short"}, "rejected", "bad_weights", 3),
        ({"model.safetensors": b""}, "rejected", "full_model", 3),
        ({C: b'{"peft_type": "LORA"}', W: True}, "stalled", "base_unknown", 4),
        ({C: b'{"peft_type": "LORA", "base_model_name_or_path": "/nowhere"}', W: True}, "stalled", "base_unknown", 4),
        ({C: True, W: True}, "stalled", "base_not_at_hand", 4),
    ],
)
def test_what_needs_no_worker_is_judged_at_once(
    make: "Make", files: Mapping[str, bytes | bool], verdict: str, code: str, exit_code: int
) -> None:
    """What the files alone tell is a rejection; a base that is not to be had waits for a person."""
    done = CliRunner().invoke(app, ["validate", str(make("it", files)), "--json"], catch_exceptions=False)
    (line,) = lines(done.stdout)
    assert (line["verdict"], done.exit_code) == (verdict, exit_code)
    assert isinstance(line["reasons"], list)
    (why,) = line["reasons"]
    assert why["code"] == code
    assert why["message"]
    assert why["hint"]


def test_probes_of_ones_own_are_measured_on(adapterd: "Type", base: Path, tmp_path: Path) -> None:
    """A file of examples takes the place of the built-in texts, and makes another policy."""
    adapter(tmp_path / "trained", base, 0.1)
    (tmp_path / "probes.jsonl").write_text('{"prompt": "2 + 2 =", "completion": " 4"}\n{"prompt": "Plain text."}\n')
    own = adapterd("validate", "trained", "--device", "cpu", "--probes", "probes.jsonl", "--json")
    assert own.returncode == 0, own.stderr
    (line,) = lines(own.stdout)
    assert isinstance(line["measurements"], dict)
    assert line["measurements"]["texts"] == 2
    (tmp_path / "probes.jsonl").write_text('{"promt": "mistyped"}\n')
    wrong = adapterd("validate", "trained", "--device", "cpu", "--probes", "probes.jsonl")
    assert wrong.returncode == 2
    assert "line 1 has the unknown key 'promt'" in wrong.stderr
    assert "Try: one JSON object a line" in wrong.stderr


def test_a_pickle_is_proved_in_a_copy(adapterd: "Type", base: Path, tmp_path: Path) -> None:
    """Only where that is asked for; the directory stays as it is, and what is told is about it."""
    folder = tmp_path / "trained"
    adapter(folder, base, 0.1)
    tensors = {name: torch.from_numpy(values) for name, values in load_file(folder / W).items()}
    torch.save(tensors, folder / "adapter_model.bin")
    (folder / W).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    done = adapterd("validate", "trained", "--device", "cpu")
    assert (done.returncode, "pickle_only" in done.stdout, "--convert-pickle" in done.stdout) == (3, True, True)
    done = adapterd("validate", "trained", "--convert-pickle", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = lines(done.stdout)
    assert (line["dir"], line["verdict"]) == (str(folder), "passed")
    assert {path.name: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


def test_a_pulled_version_is_no_pickle(adapterd: "Type") -> None:
    """Two options that contradict each other are a fault of usage."""
    done = adapterd("validate", ".", "--golden", "--convert-pickle")
    assert done.returncode == 2
    assert "hold no pickle" in done.stderr


def test_a_pickle_that_holds_no_tensors_is_rejected(make: "Make") -> None:
    """Also by hand: it is not run, whatever it is."""
    folder = make("it", {C: True, "adapter_model.bin": b"pickle"})
    done = CliRunner().invoke(app, ["validate", str(folder), "--convert-pickle", "--json"], catch_exceptions=False)
    (line,) = lines(done.stdout)
    assert (line["verdict"], done.exit_code) == ("rejected", 3)
    assert [reason["code"] for reason in line["reasons"]] == ["conversion_failed"]  # type: ignore[attr-defined]  # a list


def test_a_worker_that_dies_is_no_rejection(make: "Make", tmp_path: Path) -> None:
    """One that is killed at its deadline leaves the adapter stalled; the plain form says so."""
    folder = make("it", {C: True, W: True})
    (tmp_path / "base").mkdir()
    arguments = ["validate", str(folder), "--base", str(tmp_path / "base"), "--deadline", "1ms"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 4
    assert "it: stalled\n  worker_timeout: the worker was killed after 0.001 s" in done.stdout
    assert "Try: a longer --deadline" in done.stdout
    assert "adapterd show" not in done.stdout


def test_a_verdict_ends_with_a_sentence(adapterd: "Type", base: Path, tmp_path: Path) -> None:
    """The plain form has the measurements in words, and says at its end what the adapter does."""
    adapter(tmp_path / "trained", base, 0.1)
    done = adapterd("validate", "trained", "--device", "cpu")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{tmp_path}/trained: passed"
    assert "  on cpu float32" in lines
    assert any(line.startswith("  vllm >=") and line.endswith("yes, with --enable-lora") for line in lines)
    assert any(line.startswith("  largest weight change ") for line in lines)
    said = r"passed: it changes 1 of 1 layers; loss on the probe texts \d\.\d{3} → \d\.\d{3} with the adapter"
    assert re.fullmatch(said, lines[-1]), lines[-1]


def test_a_device_that_is_not_there_is_no_verdict(adapterd: "Type", base: Path, tmp_path: Path) -> None:
    """The host lacks it now and in an hour: exit 78 with the words for it, and not exit 75, try again later."""
    adapter(tmp_path / "trained", base, 0.1)
    done = adapterd("validate", "trained", "--device", "cuda:99")
    assert done.returncode == 78, done.stdout
    assert re.search(r"this host has (no|\d+) CUDA device", done.stderr)
    assert "Try: name a device that is there" in done.stderr


def test_a_base_that_fits_no_device_stalls_with_what_helps_here(base: Path, tmp_path: Path) -> None:
    """Exit 4 and not 75: waiting does not make the host larger; there is no configuration to change either."""
    adapter(tmp_path / "trained", base, 0.1)
    (base / "model.safetensors").unlink()
    with (base / "pytorch_model.bin").open("wb") as sparse:
        sparse.truncate(2**43)  # eight TiB of nothing
    arguments = ["validate", str(tmp_path / "trained"), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 4
    assert "device_too_small: no device can hold the base model" in done.stdout
    assert "Try: another --device or a smaller --dtype" in done.stdout
