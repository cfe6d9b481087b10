"""A shell without anything, a training host with a real registry, and adapter directories of every kind."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import Stage
from adapterd.ports import Draft, Intent, Observation, Validation
from adapterd.registry import open_registry
from adapterd.registry.migrate import migrate

Type = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]
CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "acme/base", "r": 8}
NOW = 1_800_000_000.0


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell whose home is empty."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def adapterd(shell: dict[str, str], tmp_path: Path) -> Type:
    """Run the command line in that shell."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "adapterd", *arguments]
        return subprocess.run(command, env=shell | environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def weights() -> bytes:
    """A whole safetensors file of one tensor."""
    header = json.dumps({"lora_A.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a directory of files below the root; ``True`` stands for what a whole adapter has there."""

    def do(name: str, files: Mapping[str, bytes | bool]) -> Path:
        folder = tmp_path / "train" / name
        whole = {"adapter_config.json": json.dumps(CONFIG).encode(), "adapter_model.safetensors": weights()}
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(whole[Path(path).name] if isinstance(data, bool) else data)
        return folder

    return do


@pytest.fixture
def whole(make: Make) -> Path:
    """A whole adapter directory."""
    return make("run-1", {"adapter_config.json": True, "adapter_model.safetensors": True, "training_args.bin": b"x"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose every place lies in this test's folder."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"hub: {{namespace: acme, endpoint: 'http://127.0.0.1:9'}}\nroots: [{{path: {tmp_path}/train}}]\n"
        f"state_dir: {tmp_path}/state\nruntime_dir: {tmp_path}/run\n"
    )
    return path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, migrated once."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    migrate(path)
    return path


def draft(root: str, count: int, path: str, *, final: bool) -> Draft:
    """What settle would hand over."""
    checkpoint = None if final else count
    return Draft(
        adapter="acme/support",
        identity=f"{count:x}" * 64,
        tree="f" * 64,
        root=root,
        path=path,
        run="run-1",
        checkpoint=checkpoint,
        step=count,
        final=final,
        base="acme/base",
        peft_type="LORA",
        task="CAUSAL_LM",
        fingerprint=f"print-{count}",
    )


@pytest.fixture
def host(config: Path, template: Path, tmp_path: Path, whole: Path) -> Path:
    """A training host: a published, a rejected and a stalled version, a stalled directory. Its configuration."""
    root = str(tmp_path / "train")
    place = tmp_path / "state" / "registry.db"
    place.parent.mkdir(mode=0o700)
    place.write_bytes(template.read_bytes())
    (place.parent / "spool" / "acme/support" / ("f" * 64) / "payload").mkdir(parents=True)
    report = {"measurements": {"effect": 0.25, "gate.acc": 0.5}, "device": "cpu", "dtype": "float32"}
    gates = [{"command": "evaluate", "exit": 3, "seconds": 2.0, "metrics": {"acc": 0.5}}]
    waivers = [{"code": "gate_refused", "actor": "ada", "reason": "known", "at": NOW}]
    with open_registry(place, clock=lambda: NOW) as registry:
        registry.bind("acme/support", root, "acme/base", "LORA", "CAUSAL_LM")
        for count, path, verdict in ((1, whole.name, "passed"), (2, "run-1/checkpoint-2", "rejected")):
            version, _ = registry.intake(draft(root, count, path, final=count == 1), NOW)
            claim = registry.claim(Stage.STAGED, "test", NOW, 60.0, 3600.0)
            assert claim is not None
            why = None if verdict == "passed" else reason("no_effect", "not one of the 3 layers is changed by it")
            beside = {"reasons": [asdict(why)]} if why else {"reasons": [], "gates": gates, "waivers": waivers}
            said = {**report, "verdict": verdict, **beside}
            row = Validation(version.id, version.tree, "policy-1", verdict, said, NOW)
            to = Stage.VALIDATED if verdict == "passed" else Stage.REJECTED
            registry.advance(claim, to, NOW, reason=why, validation=row)
        claim = registry.claim(Stage.VALIDATED, "test", NOW, 60.0, 3600.0)
        assert claim is not None
        registry.plan(claim, 0, lambda number: Intent(number, "policy-1", {}, "message"))
        registry.advance(claim, Stage.PUBLISHED, NOW, commit="c" * 40)
        registry.intake(draft(root, 3, "run-1/checkpoint-3", final=False), NOW)
        claim = registry.claim(Stage.STAGED, "test", NOW, 60.0, 3600.0)
        assert claim is not None
        registry.stall(claim, reason("base_not_at_hand", "base model acme/base is not on this host"), NOW)
        odd = Observation(
            root, "odd", "stalled", "print", reason="generic_name", message="it says nothing", hint="name it"
        )
        registry.observe([odd])
    return config
