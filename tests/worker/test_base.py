"""What a base model is, before it is loaded: its task, and its fingerprint."""

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from adapterd.ports import BaseModel
from adapterd.worker.architecture import Loader, NoClassError, gguf_file, loader_for
from adapterd.worker.base import BaseKey, fingerprint, load, weight_bytes
from adapterd.worker.inputs import Batch
from adapterd.worker.outputs import Outputs
from helpers.tiny import silence


def of(folder: Path) -> BaseModel:
    """Name a base."""
    return BaseModel("org/base", "local", str(folder))


def test_the_fingerprint_is_the_content_and_not_the_place(bases: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """A copy elsewhere is the same base, whatever else lies beside it; one other byte is another."""
    copy = shutil.copytree(bases.llama, tmp_path / "copy")
    (copy / "notes.txt").write_text("mine")
    original = fingerprint(of(bases.llama), {})
    assert fingerprint(of(copy), {}) == original
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(of(copy), {}) != original
    assert fingerprint(of(bases.bert), {}) != original


def batch(digest: str) -> Batch:
    """Some inputs by this name."""
    return Batch({}, None, None, digest, 1, 1, 1)


def test_a_base_is_asked_once_for_what_is_in_use(bases: Any) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Outputs on the probes are kept; of several sets, those that were asked for last."""
    base = load(BaseKey(of(bases.llama), "float32", "cpu", Loader("AutoModelForCausalLM", "CAUSAL_LM")))
    asked = []

    def run(_: Any, given: Batch) -> Outputs:  # noqa: ANN401 - a model
        asked.append(given.digest)
        return Outputs(torch.zeros(1), 0.0)

    for probes in ("one", "two", "three", "four", "five"):
        base.answer(batch("spot"), run)
        base.answer(batch(probes), run)
        assert {"spot", probes} <= base.outputs.keys()
    assert asked.count("spot") == 2  # a warm-up, and the pass that counts
    assert len(base.outputs) <= 4


def test_what_a_base_was_trained_on_is_read_on_the_cpu(
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Left to itself PEFT takes a GPU wherever there is one, and some hundred MiB of training's memory with it."""

    def infer() -> str:
        pytest.fail("PEFT was left to choose")

    monkeypatch.setattr(peft.peft_model, "infer_device", infer)
    composed = BaseModel("org/base", "local", str(bases.llama), trained_on=(str(good),))
    with silence():
        plain, merged = (
            load(BaseKey(base, "float32", "cpu", Loader("AutoModelForCausalLM", "CAUSAL_LM")))
            for base in (of(bases.llama), composed)
        )
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(merged.model.get_parameter(name), plain.model.get_parameter(name))


def test_a_base_file_is_hashed_once(bases: Any) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """Its digest is known by device, inode, size and mtime; the next fingerprint is taken from there."""
    hashes: dict[str, str] = {}
    first = fingerprint(of(bases.llama), hashes)
    assert len(hashes) == 2
    assert fingerprint(of(bases.llama), hashes) == first
    assert fingerprint(of(bases.llama), dict.fromkeys(hashes, "known")) != first


@pytest.mark.parametrize(
    ("config", "architecture", "task"),
    [
        ({"task_type": "SEQ_CLS"}, "LlamaForCausalLM", "SEQ_CLS"),
        ({"task_type": None}, "LlamaForCausalLM", "CAUSAL_LM"),
        ({"task_type": None}, "GPT2LMHeadModel", "CAUSAL_LM"),
        ({"task_type": None}, "BertForSequenceClassification", "SEQ_CLS"),
        ({}, "BertModel", "FEATURE_EXTRACTION"),
        ({}, "T5ForConditionalGeneration", "SEQ_2_SEQ_LM"),
        ({}, "WhisperForConditionalGeneration", "SEQ_2_SEQ_LM"),
        ({}, "BertForTokenClassification", "TOKEN_CLS"),
        ({"auto_mapping": {"base_model_class": "BertForSequenceClassification"}}, "BertModel", "SEQ_CLS"),
    ],
)
def test_the_task_is_named_or_follows_from_the_base(
    config: dict[str, Any], architecture: str, task: str, tmp_path: Path
) -> None:
    """Native saves name no task; then the class counts that it was trained in, or the base was made for."""
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert loader_for(config, tmp_path).task == task


@pytest.mark.parametrize(
    ("config", "base", "code"),
    [
        ({}, {"architectures": ["SomethingOfYours"]}, "unsupported_task"),
        ({}, {}, "unsupported_task"),
        ({"auto_mapping": {"base_model_class": "os"}}, {"architectures": ["BertModel"]}, "unsupported_task"),
        ({"task_type": "DANCING"}, {"model_type": "llama"}, "unsupported_task"),
        ({"task_type": "SEQ_2_SEQ_LM"}, {"model_type": "llama"}, "unsupported_task"),
        ({}, {"model_type": "theirs", "auto_map": {"AutoConfig": "code.Theirs"}}, "remote_code"),
    ],
)
def test_what_no_class_is_for_is_refused(
    config: dict[str, Any], base: dict[str, Any], code: str, tmp_path: Path
) -> None:
    """A task or class that transformers has not is a refusal; a base that needs its own code is a person's decision."""
    (tmp_path / "config.json").write_text(json.dumps(base))
    with pytest.raises(NoClassError) as caught:
        loader_for(config, tmp_path)
    assert caught.value.code == code


def test_a_task_names_its_own_class(tmp_path: Path) -> None:
    """The auto class of the task, and for sound the one that takes sound."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    assert loader_for({"task_type": "SEQ_2_SEQ_LM"}, tmp_path).name == "AutoModelForSpeechSeq2Seq"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    assert loader_for({"task_type": "SEQ_2_SEQ_LM"}, tmp_path).name == "AutoModelForSeq2SeqLM"


def test_a_gguf_file_alone_is_a_base(tmp_path: Path) -> None:
    """Two of them, or one beside a config, are not: nobody said which is meant."""
    (tmp_path / "model.Q4.gguf").write_bytes(b"GGUF")
    assert gguf_file(tmp_path) == "model.Q4.gguf"
    assert loader_for({}, tmp_path).task == "CAUSAL_LM"
    assert weight_bytes(tmp_path) == 4
    (tmp_path / "config.json").write_text("{}")
    assert gguf_file(tmp_path) is None
