"""From a real worker into a manifest, and back: validate --golden on a version as it was pulled."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peft
import pytest
import torch
import transformers

from adapterd.cli.verbs.comparing import compare
from adapterd.core import golden
from adapterd.ports import ProbeResult
from adapterd.worker.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from worker.conftest import Bases, Build

Probe = Callable[..., ProbeResult]
HOW = ("cpu", "auto", "2m")


def pulled(folder: Path, result: ProbeResult, target: Path) -> Path:
    """The adapter as a pull leaves it: payload, and the manifest with what the worker recorded."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("README.md"))
    payload = {path.name: path.read_bytes() for path in target.iterdir()}
    manifest = {
        "schema": 1,
        "adapter": "acme/support",
        "number": 1,
        "identity": {"digest": "a" * 64},
        "base": {"id": "", "revision": "local", "fingerprint": result.base_fingerprint},
        "serving_name": "acme-support@v1-aaaaaaa",
        "files": {p: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for p, d in payload.items()},
        "golden": result.golden,
    }
    (target / "adapterd.json").write_text(json.dumps(manifest))
    return target


class Lasting(WorkerSupervisor):
    """A worker that outlives the verb, so that one serves all tests here."""

    def close(self) -> None:
        """Go on."""


@pytest.fixture(scope="module")
def lasting() -> Any:  # noqa: ANN401 - a generator of one worker
    """One worker process for these tests."""
    supervisor = Lasting(threads=1)
    yield supervisor
    WorkerSupervisor.close(supervisor)


def answer(folder: Path, base: Path, worker: WorkerSupervisor, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    """What the verb says of a directory, and its exit code."""
    code = compare([folder], str(base), HOW, as_json=True, worker=worker)
    found = json.loads(capsys.readouterr().out)
    return found["answer"] or found["why"], code


def test_a_good_adapter_is_recognised(
    probe: Probe,
    good: Path,
    bases: "Bases",
    lasting: WorkerSupervisor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another worker process gives the recorded outputs again; in the wrong base it does not."""
    result = probe(good)
    assert result.golden is not None
    recorded = golden.parse(result.golden)
    assert (recorded.task, recorded.device, recorded.dtype) == ("CAUSAL_LM", "cpu", "float32")
    assert all(prompt.text for prompt in recorded.prompts)
    assert recorded.adapter[0].text
    folder = pulled(good, result, tmp_path / "pulled")
    assert answer(folder, bases.llama, lasting, capsys) == ("adapter", 0)
    torch.manual_seed(7)
    other = transformers.LlamaForCausalLM(transformers.AutoConfig.from_pretrained(bases.llama))
    shutil.copytree(bases.llama, tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    assert answer(folder, tmp_path / "other", lasting, capsys) == ("inconclusive", 4)


def test_the_base_is_computed_once_for_all_its_adapters(
    probe: Probe, good: Path, bases: "Bases", adapter: "Build"
) -> None:
    """The next adapter on the same base finds the base's own side there, whatever ran in between."""
    first = probe(good)
    base = transformers.LlamaForCausalLM.from_pretrained(bases.llama)
    second = probe(adapter(base, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])))
    sides = [[p["base"] for p in (result.golden or {})["prompts"]] for result in (first, second)]
    assert sides[0] == sides[1]


@pytest.mark.parametrize(
    "config",
    [
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], alora_invocation_tokens=[65, 66]),
        peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], trainable_token_indices=[67, 68]),
    ],
    ids=["prompt tuning", "aLoRA", "trained tokens"],
)
def test_kinds_that_act_in_their_own_way_are_recognised(
    config: Any,  # noqa: ANN401 - a config of PEFT
    probe: Probe,
    adapter: "Build",
    bases: "Bases",
    lasting: WorkerSupervisor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Virtual tokens, an invocation, trained tokens: each is asked so that it has something to say."""
    base = transformers.LlamaForCausalLM.from_pretrained(bases.llama)
    made = adapter(base, config, moved=0.2)
    result = probe(made)
    assert result.findings == ()
    assert result.golden is not None
    assert answer(pulled(made, result, tmp_path / "pulled"), bases.llama, lasting, capsys) == ("adapter", 0)
