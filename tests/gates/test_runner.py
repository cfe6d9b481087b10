"""Gates as real processes that answer, refuse, hang, flood, die and leave others behind."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from adapterd.log import hide
from adapterd.ports import GateAnswer, GateFailed, GateRequest
from adapterd.worker.gates import LETTERS, MOST_OUTPUT, GateRunner

SECONDS = 20.0
SECRET = "hf_" + "s" * 34

Ask = Callable[..., GateAnswer]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A frozen copy."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    return folder


@pytest.fixture
def ask(snapshot: Path) -> Ask:
    """Run a line of Python as a gate."""

    def do(code: str, *arguments: str, seconds: float = SECONDS, runner: GateRunner | None = None) -> GateAnswer:
        command = (sys.executable, "-c", f"import json, os, signal, subprocess, sys, time; {code}", *arguments)
        return (runner or GateRunner()).ask(GateRequest(command, str(snapshot), "/models/base", seconds))

    return do


def failure(ask: Ask, code: str, **options: float) -> GateFailed:
    """Run a gate that comes to no answer."""
    with pytest.raises(GateFailed) as caught:
        ask(code, **options)
    assert "adapterd retry" in caught.value.hint
    return caught.value


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def eventually(condition: Callable[[], object]) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.01)


def test_a_gate_that_says_yes_gives_its_metrics(ask: Ask) -> None:
    """Exit code 0 is yes; the JSON object on its standard output is kept, whatever it says on standard error."""
    answer = ask("print(json.dumps({'acc': 0.5, 'by': {'task': 1}})); print('chatter', file=sys.stderr)")
    assert (answer.exit, answer.metrics) == (0, {"acc": 0.5, "by": {"task": 1}})
    assert answer.seconds > 0


@pytest.mark.parametrize("said", ["'no json'", "'[1, 2]'", "''", "'{' * 100_000", "'{\"a\":' * 100_000"])
def test_what_is_no_object_is_no_metric(ask: Ask, said: str) -> None:
    """A gate need not measure anything."""
    assert ask(f"print({said})").metrics == {}


def test_metrics_may_stand_in_the_last_line(ask: Ask) -> None:
    """A program that tells its progress first needs no file of its own."""
    assert ask("print('step 1'); print(json.dumps({'acc': 1})); print()").metrics == {"acc": 1}


def test_a_refusal_gives_its_code_and_its_last_lines(ask: Ask) -> None:
    """Standard error first; the rest is cut."""
    answer = ask("print('out'); [print('line', n, file=sys.stderr) for n in range(99)]; sys.exit(3)")
    assert answer.exit == 3
    assert answer.tail.splitlines()[-1] == "line 98"
    assert len(answer.tail.splitlines()) == 20
    assert ask("print('only out'); sys.exit(1)").tail == "only out"


def test_secrets_never_come_out(ask: Ask) -> None:
    """What a gate prints is redacted as the log is: in its last words, and in the texts of its metrics."""
    hide("correct horse battery")
    answer = ask(
        f"print(json.dumps({{'note': '{SECRET}', 'eval_tokens': 3}}));"
        f" print('using {SECRET} and correct horse battery', file=sys.stderr); sys.exit(1)"
    )
    assert SECRET not in answer.tail
    assert "correct horse" not in answer.tail
    assert answer.metrics["eval_tokens"] == 3
    assert SECRET not in str(answer.metrics)


def test_a_hang_ends_at_the_deadline_and_is_no_answer(ask: Ask, tmp_path: Path) -> None:
    """The gate and what it started are killed; what it said until then is kept."""
    pids = tmp_path / "pids"
    code = (
        "child = subprocess.Popen(['sleep', '600']);"
        f" open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}');"
        " print('about to hang', file=sys.stderr, flush=True); signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " time.sleep(600)"
    )
    failed = failure(ask, code, seconds=2.0)
    assert "did not end within 2 s" in failed.message
    assert "about to hang" in failed.tail
    eventually(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


def test_what_a_gate_leaves_behind_is_killed(ask: Ask) -> None:
    """Its answer counts, and is not waited for until its grandchild lets go of the pipe."""
    began = time.monotonic()
    answer = ask("child = subprocess.Popen(['sleep', '600']); print(json.dumps({'pid': child.pid}))")
    assert answer.exit == 0
    assert time.monotonic() - began < SECONDS
    eventually(lambda: gone(answer.metrics["pid"]))


def test_what_left_the_gates_process_group_is_killed_too(ask: Ask) -> None:
    """A grandchild in a session of its own would hold memory of a GPU long after the answer."""
    answer = ask(
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True); print(json.dumps({'pid': child.pid}))"
    )
    eventually(lambda: gone(answer.metrics["pid"]))


def test_a_gate_dies_with_the_daemon(snapshot: Path, tmp_path: Path) -> None:
    """However that ends: no gate runs on for nobody."""
    pid = tmp_path / "pid"
    gate = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    daemon = (
        "import sys\nfrom adapterd.ports import GateRequest\nfrom adapterd.worker.gates import GateRunner\n"
        f"GateRunner().ask(GateRequest((sys.executable, '-c', {gate!r}), {str(snapshot)!r}, '', 600.0))"
    )
    with subprocess.Popen([sys.executable, "-c", daemon], env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        eventually(lambda: pid.exists() and pid.read_text())
        process.kill()
    eventually(lambda: gone(int(pid.read_text())))


def test_a_flood_neither_blocks_nor_fills_memory(ask: Ask) -> None:
    """Only the end is kept; metrics in the last line are still found."""
    flood = f"sys.stdout.write('x' * {3 * MOST_OUTPUT} + '\\n'); sys.stderr.write('y' * {3 * MOST_OUTPUT});"
    answer = ask(flood + " print(json.dumps({'acc': 1}))")
    assert answer.metrics == {"acc": 1}
    assert len(answer.tail) == LETTERS
    assert ask(f"print(json.dumps({{'blob': 'x' * {2 * MOST_OUTPUT}}}))").metrics == {}


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_death_by_signal_is_no_answer(ask: Ask, name: str) -> None:
    """It did not say no."""
    assert f"died of {name}" in failure(ask, f"os.kill(os.getpid(), signal.{name})").message


@pytest.mark.parametrize("kind", ["missing", "not_executable", "no_format", "directory"])
def test_a_program_that_cannot_be_started_is_no_answer(snapshot: Path, tmp_path: Path, kind: str) -> None:
    """The message says which and why."""
    program = tmp_path / "check"
    if kind == "directory":
        program.mkdir()
    elif kind != "missing":
        program.write_text("no program")
        program.chmod(0o755 if kind == "no_format" else 0o644)
    with pytest.raises(GateFailed, match=r"gate check could not be started: .+"):
        GateRunner().ask(GateRequest((str(program),), str(snapshot), "", SECONDS))


def test_no_program_is_taken_from_the_snapshot(snapshot: Path) -> None:
    """The placeholder stands for the folder in arguments alone: what an adapter brings along is never run."""
    program = snapshot / "check"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    with pytest.raises(GateFailed, match="could not be started"):
        GateRunner().ask(GateRequest(("{snapshot}/check",), str(snapshot), "", SECONDS))


def test_it_is_told_about_the_snapshot_and_no_secret(snapshot: Path) -> None:
    """Its environment names the folders and keeps libraries offline; no token is in it."""
    ambient = {**os.environ, "HF_TOKEN": SECRET, "MY_API_KEY": "key", "SSH_AUTH_SOCK": "/run/agent"}
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    command = (sys.executable, "-c", code)
    told = GateRunner(environ=ambient).ask(GateRequest(command, str(snapshot), "/models/base", SECONDS, threads=3))
    found = told.metrics
    assert (found["ADAPTERD_SNAPSHOT"], found["ADAPTERD_BASE"]) == (str(snapshot), "/models/base")
    assert (found["HF_HUB_OFFLINE"], found["OMP_NUM_THREADS"]) == ("1", "3")
    assert not {"HF_TOKEN", "MY_API_KEY", "SSH_AUTH_SOCK"} & found.keys()


def test_it_works_in_an_empty_folder_that_goes_with_it(ask: Ask, snapshot: Path) -> None:
    """What it leaves there is removed; arguments name the snapshot; it is nicer than the daemon."""
    answer = ask(
        "before = os.listdir(); open('left', 'w'); import tempfile;"
        " print(json.dumps({'cwd': os.getcwd(), 'tmp': tempfile.gettempdir(), 'before': before,"
        " 'given': sys.argv[1:], 'nice': os.nice(0), 'session': os.getsid(0) == os.getpid()}))",
        "--adapter={snapshot}",
    )
    found = answer.metrics
    assert (found["before"], found["given"]) == ([], [f"--adapter={snapshot}"])
    assert found["tmp"] == found["cwd"]
    assert not Path(found["cwd"]).exists()
    assert (found["nice"], found["session"]) == (min(19, os.nice(0) + 10), True)


def test_closing_ends_the_one_that_runs_and_starts_no_other(ask: Ask, tmp_path: Path) -> None:
    """The daemon stops without waiting for a gate's deadline."""
    runner, started, caught = GateRunner(), tmp_path / "started", []

    def run() -> None:
        with pytest.raises(GateFailed) as failed:
            ask(f"open({str(started)!r}, 'w'); time.sleep(600)", runner=runner)
        caught.append(failed.value.message)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(started.exists)
    runner.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert "adapterd stops" in caught[0]
    with pytest.raises(GateFailed, match="was not started"):
        ask("pass", runner=runner)


def test_numbers_that_json_does_not_have_and_depth_are_kept_in_bounds(ask: Ask) -> None:
    """Lone surrogates and endless nesting reach no report."""
    answer = ask("print('{\"s\": \"\\\\ud800\", \"deep\": ' + '[' * 50 + ']' * 50 + '}')")
    assert answer.metrics["s"] == "?"
    assert len(json.dumps(answer.metrics)) < 100
