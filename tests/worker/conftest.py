"""Tiny base models with a real tokenizer, adapters made by real PEFT, and one real worker for all tests."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from adapterd.core.probetexts import TEXTS
from adapterd.ports import BaseModel, ProbeRequest, ProbeResult
from adapterd.worker.supervisor import WorkerSupervisor
from helpers.tiny import SIZES, byte_tokenizer, silence

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Build = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """One thread, and no progress bars."""
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def tokenizer() -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """A byte-level tokenizer, trained on the probe texts."""
    return byte_tokenizer()


@dataclass(frozen=True)
class Bases:
    """Where the tiny base models lie."""

    llama: Path
    bert: Path


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Bases:  # noqa: ANN401 - transformers is not followed by mypy
    """A Llama for causal language modelling and a bare BERT, of some kilobytes each."""
    home = tmp_path_factory.mktemp("bases")
    torch.manual_seed(1)
    found = Bases(home / "llama", home / "bert")
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer), num_key_value_heads=2, pad_token_id=0, tie_word_embeddings=False, **SIZES
        )
    )
    bert = transformers.BertModel(transformers.BertConfig(vocab_size=len(tokenizer), **SIZES))
    for model, folder in ((llama, found.llama), (bert, found.bert)):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return found


@pytest.fixture(scope="session")
def good(bases: Bases, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ANN401 - transformers is not followed by mypy
    """A LoRA adapter that really learnt something, in a few steps."""
    torch.manual_seed(2)
    base = transformers.LlamaForCausalLM.from_pretrained(bases.llama)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    with silence():
        model = peft.get_peft_model(base, config)
    batch = tokenizer(list(TEXTS[:3]), return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-2)
    for _ in range(15):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("adapters") / "good"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Build:
    """Save an adapter of any kind for a base, with every parameter moved a little, as training does."""

    def build(base: Any, config: Any, *, moved: float = 0.05) -> Path:  # noqa: ANN401 - the same
        torch.manual_seed(3)
        folder = tmp_path / "adapter"
        with silence(), torch.no_grad():
            model = peft.get_peft_model(base, config)
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * moved)
            model.save_pretrained(folder)
        return folder

    return build


@pytest.fixture
def broken(good: Path, tmp_path: Path) -> Callable[..., Path]:
    """Give a copy of the good adapter with other weights, or other entries in its config."""

    def change(
        weights: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] | None = None, **config: object
    ) -> Path:
        folder = tmp_path / "broken"
        folder.mkdir()
        tensors = load_file(good / WEIGHTS)
        save_file(weights(tensors) if weights else tensors, folder / WEIGHTS)
        settings: Mapping[str, Any] = json.loads((good / CONFIG).read_text()) | config
        (folder / CONFIG).write_text(json.dumps(settings))
        return folder

    return change


@pytest.fixture(scope="session")
def worker() -> Iterator[WorkerSupervisor]:
    """One real worker process for the whole session."""
    supervisor = WorkerSupervisor(threads=1, environ=os.environ)
    yield supervisor
    supervisor.close()


@pytest.fixture
def probe(worker: WorkerSupervisor, bases: Bases) -> Callable[..., ProbeResult]:
    """Measure an adapter in the tiny Llama, or in another base."""

    def measure(snapshot: Path, base: Path | None = None, **options: Any) -> ProbeResult:  # noqa: ANN401 - fields of the request
        where = BaseModel(id="tiny/base", revision="local", path=str(base or bases.llama))
        fields: dict[str, Any] = {"devices": ("cpu",), "seconds": 120.0} | options
        return worker.probe(ProbeRequest(str(snapshot), where, **fields))

    return measure
