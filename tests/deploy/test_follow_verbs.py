"""follow as an operator starts it: in a process of its own, that may be killed at any moment."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.conftest import name_of
from helpers.engines import RecordedEngine, serving

if TYPE_CHECKING:
    from deploy.conftest import Repo, Type

PATIENCE = 60.0
"""Seconds until a process that does not do what it should fails the test."""


@pytest.fixture
def engine() -> Iterator[RecordedEngine]:
    """A vLLM server."""
    with serving("vllm") as running:
        yield running


def aliases(folder: Path) -> Mapping[str, str]:
    """What routers read; nothing where there is no such file yet."""
    try:
        found: Mapping[str, str] = json.loads((folder / "aliases.json").read_bytes())["aliases"]
    except FileNotFoundError:
        return {}
    return found


def until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait for what another process shall do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@contextmanager
def running(shell: Mapping[str, str], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A follower's process; killed at the end of the block where it is still there."""
    command = [sys.executable, "-m", "adapterd", "follow", *arguments]
    process = subprocess.Popen(command, env=shell, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def configuration(tmp_path: Path, shell: Mapping[str, str], repo: "Repo", engine: RecordedEngine) -> Path:
    """A file that names the adapter and the engine."""
    file = tmp_path / "follow.yaml"
    file.write_text(
        f"dir: {tmp_path}/adapters\nhub: {{endpoint: '{shell['HF_ENDPOINT']}'}}\ngolden: off\ninterval: 1s\ndrain: 1s\n"
        f"index: off\nadapters: [{{adapter: {repo.adapter}, name: sql}}]\nengines: [{{url: '{engine.url}'}}]\n"
    )
    return file


def test_once_is_one_turn(adapterd: "Type", channel: "Repo", engine: RecordedEngine, tmp_path: Path) -> None:
    """0 where all is at rest, 75 where something is waited for, 3 where something was refused."""
    words = (
        "follow",
        channel.adapter,
        "adapters",
        "--engine",
        engine.url,
        "--name",
        "sql",
        "--once",
        "--golden",
        "off",
    )
    done = adapterd(*words)
    assert done.returncode == 0, done.stderr
    assert "1 at rest" in done.stdout
    assert aliases(tmp_path / "adapters") == {"sql": name_of(channel, 1)}
    assert set(engine.loaded) == {name_of(channel, 1)}
    channel.promote(channel.publish())
    engine.max_rank = 4
    assert adapterd(*words).returncode == 3
    engine.stop()
    done = adapterd(*words)
    assert done.returncode == 75
    assert "does not answer" in done.stderr


def test_once_ends_by_what_time_does_not_mend(
    adapterd: "Type", channel: "Repo", engine: RecordedEngine, tmp_path: Path
) -> None:
    """An adapter that is nowhere is 5; a Hub that is away is nothing to what is served whole from here."""
    common = ("--engine", engine.url, "--once", "--golden", "off")
    done = adapterd("follow", f"{channel.adapter}-nowhere", "adapters", *common)
    assert done.returncode == 5
    assert adapterd("follow", channel.adapter, "adapters", *common).returncode == 0
    done = adapterd("follow", channel.adapter, "adapters", *common, "--endpoint", "http://127.0.0.1:9")
    assert (done.returncode, "1 at rest" in done.stdout) == (0, True), done.stderr
    assert done.stderr
    (tmp_path / "none").mkdir()
    assert adapterd("follow", channel.adapter, "none", *common, "--endpoint", "http://127.0.0.1:9").returncode == 75


def test_nothing_to_follow_is_a_usage_error(adapterd: "Type", tmp_path: Path) -> None:
    """So are a file beside other words, two of one name, and a name that is none."""
    assert adapterd("follow").returncode == 2
    assert adapterd("follow", "--config", "f.yaml", "--drain", "3s").returncode == 2
    done = adapterd("follow", "acme/x", str(tmp_path), "--golden", "perhaps")
    assert done.returncode == 2
    assert "golden" in done.stderr
    assert adapterd("follow", "acme/x", str(tmp_path), "--name", "a/b").returncode == 2


def test_a_wrong_file_is_told_line_by_line(adapterd: "Type", tmp_path: Path) -> None:
    """Two adapters of one name, and an engine that is not listed."""
    (tmp_path / "f.yaml").write_text(
        "dir: /srv/adapters\nadapters:\n  - adapter: a/sql\n  - adapter: b/sql\n    engines: ['http://127.0.0.1:1']\n"
    )
    done = adapterd("follow", "--config", "f.yaml", "--once")
    assert done.returncode == 78
    assert re.search(r"f\.yaml:\d+: adapters\[1\]\.name: 'sql' is taken already", done.stderr)
    assert "adapters[1].engines: http://127.0.0.1:1 is none of the engines" in done.stderr


def test_the_example_is_a_file_that_loads(adapterd: "Type") -> None:
    """It is the one in the repository."""
    done = adapterd("follow", "--example")
    assert done.stdout == (Path(__file__).parent.parent.parent / "follow.example.yaml").read_text()


def test_it_ends_when_it_is_asked_to(
    shell: dict[str, str], channel: "Repo", engine: RecordedEngine, tmp_path: Path
) -> None:
    """SIGTERM ends it with exit code 0; meanwhile a second follower of the same folder waits its turn."""
    file = configuration(tmp_path, shell, channel, engine)
    with running(shell, "--config", str(file)) as process:
        until(lambda: aliases(tmp_path / "adapters") != {}, process)
        words = [sys.executable, "-m", "adapterd", "follow", "--config", str(file), "--once"]
        second = subprocess.run(words, env=shell, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert second.returncode == 75
        assert "another `adapterd follow`" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_killed_at_any_moment_it_completes_at_the_next_start(
    shell: dict[str, str], channel: "Repo", engine: RecordedEngine, tmp_path: Path
) -> None:
    """Whatever was in hand: routers are never sent to what is not loaded, and nothing is left behind."""
    file = configuration(tmp_path, shell, channel, engine)
    folder = tmp_path / "adapters"
    moments: list[Callable[[], bool]] = [
        (folder / ".adapterd").exists,
        lambda: any(folder.glob("*@v2-*")),
        lambda: name_of(channel, 3) in engine.loaded,
        lambda: aliases(folder).get("sql") == name_of(channel, 4),
    ]
    for number, moment in enumerate(moments, start=1):
        if number > 1:
            channel.promote(channel.publish())
        with running(shell, "--config", str(file)) as process:
            until(moment, process)
        assert set(aliases(folder).values()) <= set(engine.loaded)
    with running(shell, "--config", str(file)) as process:
        until(lambda: aliases(folder) == {"sql": name_of(channel, 4)}, process)
        until(lambda: set(engine.loaded) == {name_of(channel, 4)}, process)
    assert (folder / "sql").readlink() == Path(name_of(channel, 4))
