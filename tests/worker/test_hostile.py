"""The real worker, in which a library does what none should: print, exit, interrupt, start others.

Code of a base model's own folder stands in for the library, since it runs in the middle of a load.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd.ports import BaseModel, ProbeRequest, ProbeResult, WorkerDied
from adapterd.worker.supervisor import WorkerSupervisor
from worker.test_strays import told
from worker.test_supervisor import eventually, gone

CONFIG = {
    "model_type": "hostile",
    "architectures": ["Hostile"],
    "auto_map": {"AutoConfig": "code_of_theirs.HostileConfig", "AutoModelForCausalLM": "code_of_theirs.Hostile"},
}
SECONDS = 120.0


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[WorkerSupervisor]:
    """A real worker of its own, whose caches lie in the test's folder."""
    supervisor = WorkerSupervisor(environ={**os.environ, "HF_HOME": str(tmp_path / "cache")})
    yield supervisor
    supervisor.close()


@pytest.fixture
def against(fresh: WorkerSupervisor, good: Path, tmp_path: Path) -> Callable[..., ProbeResult]:
    """Measure the good adapter in a base whose code does something first."""

    def measure(code: str, seconds: float = SECONDS) -> ProbeResult:
        folder = tmp_path / "base"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG))
        (folder / "code_of_theirs.py").write_text(f"import os, signal, subprocess, sys, time\n{code}\n")
        base = BaseModel("org/hostile", "local", str(folder), trust_remote_code=True)
        return fresh.probe(ProbeRequest(str(good), base, devices=("cpu",), seconds=seconds))

    return measure


def test_a_library_that_exits_is_a_death_by_name(
    against: Callable[..., ProbeResult], fresh: WorkerSupervisor, good: Path, bases: object
) -> None:
    """Though a thread of its own would keep the process; the next adapter has a fresh worker, and passes."""
    with pytest.raises(WorkerDied) as caught:
        against("import threading; threading.Thread(target=time.sleep, args=(300,)).start(); print('bye'); sys.exit(0)")
    assert (caught.value.cause, "ended by SystemExit: 0" in caught.value.message) == ("worker_crashed", True)
    assert "bye" in caught.value.log_tail
    base = BaseModel("", "local", str(bases.llama))  # type: ignore[attr-defined] # a dataclass of the conftest
    after = fresh.probe(ProbeRequest(str(good), base, devices=("cpu",), seconds=SECONDS))
    assert after.findings == ()


def test_what_a_library_starts_dies_with_the_worker(against: Callable[..., ProbeResult], tmp_path: Path) -> None:
    """It printed much, started another session, and raised what few except."""
    note = tmp_path / "pid"
    code = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)\n"
        f"print('x' * 1_000_000, flush=True); open({str(note)!r}, 'w').write(str(child.pid))\n"
        "raise KeyboardInterrupt"
    )
    with pytest.raises(WorkerDied, match="ended by KeyboardInterrupt"):
        against(code)
    eventually(lambda: gone(told(note)))


def test_a_pipe_in_place_of_weights_is_not_waited_for(probe: Callable[..., ProbeResult], tmp_path: Path) -> None:
    """Nobody will ever write to it: it is refused at once."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}')
    os.mkfifo(folder / "adapter_model.safetensors")
    assert [found.code for found in probe(folder).findings] == ["bad_weights"]
