"""The images' contract, read from the Dockerfile: two targets, no root, no secret, no surprise."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"
TARGETS = ("host", "deployer")
SECRET = re.compile(r"(?i)token|password|passwd|secret|api_?key|credential")


@dataclass
class Stage:
    """One build stage: its name, what it starts from, and its instructions in order."""

    name: str
    origin: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> tuple[list[tuple[str, str]], dict[str, Stage]]:
    """Split a Dockerfile into the instructions before the first stage and the stages by name."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    before: list[tuple[str, str]] = []
    stages: dict[str, Stage] = {}
    steps = before
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages[name] = Stage(name, image)
            steps = stages[name].steps
        else:
            steps.append((word, rest.strip()))
    return before, stages


BEFORE, STAGES = parse(DOCKERFILE.read_text())


def effective(target: str) -> list[tuple[str, str]]:
    """Give all instructions that shape a target, its ancestors' first."""
    stage = STAGES[target]
    return (effective(stage.origin) if stage.origin in STAGES else []) + stage.steps


def values(target: str, word: str) -> list[str]:
    """Give the arguments of one kind of instruction for a target."""
    return [rest for found, rest in effective(target) if found == word]


def every(word: str) -> list[str]:
    """Give the arguments of one kind of instruction anywhere in the file."""
    everything = BEFORE + [step for stage in STAGES.values() for step in stage.steps]
    return [rest for found, rest in everything if found == word]


def exec_form(text: str) -> list[str]:
    """Read the JSON form of a command; the shell form is an error."""
    parsed = json.loads(text)
    assert isinstance(parsed, list)
    return [str(part) for part in parsed]


def test_both_targets_come_from_a_slim_python_of_one_version() -> None:
    """`host` and `deployer` exist and rest on one pinned minor version of Python."""
    assert set(TARGETS) <= STAGES.keys()
    images = {stage.origin for stage in STAGES.values() if stage.origin not in STAGES}
    assert images == {"python:${PYTHON_VERSION}-slim"}
    assert ("ARG", "PYTHON_VERSION=3.11") in BEFORE


@pytest.mark.parametrize("target", TARGETS)
def test_the_last_user_is_a_number_that_is_not_root(target: str) -> None:
    """The image's user is set by uid and gid, which are build arguments, and nothing runs after it as root."""
    defaults = dict(argument.split("=", 1) for argument in values(target, "ARG"))
    (user,) = values(target, "USER")
    numbers = [int(defaults[name]) for name in re.findall(r"\$\{(\w+)\}", user)]
    assert len(numbers) == 2
    assert all(number > 0 for number in numbers)
    words = [word for word, _ in STAGES[target].steps]
    assert not {"RUN", "COPY"} & set(words[words.index("USER") :])


@pytest.mark.parametrize("target", TARGETS)
def test_commands_are_started_without_a_shell(target: str) -> None:
    """Entry point and command are in exec form, so that SIGTERM reaches the daemon itself."""
    assert exec_form(values(target, "ENTRYPOINT")[-1]) == ["/opt/adapterd/bin/adapterd"]
    assert exec_form(values(target, "CMD")[-1])
    assert values(target, "STOPSIGNAL") == ["SIGTERM"]


def test_the_host_image_says_whether_it_is_well() -> None:
    """The health check asks /healthz on loopback with the image's own Python; its code compiles."""
    (check,) = values("host", "HEALTHCHECK")
    program, flag, code = exec_form(check.partition("CMD ")[2])
    assert (program, flag) == ("/opt/adapterd/bin/python", "-c")
    compile(code, "healthcheck", "exec")
    assert "ADAPTERD_HEALTH_URL=http://127.0.0.1:9464/healthz" in values("host", "ENV")
    assert values("deployer", "HEALTHCHECK") == []


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (503, 1)])
def test_the_health_check_believes_the_status_alone(answer: int, code: int) -> None:
    """Run against a real server the check exits with 0 on 200 and with 1 on 503, whatever proxy is configured."""

    class Healthz(BaseHTTPRequestHandler):
        """Answer every request with the same status."""

        def do_GET(self) -> None:
            """Answer."""
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    (check,) = values("host", "HEALTHCHECK")
    command = [sys.executable, *exec_form(check.partition("CMD ")[2])[1:]]
    with HTTPServer(("127.0.0.1", 0), Healthz) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        variables = {
            "ADAPTERD_HEALTH_URL": f"http://127.0.0.1:{server.server_port}/healthz",
            "http_proxy": "http://127.0.0.1:1",
        }
        done = subprocess.run(command, env=variables, capture_output=True, check=False, timeout=30)
    assert done.returncode == code


def test_only_the_host_image_holds_torch_and_keeps_state() -> None:
    """`host` installs the extra of that name and has a volume; `deployer` has neither."""
    assert any('".[host]"' in run for run in values("build-host", "RUN"))
    assert not any("[host]" in run for run in values("build-deployer", "RUN"))
    assert "--from=build-host /opt/adapterd /opt/adapterd" in values("host", "COPY")
    assert "--from=build-deployer /opt/adapterd /opt/adapterd" in values("deployer", "COPY")
    assert exec_form(values("host", "VOLUME")[0]) == ["/var/lib/adapterd"]
    assert values("deployer", "VOLUME") == []


def test_what_is_installed_is_what_was_tested() -> None:
    """Every `pip install` is held to constraints.txt and leaves no cache behind."""
    installs = [run for run in every("RUN") if "pip install" in run]
    assert len(installs) == 4
    for run in installs:
        assert "--constraint constraints.txt" in run
        assert "--no-cache-dir" in run


def test_nothing_is_fetched_but_packages() -> None:
    """No ADD, no curl, no wget, no address but this container's own."""
    assert every("ADD") == []
    assert not any(re.search(r"curl|wget|git clone", run) for run in every("RUN"))
    addresses = re.findall(r"https?://([^/\s:\"]+)", DOCKERFILE.read_text())
    assert set(addresses) == {"127.0.0.1"}


def test_no_secret_is_an_argument_or_a_variable() -> None:
    """Build arguments and variables stay in the image's history, so that no secret may be one."""
    for text in every("ARG") + every("ENV"):
        names = [part.partition("=")[0] for part in shlex.split(text)]
        assert not any(SECRET.search(name) for name in names)


def test_the_labels_are_those_of_the_open_container_initiative() -> None:
    """Title, description, licence, version and revision can be read from the image."""
    names = {part.partition("=")[0] for text in values("host", "LABEL") for part in shlex.split(text)}
    wanted = ("title", "description", "licenses", "version", "revision")
    assert names == {f"org.opencontainers.image.{name}" for name in wanted}


def test_the_build_sees_only_what_it_copies() -> None:
    """.dockerignore shuts everything out and lets in exactly what the Dockerfile copies from the context."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = [word for text in every("COPY") if "--from" not in text for word in text.split()[:-1]]
    assert let_in == set(copied)


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile linter is silent, where it is installed."""
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("hadolint is not installed")
    answer = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False, timeout=60)
    assert answer.stdout + answer.stderr == ""
    assert answer.returncode == 0
