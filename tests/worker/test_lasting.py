"""What else a worker can do to its supervisor: talk without end, lie in the small, be spent, hang where it hurts."""

import os
from pathlib import Path

import pytest

from adapterd.ports import DeviceBusy, DeviceTooSmall, NoSuchDevice
from worker.test_supervisor import GOOD, Start, ask, death, eventually, gone, start

__all__ = ["start"]
RESULT = """
def lie(number, **changed):
    result = dict(findings=[], measurements={}, device="cpu", dtype="float32", versions={}, base_fingerprint="")
    say(event="result", id=number, hashes={}, result=result | changed)
"""
TRUNCATED = """
import mmap
hear()
file = open({path!r}, "w+b")
file.truncate(1 << 20)
mapped = mmap.mmap(file.fileno(), 1 << 20)
file.truncate(0)
mapped[1 << 19]
"""
BACKTRACK = "import re; hear(); signal.pthread_sigmask(signal.SIG_BLOCK, {15, 2}); re.match('(a*)*$', 'a' * 64 + 'b')"
HUNGRY = """
import resource
number = hear()["id"]
resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
try:
    b"x" * (1 << 30)
except MemoryError:
    say(event="out_of_memory", id=number)
"""


def test_a_real_bus_error_has_its_name(start: Start, tmp_path: Path) -> None:
    """A mapped file that shrinks under the worker."""
    died = death(start(TRUNCATED.format(path=str(tmp_path / "weights"))))
    assert (died.cause, "SIGBUS" in died.message) == ("worker_crashed", True)


def test_an_endless_loop_in_native_code_ends_at_the_deadline(start: Start) -> None:
    """It neither lets another thread run nor hears a signal; SIGKILL needs no ear."""
    assert death(start(BACKTRACK), seconds=1.5).cause == "worker_timeout"


def test_memory_that_runs_out_is_told_as_such(start: Start) -> None:
    """By the worker itself, where the allocation fails."""
    assert death(start(HUNGRY)).cause == "worker_out_of_memory"


@pytest.mark.parametrize("said", ["say(event='progress', what='still at it')", "say(event='ready')"])
def test_talking_without_end_does_not_put_the_deadline_off(start: Start, said: str) -> None:
    """A worker that tells of its progress for ever is killed in time."""
    assert death(start(f"hear()\nwhile True: {said}"), seconds=1.5).cause == "worker_timeout"


@pytest.mark.parametrize(
    "told",
    [
        "wire.sendall(b'[' * 200_000 + b'\\n')",
        "wire.sendall(b'\\xff\\xfe\\n')",
        "lie(n, findings=[dict(code='invented', message='')])",
        "lie(n, findings=['no_effect'])",
        "lie(n, findings=7)",
        "lie(n, measurements=[])",
        "lie(n, versions=None)",
        "lie(n, device=3)",
        "lie(n, surprise=True)",
    ],
)
def test_an_answer_of_the_wrong_form_is_a_breach_of_protocol(start: Start, told: str) -> None:
    """Nothing of it reaches the daemon."""
    died = death(start(f"{RESULT}\nn = hear()['id']\n{told}\ntime.sleep(60)"))
    assert died.cause == "worker_protocol"


def test_a_library_that_prints_to_stdout_says_nothing_to_the_daemon(start: Start) -> None:
    """Even where it prints what looks like an answer: the wire is another one."""
    code = "n = hear()['id']; print(json.dumps(dict(event='result', id=n)), flush=True); answer(n, honest=True)"
    assert ask(start(code)).measurements == {"honest": True}


@pytest.mark.parametrize("spent", ["result", "busy"])
def test_a_worker_that_is_spent_is_not_used_again(start: Start, spent: str, tmp_path: Path) -> None:
    """After its answer it ends, whatever that was; the next adapter gets a fresh one."""
    flag = tmp_path / "spent"
    last = "lie_spent(n)" if spent == "result" else "say(event='busy', id=n, message='', spent=True)"
    code = (
        f"if not os.path.exists({str(flag)!r}):\n"
        f"    open({str(flag)!r}, 'w').write(str(os.getpid()))\n"
        "    def lie_spent(n): say(event='result', id=n, spent=True, hashes={}, result=dict(findings=[],\n"
        "        measurements={'first': True}, device='cpu', dtype='', versions={}, base_fingerprint=''))\n"
        f"    n = hear()['id']; {last}; time.sleep(300)\n{GOOD}"
    )
    supervisor = start(code)
    if spent == "result":
        assert ask(supervisor).measurements == {"first": True}
    else:
        with pytest.raises(DeviceBusy):
            ask(supervisor)
    assert supervisor.pid is None
    eventually(lambda: gone(int(flag.read_text())))
    assert ask(supervisor).measurements["pid"] == supervisor.pid


@pytest.mark.parametrize(
    ("event", "kind"), [("busy", DeviceBusy), ("absent", NoSuchDevice), ("too_small", DeviceTooSmall)]
)
def test_a_device_that_cannot_be_had_is_no_death(start: Start, event: str, kind: type[DeviceBusy]) -> None:
    """Each kind is an error of its own, with what the worker said and what to do; the worker stays."""
    supervisor = start(f"say(event={event!r}, id=hear()['id'], message='cpu has 1.00 GiB')\n{GOOD}")
    with pytest.raises(kind, match="cpu has") as caught:
        ask(supervisor)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert ask(supervisor).measurements["pid"] == supervisor.pid


def test_a_worker_that_ends_itself_says_by_what(start: Start) -> None:
    """The exception's name stands in the message, before the status of the exit."""
    died = death(start("hear(); say(event='crashed', what='SystemExit: 3'); os._exit(70)"))
    assert died.cause == "worker_crashed"
    assert died.message == "the worker ended by SystemExit: 3 while starting"


def test_a_worker_inherits_nothing_but_its_end_of_the_wire(start: Start) -> None:
    """Neither the registry's files nor the Hub's connections of the daemon are open in it."""
    kept = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        code = "n = hear()['id']; answer(n, fds=sorted(os.listdir('/proc/self/fd'), key=int), wire=wire.fileno())"
        told = ask(start(code)).measurements
    finally:
        os.close(kept)
    listing = 1  # of the folder itself
    assert len(told["fds"]) == 3 + 1 + listing
    assert {"0", "1", "2", str(told["wire"])} <= set(told["fds"])
