"""Bases that are too large, spread, or composed of others; and what a worker is spent by."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import transformers

from adapterd.core.verdict import Limits, decide
from adapterd.ports import BaseModel, DeviceTooSmall, ProbeRequest, ProbeResult
from adapterd.worker.supervisor import WorkerSupervisor

Probe = Callable[..., ProbeResult]
Build = Callable[..., Path]
LLM: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
HUGE = 8 * 2**40
"""Bytes that no host of ours has; the file has a hole in it."""


def ask(worker: WorkerSupervisor, snapshot: Path, base: BaseModel, **options: Any) -> ProbeResult:  # noqa: ANN401 - fields of the request
    """Measure in a base that is described in full."""
    return worker.probe(ProbeRequest(str(snapshot), base, devices=("cpu",), seconds=120.0, **options))


@pytest.fixture
def giant(bases: Any, tmp_path: Path) -> BaseModel:  # noqa: ANN401 - a dataclass of the conftest
    """A base of the tiny Llama's structure, whose weights fit into no memory."""
    folder = tmp_path / "giant"
    folder.mkdir()
    shutil.copy(bases.llama / "config.json", folder)
    with (folder / "model.safetensors").open("wb") as file:
        os.truncate(file.fileno(), HUGE)
    return BaseModel("tiny/giant", "local", str(folder))


def test_a_base_that_no_device_can_hold_is_a_persons_to_decide(
    worker: WorkerSupervisor, good: Path, giant: BaseModel
) -> None:
    """It is not waited for; the message has the numbers."""
    with pytest.raises(DeviceTooSmall, match="GiB"):
        ask(worker, good, giant)


def test_where_asked_for_files_and_structure_are_enough(worker: WorkerSupervisor, good: Path, giant: BaseModel) -> None:
    """The level says so, a warning says why, and no pass was made."""
    result = ask(worker, good, giant, structural=True)
    decided = decide(result.findings, result.measurements, Limits())
    assert (decided.verdict, result.level) == ("passed", "structural")
    assert [found.code for found in decided.warnings] == ["structural_only"]
    assert (result.device, result.golden) == ("", None)
    assert "loss_adapter" not in result.measurements


def test_a_faulty_adapter_is_refused_at_the_structural_level_too(
    worker: WorkerSupervisor, broken: Callable[..., Path], giant: BaseModel
) -> None:
    """Keys and shapes need no memory."""
    result = ask(worker, broken(target_modules=["q_proj"]), giant, structural=True)
    assert [found.code for found in result.findings] == ["unexpected_keys"]


def test_an_adapter_is_measured_on_top_of_those_it_was_trained_on(
    worker: WorkerSupervisor,
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    good: Path,
    adapter: Build,
) -> None:
    """The base's own loss is that of base and first adapter together."""
    second = adapter(transformers.LlamaForCausalLM.from_pretrained(bases.llama), peft.LoraConfig(**LLM))
    plain = BaseModel("tiny/base", "local", str(bases.llama))
    composed = BaseModel("tiny/base", "local", str(bases.llama), trained_on=(str(good),))
    alone = ask(worker, good, plain).measurements
    on_top = ask(worker, second, composed)
    assert on_top.findings == ()
    assert on_top.measurements["loss_base"] == pytest.approx(alone["loss_adapter"], abs=1e-4)
    assert ask(worker, second, plain).measurements["loss_base"] == pytest.approx(alone["loss_base"], abs=1e-6)


def test_a_base_may_be_spread(worker: WorkerSupervisor, bases: Any, good: Path) -> None:  # noqa: ANN401 - a dataclass of the conftest
    """With a device map the numbers are those of one device, and the answer says where it lay."""
    spread = BaseModel("tiny/base", "local", str(bases.llama), device_map="auto")
    plain = BaseModel("tiny/base", "local", str(bases.llama))
    result = ask(worker, good, spread)
    assert (result.findings, result.device) == ((), "cpu")
    wanted = ask(worker, good, plain).measurements["loss_adapter"]
    assert result.measurements["loss_adapter"] == pytest.approx(wanted, abs=1e-5)


def test_code_of_the_bases_own_is_a_persons_to_allow(worker: WorkerSupervisor, good: Path, tmp_path: Path) -> None:
    """An architecture that only the base's own code knows is told before anything of it is run."""
    base = tmp_path / "theirs"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "theirs", "auto_map": {"AutoConfig": "code.Theirs"}}')
    (base / "code.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w')\n")
    result = ask(worker, good, BaseModel("theirs/base", "local", str(base)))
    assert [found.code for found in result.findings] == ["remote_code"]
    assert not (tmp_path / "trap").exists()


def test_golden_outputs_of_both_sides_are_made_on_the_way(probe: Probe, good: Path) -> None:
    """They stand in the result of what passed, and tell the adapter from its base."""
    golden = probe(good).golden
    assert golden is not None
    assert golden["task"] == "CAUSAL_LM"
    assert golden == probe(good).golden
    assert probe(good, golden={"schema": 1}).golden is not None


def test_what_changed_the_base_is_the_workers_last(
    bases: Any,  # noqa: ANN401 - a dataclass of the conftest
    adapter: Build,
    good: Path,
    probe: Probe,
    worker: WorkerSupervisor,
) -> None:
    """The next adapter gets a fresh process."""
    assert probe(good).findings == ()
    first = worker.pid
    probe(
        adapter(
            transformers.LlamaForCausalLM.from_pretrained(bases.llama),
            peft.LoraConfig(init_lora_weights="pissa", **LLM),
        )
    )
    assert worker.pid is None
    assert probe(good).findings == ()
    assert worker.pid not in (None, first)
