"""What holds for every verb: exit codes, two lines for each error, what is imported, how it ends."""

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from adapterd.cli import entry
from adapterd.cli.app import app
from adapterd.cli.exits import MEANING, Exit, code_of
from adapterd.cli.interrupting import ending
from adapterd.core.errors import AdapterdError
from adapterd.ports import Conflict, Denied, DeviceBusy, NotFound, RegistryError, Transient, WorkerDied

if TYPE_CHECKING:
    from cli.conftest import Type

HEAVY = [
    "torch",
    "transformers",
    "peft",
    "huggingface_hub",
    "pydantic",
    "yaml",
    "sqlalchemy",
    "alembic",
    "rich",
    "structlog",
]
HEAVY += ["httpx2", "starlette", "uvicorn", "watchdog", "apscheduler", "prometheus_client", "dulwich"]


def imported(*arguments: str, shell: dict[str, str]) -> set[str]:
    """The top-level modules that a command line loads."""
    code = (
        "import sys, contextlib, io\n"
        "from adapterd.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=shell, capture_output=True, text=True, check=False
    )
    return set(done.stdout.split())


def test_help_is_light(shell: dict[str, str]) -> None:
    """`--help` loads typer and nothing that is slow: no torch, no Hub client, no pydantic, no SQLAlchemy."""
    loaded = imported("--help", shell=shell)
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["config", "example"], ["huggingface_hub", "sqlalchemy", "torch"]),
        (["resolve", "acme/x", "--endpoint", "http://127.0.0.1:9"], ["sqlalchemy", "torch", "starlette", "watchdog"]),
        (["show", "."], ["huggingface_hub", "torch", "watchdog"]),
    ],
)
def test_a_verb_loads_only_what_it_needs(shell: dict[str, str], arguments: list[str], without: list[str]) -> None:
    """Deployers' verbs reach no registry, worker or daemon; reading verbs do not load the daemon."""
    loaded = imported(*arguments, shell=shell)
    assert "pydantic" in loaded
    assert not loaded & set(without)


@pytest.mark.parametrize(
    ("arguments", "library", "extra"),
    [
        (["watch"], "sqlalchemy", "host"),
        (["validate", "."], "torch", "host"),
        (["hub", "serve", "--data", "hub"], "uvicorn", "hub"),
    ],
)
def test_a_verb_that_lacks_its_extra_names_it(
    shell: dict[str, str], config: Path, arguments: list[str], library: str, extra: str
) -> None:
    """With the base installation alone, a verb of the training host says which extra to install, exit 78."""
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {library!r}: raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from adapterd.cli import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=shell | {"ADAPTERD_CONFIG": str(config)},
        cwd=config.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78, done.stderr
    assert f"pip install 'adapterd[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_explains_a_directory_without_the_registrys_library(
    shell: dict[str, str], config: Path, whole: Path
) -> None:
    """The base installation tells what a directory is, and which extra would tell what became of it."""
    code = "import sys; sys.modules['sqlalchemy'] = None; from adapterd.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "show", str(whole), "--config", str(config)]
    done = subprocess.run(command, env=shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "an adapter directory" in done.stdout
    assert "pip install 'adapterd[host]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version"], 0, ""),
        (["nosuch"], 2, "No such command 'nosuch'"),
        (["status", "--nosuch"], 2, "No such option"),
        (["resolve", "no-namespace"], 2, "is not of the form namespace/name"),
        (["resolve", "acme/support@versions"], 2, "reserved"),
        (["pull", "acme/support", "/"], 2, "cannot hold a version"),
        (["retry"], 2, "--all"),
        (["sync", "--max-wait", "90"], 2, "not a duration"),
        (["show", "/no/such/place"], 5, "does not exist"),
        (["show", "no/such/place"], 5, "does not exist"),
        (["show", ""], 2, "takes the name of a version, or a directory"),
        (["resolve", "acme/support@id:49"], 2, "8 or more digits"),
        (["validate", ".", "--device", "gpu"], 2, "'gpu' is no device"),
        (["watch", "--"], 2, "nothing follows `--`"),
        (["watch", "--", "no-such-command-here"], 127, "is no command here"),
        (["watch", "--", "/etc"], 126, "cannot be executed"),
        (["list"], 78, "there is no registry"),
    ],
)
def test_every_error_is_two_lines(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """What happened, then what to try; with the exit code of its kind."""
    monkeypatch.setenv("ADAPTERD_CONFIG", str(config))
    monkeypatch.setattr(sys, "argv", ["adapterd", *arguments])
    assert entry.main() == code
    lines = capsys.readouterr().err.splitlines()
    assert [words in line for line in lines] == ([True, False] if code else [])
    assert all(line.startswith("Try: ") for line in lines[1:])


def test_without_a_verb_the_help_is_given(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a usage error, and says which verbs there are."""
    monkeypatch.setattr(sys, "argv", ["adapterd"])
    assert entry.main() == 2
    verbs = set(re.findall(r"^  ([a-z]+)  ", capsys.readouterr().err, re.MULTILINE))
    assert verbs >= {"watch", "sync", "status", "list", "show", "validate", "retry", "adopt"}
    assert verbs >= {"registry", "config", "base", "hub", "resolve", "pull"}


def test_every_verb_stands_in_one_group_of_the_help() -> None:
    """Headings say whom the verbs are for, and no verb is cut off in mid-sentence."""
    said = CliRunner().invoke(app, ["--help"]).output
    listed = said.partition("On the training host:")[2]
    verbs = getattr(get_command(app), "commands", {})
    assert sorted(re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)) == sorted(verbs)
    headings = re.findall(r"^([A-Z].*):$", listed, re.MULTILINE)
    assert "Where adapters are served" in headings
    assert "Versions and channels" in headings
    assert "..." not in listed


def test_without_a_configuration_the_verb_says_where_it_looked(adapterd: "Type", tmp_path: Path) -> None:
    """An adapterd.yaml in the working directory is a run's labels, and is not taken for one."""
    (tmp_path / "adapterd.yaml").write_text("adapter: support\n")
    done = adapterd("status")
    assert done.returncode == 78
    assert "home/.config/adapterd/config.yaml nor /etc/adapterd/config.yaml" in done.stderr
    assert "adapterd config example" in done.stderr
    assert "Try: `adapterd list --hub NAMESPACE`" in done.stderr
    assert "Try: `adapterd list --hub NAMESPACE`" in adapterd("list").stderr
    assert "Try: `adapterd show acme/support` asks the Hub" in adapterd("list", "acme/support").stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), Exit.NOT_FOUND),
        (Denied("x"), Exit.DENIED),
        (Transient("x"), Exit.WAITING),
        (Conflict("x"), Exit.WAITING),
        (DeviceBusy("x"), Exit.WAITING),
        (RegistryError("x"), Exit.CONFIGURATION),
        (WorkerDied("x", cause="worker_crashed"), Exit.STALLED),
        (AdapterdError("x"), Exit.STALLED),
        (OSError(errno.ENOSPC, "No space left on device"), Exit.WAITING),
        (PermissionError(errno.EACCES, "Permission denied"), Exit.DENIED),
        (FileNotFoundError(errno.ENOENT, "No such file"), Exit.NOT_FOUND),
        (OSError(errno.EIO, "Input/output error"), Exit.BUG),
        (ValueError("x"), Exit.BUG),
    ],
)
def test_each_kind_of_error_has_its_code(error: Exception, code: Exit) -> None:
    """The port's errors and the system's map to the contract's codes; what nobody foresaw is a bug."""
    assert code_of(error) is code


def test_an_error_may_bring_its_own_code() -> None:
    """What the daemon refused over the control socket keeps the code that the daemon gave it."""
    refused = AdapterdError("x")
    refused.exit = 6  # type: ignore[attr-defined]  # as ControlError has it
    assert code_of(refused) is Exit.DENIED
    refused.exit = 99  # type: ignore[attr-defined]  # of another program
    assert code_of(refused) is Exit.STALLED


def test_the_codes_are_those_of_the_contract() -> None:
    """They are stable for ever, and each has a meaning."""
    assert sorted(MEANING) == [0, 1, 2, 3, 4, 5, 6, 75, 78, 130]
    assert set(MEANING) == set(Exit)


def test_a_bug_is_one_line_and_a_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback unless ADAPTERD_DEBUG asks for it."""
    assert entry.report(ZeroDivisionError("division by zero")) is Exit.BUG
    said = capsys.readouterr().err
    assert said.startswith("adapterd has a fault: ZeroDivisionError: division by zero\nTry: report it")
    monkeypatch.setenv("ADAPTERD_DEBUG", "1")
    assert entry.report(ZeroDivisionError("division by zero")) is Exit.BUG
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters from names and repos are shown, not obeyed."""
    entry.report(AdapterdError("a\x1b[2Jb\u202ec\rd"))
    assert capsys.readouterr().err == "a\\x1b[2Jb\\x202ec\\x0dd\n"


def test_a_reader_that_leaves_is_no_error(shell: dict[str, str]) -> None:
    """Output into a closed pipe ends quietly, as in `adapterd config schema | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "adapterd", "config", "schema"]
    done = subprocess.run(command, env=shell, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_is_130_without_a_traceback(shell: dict[str, str]) -> None:
    """A verb that waits for a silent Hub ends at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "adapterd", "resolve", "acme/support", "--endpoint", address]
        waiting = subprocess.Popen(command, env=shell, stderr=subprocess.PIPE, text=True)
        with waiting, contextlib.closing(silent.accept()[0]):
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert "Traceback" not in said


HELD = """
import os, signal, threading
from adapterd.cli.interrupting import ending
lock = threading.Lock()
with ending(lambda: os._exit(130), 0.2):
    try:
        print("ready", flush=True)
        signal.pause()
    finally:
        lock.acquire()
        lock.acquire()
"""


def test_ctrl_c_ends_a_verb_whose_library_waits_for_itself() -> None:
    """An interrupt may leave a lock held on which the way out waits: the process ends all the same."""
    with subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == 130


def test_ctrl_c_is_an_exception_where_nothing_waits() -> None:
    """A verb cleans up after itself, and the handlers are then what they were."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyboardInterrupt), ending(lambda: pytest.fail("left"), 5.0):
        signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
