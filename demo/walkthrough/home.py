"""A home for one performance: its folders, the configuration of its daemon, and what its processes see of the world."""

import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "demo"
SOCKET_ROOM = 80
"""A path longer than this leaves no room for the control socket's name: the kernel takes 107 bytes."""
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


class BusyError(Exception):
    """Another performance uses this home."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model: the id that it has on the Hub, and its folder here."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one performance lies."""

    path: Path

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.path / "config.yaml"

    @property
    def registry(self) -> Path:
        """The daemon's registry."""
        return self.path / "state" / "registry.db"

    @property
    def token(self) -> Path:
        """The file with the Hub's token."""
        return self.path / "token"

    @property
    def logs(self) -> Path:
        """What the processes print."""
        return self.path / "logs"

    def root(self, name: str) -> Path:
        """A folder under which trainings write."""
        return self.path / "train" / name

    def report(self, name: str) -> Path:
        """Where a script leaves its figures."""
        return self.path / "reports" / f"{name}.json"

    def environ(self, **more: str) -> dict[str, str]:
        """What a child sees: nothing of the caller's Hub, tokens and caches."""
        kept = {name: value for name in _KEPT if (value := os.environ.get(name))}
        return kept | {
            "HF_HOME": str(self.path / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
            **more,
        }

    def trainer(self) -> dict[str, str]:
        """What a training sees: no Hub at all."""
        return self.environ(HF_HUB_OFFLINE="1")

    def deployer(self, endpoint: str) -> dict[str, str]:
        """What a deployer sees: the Hub, a token, a cache of its own."""
        cache = str(self.path / "deployer" / "hf")
        return self.environ(HF_HOME=cache, HF_ENDPOINT=endpoint, HF_TOKEN_PATH=str(self.token))


@contextmanager
def opened(path: Path) -> Iterator[Home]:
    """An empty home, ours alone; BusyError where another performance runs in it."""
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another one runs in {path.name}: end it first") from None
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        home = Home(path)
        for folder in (home.logs, home.report("").parent, home.path / "train"):
            folder.mkdir(parents=True)
        yield home
    finally:
        os.close(descriptor)


@contextmanager
def runtime(home: Home) -> Iterator[Path]:
    """A folder for the control socket, whose path the kernel limits; inside the home where that is short enough."""
    inside = home.path / "run"
    if len(os.fsencode(inside)) <= SOCKET_ROOM:
        yield inside
        return
    with tempfile.TemporaryDirectory(prefix="adapterd-") as folder:
        yield Path(folder)


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configuration(
    home: Home,
    *,
    endpoint: str,
    base: Base,
    roots: Mapping[str, str],
    probe_texts: Sequence[str],
    run_folder: Path,
    port: int,
) -> str:
    """The daemon's configuration; `roots` says for each which checkpoints become versions. JSON strings are YAML."""
    lines = [
        "hub:",
        f"  endpoint: {endpoint}",
        f"  namespace: {USER}",
        f"  token_file: {json.dumps(str(home.token))}",
        "  index_repo: adapterd-index",
        "roots:",
    ]
    for name, checkpoints in roots.items():
        lines += [f"  - path: {json.dumps(str(home.root(name)))}", f"    checkpoints: {checkpoints}"]
    lines += [
        "base_models:",
        f"  - id: {base.id}",
        f"    path: {json.dumps(str(base.path))}",
        "validation:",
        "  probe_texts:",
        *(f"    - {json.dumps(text, ensure_ascii=False)}" for text in probe_texts),
        "settle:",
        "  quiet: 2s",
        "status:",
        f'  listen: "127.0.0.1:{port}"',
        f"state_dir: {json.dumps(str(home.path / 'state'))}",
        f"runtime_dir: {json.dumps(str(run_folder))}",
    ]
    return "\n".join([*lines, ""])
