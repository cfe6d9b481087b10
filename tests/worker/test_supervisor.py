"""The supervisor against small children that die, hang, flood and lie in every way a worker may."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adapterd.core.reasons import BY_CODE
from adapterd.ports import BaseModel, DeviceBusy, ProbeRequest, ProbeResult, WorkerDied
from adapterd.worker.supervisor import WorkerSupervisor

PRELUDE = """
import json, os, signal, socket, subprocess, sys, time
wire = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
lines = wire.makefile("rb")
def say(**message):
    wire.sendall(json.dumps(message).encode() + b"\\n")
def hear():
    return json.loads(lines.readline() or b"null") or sys.exit(0)
def answer(number, **measurements):
    say(event="result", id=number, hashes={}, result=dict(
        findings=[], measurements=measurements, device="cpu", dtype="float32",
        versions={}, base_fingerprint="", log_tail=""))
say(event="ready")
"""
GOOD = "while True:\n    answer(hear()['id'], pid=os.getpid())\n"
DEADLINE = 20.0

Start = Callable[..., WorkerSupervisor]


class Clock:
    """A monotonic clock that moves by hand."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def start() -> Iterator[Start]:
    """Supervise a child that runs the given code after the prelude."""
    made: list[WorkerSupervisor] = []

    def build(code: str, *, clock: Callable[[], float] = time.monotonic, idle_exit: float = 60.0) -> WorkerSupervisor:
        command = [sys.executable, "-c", PRELUDE + code]
        made.append(WorkerSupervisor(command=command, clock=clock, idle_exit=idle_exit))
        return made[-1]

    yield build
    for supervisor in made:
        supervisor.close()


def ask(supervisor: WorkerSupervisor, seconds: float = DEADLINE) -> ProbeResult:
    """Send one request."""
    return supervisor.probe(ProbeRequest("/nowhere", BaseModel("", "local", "/nowhere"), seconds=seconds))


def death(supervisor: WorkerSupervisor, seconds: float = DEADLINE) -> WorkerDied:
    """Send one request, and give the death that it ends in."""
    with pytest.raises(WorkerDied) as caught:
        ask(supervisor, seconds)
    assert caught.value.hint
    assert caught.value.cause in BY_CODE
    return caught.value


def eventually(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.01)


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_worker_stays_warm_between_requests(start: Start) -> None:
    """Two requests are answered by the same process."""
    supervisor = start(GOOD)
    assert ask(supervisor).measurements["pid"] == ask(supervisor).measurements["pid"] == supervisor.pid


def test_nothing_is_started_before_there_is_something_to_measure(start: Start) -> None:
    """A supervisor without a request has no process."""
    assert start(GOOD).pid is None


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        ("hear(); os.kill(os.getpid(), signal.SIGSEGV)", "worker_crashed", "SIGSEGV"),
        ("hear(); os.kill(os.getpid(), signal.SIGBUS)", "worker_crashed", "SIGBUS"),
        ("hear(); os.abort()", "worker_crashed", "SIGABRT"),
        ("hear(); os._exit(3)", "worker_crashed", "exited with status 3"),
        ("hear(); sys.exit(0)", "worker_crashed", "exited with status 0"),
        ("hear(); raise ValueError('a bug')", "worker_crashed", "exited with status 1"),
        ("hear(); os.kill(os.getpid(), signal.SIGKILL)", "worker_out_of_memory", "SIGKILL"),
        ("say(event='out_of_memory', id=hear()['id'])", "worker_out_of_memory", "memory"),
        ("hear(); wire.sendall(b'garbage\\n')", "worker_protocol", "garbage"),
        ("hear(); wire.sendall(b'[1]\\n')", "worker_protocol", "not an object"),
        ("say(event='surprise', id=hear()['id'])", "worker_protocol", "surprise"),
        ("answer(hear()['id'] + 1)", "worker_protocol", "result"),
        ("say(event='result', id=hear()['id'])", "worker_protocol", "no result"),
        ("hear(); wire.sendall(b'x' * 9_000_000); time.sleep(60)", "worker_protocol", "more than"),
        ("hear(); wire.shutdown(2); time.sleep(60)", "worker_protocol", "closed its end"),
        ("hear(); say(event='progress', what='probing'); os._exit(4)", "worker_crashed", "while probing"),
    ],
)
def test_every_end_has_a_name(start: Start, code: str, cause: str, words: str) -> None:
    """Signals, exits, lies and silence each become their own cause, with the facts in the message."""
    died = death(start(code))
    assert (died.cause, words in died.message) == (cause, True), died.message


def test_after_a_death_the_next_request_gets_a_fresh_worker(start: Start, tmp_path: Path) -> None:
    """A worker that dies on its first request is followed by another that answers."""
    flag = tmp_path / "died"
    supervisor = start(f"flag = {str(flag)!r}\nif not os.path.exists(flag): open(flag, 'w'); os._exit(1)\n{GOOD}")
    death(supervisor)
    assert ask(supervisor).measurements["pid"] == supervisor.pid


def test_a_worker_that_died_while_idle_is_replaced_without_a_word(start: Start) -> None:
    """Nobody was waiting for it, so nobody is told."""
    supervisor = start(GOOD)
    first = ask(supervisor).measurements["pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: gone(first))
    assert ask(supervisor).measurements["pid"] != first


def test_the_deadline_kills_what_the_worker_started_too(start: Start, tmp_path: Path) -> None:
    """A worker that hangs past its deadline dies with its grandchildren, though one of them holds its pipes."""
    note = tmp_path / "pids"
    code = (
        "hear(); child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "say(event='progress', what='loading_base')\ntime.sleep(300)"
    )
    died = death(start(code), seconds=1.5)
    assert died.cause == "worker_timeout"
    assert "1.5 s" in died.message
    assert "loading_base" in died.message
    for pid in note.read_text().split():
        eventually(lambda pid=pid: gone(int(pid)))  # type: ignore[misc] # mypy infers no type for a lambda's default


def test_a_crash_is_seen_although_a_grandchild_holds_the_pipe(start: Start, tmp_path: Path) -> None:
    """The end of the process counts, not the end of the stream."""
    note = tmp_path / "pid"
    code = (
        "hear(); child = subprocess.Popen(\n"
        "    [sys.executable, '-c', 'import time; time.sleep(300)'], pass_fds=[wire.fileno()])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid)); os._exit(5)"
    )
    assert "status 5" in death(start(code)).message
    eventually(lambda: gone(int(note.read_text())))


def test_floods_of_output_neither_block_the_worker_nor_fill_memory(start: Start) -> None:
    """Megabytes on stdout leave the last 200 lines in the log tail."""
    code = (
        "number = hear()['id']\nfor n in range(300_000): print(f'line {n} of a chatty library')\n"
        "sys.stdout.flush(); answer(number); hear(); print('x' * 5_000_000, file=sys.stderr); os._exit(1)"
    )
    supervisor = start(code)
    ask(supervisor)
    tail = death(supervisor).log_tail
    assert 0 < len(tail) <= 64 * 1024
    assert len(tail.splitlines()) <= 200


def test_the_log_tail_of_a_death_holds_its_traceback(start: Start) -> None:
    """What the worker printed last is what a person needs first."""
    tail = death(start("hear(); print('loading'); raise RuntimeError('no such layer')")).log_tail
    assert tail.splitlines()[0] == "loading"
    assert tail.endswith("RuntimeError: no such layer")


def test_each_request_has_its_own_log(start: Start) -> None:
    """What was printed for the adapter before is not in this adapter's report."""
    supervisor = start("answer(hear()['id'])\nhear(); print('second', flush=True); os._exit(1)")
    ask(supervisor)
    assert death(supervisor).log_tail == "second"


def test_an_idle_worker_exits_and_gives_its_memory_back(start: Start) -> None:
    """After `idle_exit` seconds without a request a tick ends the worker, and not before."""
    clock = Clock()
    supervisor = start(GOOD, clock=clock, idle_exit=30.0)
    pid = ask(supervisor).measurements["pid"]
    clock.now = 29.0
    supervisor.tick()
    assert supervisor.pid == pid
    clock.now = 30.0
    supervisor.tick()
    assert supervisor.pid is None
    assert gone(pid)


def test_closing_in_the_middle_of_a_measurement_is_no_death(start: Start) -> None:
    """When the daemon stops, the version waits; its worker is gone."""
    supervisor = start("hear(); say(event='progress', what='probing'); time.sleep(300)")
    outcome: list[BaseException] = []

    def measure() -> None:
        try:
            ask(supervisor)
        except (WorkerDied, DeviceBusy) as exc:
            outcome.append(exc)

    lane = threading.Thread(target=measure)
    lane.start()
    eventually(lambda: supervisor.pid is not None)
    pid = supervisor.pid
    supervisor.close()
    lane.join(DEADLINE)
    assert [type(exc) for exc in outcome] == [DeviceBusy]
    assert pid is not None
    assert gone(pid)


def test_no_room_on_any_device_is_no_death(start: Start) -> None:
    """The worker says why, and stays."""
    supervisor = start("say(event='busy', id=hear()['id'], message='cuda:0: 2 GiB free')\n" + GOOD)
    with pytest.raises(DeviceBusy, match="cuda:0: 2 GiB free"):
        ask(supervisor)
    assert ask(supervisor).measurements["pid"] == supervisor.pid


def test_the_worker_gets_no_token_and_no_network(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    """Its environment is an allow-list: tokens are not on it, offline switches are."""
    secrets = {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b", "AWS_SECRET_ACCESS_KEY": "c", "CUDA_API_KEY": "d"}
    for name, value in {**secrets, "CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/cache"}.items():
        monkeypatch.setenv(name, value)
    environment = ask(start("answer(hear()['id'], environment=dict(os.environ))")).measurements["environment"]
    assert not secrets.keys() & environment.keys()
    assert not set(secrets.values()) & set(environment.values())
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["HF_HOME"] == "/cache"
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert environment["HF_TOKEN_PATH"] == os.devnull
    assert environment["OMP_NUM_THREADS"] == "1"


def test_paths_reach_the_worker_absolute(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To PEFT a relative path without weights is a Hub id."""
    monkeypatch.chdir(tmp_path)
    supervisor = start("m = hear(); answer(m['id'], paths=[m['request']['snapshot'], m['request']['base']['path']])")
    result = supervisor.probe(ProbeRequest("job1", BaseModel("", "local", "base"), seconds=DEADLINE))
    assert result.measurements["paths"] == [str(tmp_path / "job1"), str(tmp_path / "base")]


def test_digests_of_base_files_survive_the_worker_that_took_them(start: Start) -> None:
    """A fresh worker is told what an earlier one computed, so that 100 GB are not hashed twice."""
    code = (
        "m = hear(); say(event='result', id=m['id'], hashes={'1:2:3:4': 'abc'}, result=dict(findings=[],\n"
        "  measurements={'told': m['hashes']}, device='', dtype='', versions={}, base_fingerprint='', log_tail=''))"
    )
    supervisor = start(code)
    assert ask(supervisor).measurements["told"] == {}
    supervisor.close()
    assert ask(supervisor).measurements["told"] == {"1:2:3:4": "abc"}


def test_the_supervisor_imports_no_torch() -> None:
    """The daemon stays small: everything heavy is in the child."""
    code = "import sys, adapterd.worker.supervisor; print(sorted({'torch', 'numpy', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_dies_with_its_daemon(tmp_path: Path) -> None:
    """However the daemon ends, no worker stays behind and holds the GPU."""
    note = tmp_path / "pid"
    worker = (
        "import os, sys, time; from adapterd.worker.main import yield_to_training\n"
        f"yield_to_training(int(sys.argv[1])); open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    )
    daemon = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {worker!r}, str(os.getpid())], start_new_session=True)\n"
        "time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", daemon]) as process:
        eventually(lambda: note.exists() and bool(note.read_text()))
        process.kill()
    eventually(lambda: gone(int(note.read_text())))


def test_a_worker_without_its_daemon_does_not_start() -> None:
    """The daemon may have gone before the child could ask to die with it."""
    command = [sys.executable, "-m", "adapterd.worker.main", "--threads", "1", "--fd", "0", "--parent", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "the daemon is gone" in done.stderr
