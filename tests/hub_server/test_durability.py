"""What was acknowledged survives ``kill -9`` in the midst of uploads and commits."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from huggingface_hub import CommitOperationAdd, HfApi

from adapterd.hub.server import Account, start

TOKEN = "hf_" + "k" * 34
SERVE = (
    "import sys; from pathlib import Path; from adapterd.hub.server import Account, serve;"
    "serve(Path(sys.argv[1]), int(sys.argv[2]), [Account('ada', sys.argv[3])], lambda line: print(line, flush=True))"
)
KILLS = 3
ACKNOWLEDGED_BEFORE_EACH = 4


def serve(data: Path, port: int) -> subprocess.Popen[str]:
    """Run the Hub in a process of its own, and return when it answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(data), str(port), TOKEN], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """End a process without a chance to tidy up."""
    with process:
        process.kill()


class Writer(threading.Thread):
    """Commits version after version to a repo of its own, and notes what the Hub acknowledged."""

    def __init__(self, endpoint: str, name: str, noted: threading.Condition) -> None:
        """Prepare."""
        super().__init__(daemon=True)
        self.api = HfApi(endpoint=endpoint, token=TOKEN)
        self.repo = f"ada/{name}"
        self.noted = noted
        self.acknowledged: dict[str, bytes] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        """Commit and tag; a request that the kill cut off is simply not acknowledged."""
        number = 0
        while not self.enough.is_set():
            number += 1
            content = hashlib.shake_128(f"{self.repo}{number}".encode()).digest(40_000)
            operations = [CommitOperationAdd(f"d/{number}.safetensors", content), CommitOperationAdd("n", content[:9])]
            try:
                self.api.create_repo(self.repo, exist_ok=True)
                oid = self.api.create_commit(self.repo, operations, commit_message=f"{number}").oid
                self.api.create_tag(self.repo, tag=f"t/{number}", revision=oid)
            except Exception:  # noqa: BLE001, S112 (whatever the client makes of a killed server)
                continue
            with self.noted:
                self.acknowledged[f"{number}:{oid}"] = content
                self.noted.notify_all()


def check_objects(repo: Path) -> None:
    """Check, as git fsck would: each object is whole, and all that it names is there, LFS bytes included."""
    store = DiskObjectStore(str(repo / "objects"))
    for oid in store:
        item = store[oid]
        item.check()
        assert item.id == oid
        named: list[ObjectID] = []
        if isinstance(item, Commit):
            named = [item.tree, *item.parents]
        elif isinstance(item, Tree):
            named = [sha for _, _, sha in item.iteritems()]
        elif isinstance(item, Tag):
            named = [item.object[1]]
        assert all(one in store for one in named)
    for path in (repo / "lfs" / "objects").glob("*/*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    store.close()


def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path: Path) -> None:
    """Kill the Hub again and again while two clients write: every acknowledged commit, tag and byte is there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = serve(tmp_path, port)
    noted = threading.Condition()
    writers = [Writer(f"http://127.0.0.1:{port}", name, noted) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for round_number in range(1, KILLS + 1):
        with noted:
            wanted = round_number * ACKNOWLEDGED_BEFORE_EACH
            assert noted.wait_for(lambda wanted=wanted: sum(len(w.acknowledged) for w in writers) >= wanted, timeout=60)  # type: ignore[misc]  # the default binds the loop's value
        kill(process)
        process = serve(tmp_path, port)
    for writer in writers:
        writer.enough.set()
    for writer in writers:
        writer.join(timeout=60)
        assert not writer.is_alive()
    kill(process)

    with start(tmp_path, [Account("ada", TOKEN)]) as hub:
        for repo in (tmp_path / "repos").iterdir():
            check_objects(repo)
        assert not list(tmp_path.rglob("*.lock"))
        for writer in writers:
            api = HfApi(endpoint=hub.endpoint, token=TOKEN)
            tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(writer.repo).tags}
            history = {commit.commit_id for commit in api.list_repo_commits(writer.repo)}
            for key, content in writer.acknowledged.items():
                number, _, oid = key.partition(":")
                assert oid in history
                assert tags[f"t/{number}"] == oid
                found = api.hf_hub_download(
                    writer.repo, f"d/{number}.safetensors", revision=oid, cache_dir=tmp_path / "c"
                )
                assert Path(found).read_bytes() == content


@pytest.mark.parametrize("leftover", ["refs/heads/main.lock", "objects/00/x.lock", "lfs/incoming/half", "tmp"])
def test_what_a_kill_left_is_swept_at_the_next_start(tmp_path: Path, leftover: str) -> None:
    """Half-written files, locks and repos that no index names are gone, and the next commit works."""
    with start(tmp_path, [Account("ada", TOKEN)]) as hub:
        HfApi(endpoint=hub.endpoint, token=TOKEN).create_repo("ada/x")
    (repo,) = (tmp_path / "repos").iterdir()
    path = tmp_path / "repos" / "unnamed" / "HEAD" if leftover == "tmp" else repo / leftover
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with start(tmp_path, [Account("ada", TOKEN)]) as hub:
        assert not path.exists()
        api = HfApi(endpoint=hub.endpoint, token=TOKEN)
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="ada/x")


def test_parts_survive_a_restart_and_age(tmp_path: Path) -> None:
    """A client may complete its upload after a restart; parts that nobody completes within a day are swept."""
    with start(tmp_path, [Account("ada", TOKEN)]) as hub:
        HfApi(endpoint=hub.endpoint, token=TOKEN).create_repo("ada/x")
    (repo,) = (tmp_path / "repos").iterdir()
    young, old = (repo / "lfs" / "parts" / name for name in ("young", "old"))
    for upload in (young, old):
        upload.mkdir()
        (upload / "00001").write_bytes(b"x")
    os.utime(old, (0, 0))
    with start(tmp_path, [Account("ada", TOKEN)]):
        assert (young.exists(), old.exists()) == (True, False)


def test_a_lock_that_a_full_disk_left_blocks_nothing(tmp_path: Path) -> None:
    """The Hub is the only writer, so a lock that it finds while it runs is nobody's."""
    with start(tmp_path, [Account("ada", TOKEN)]) as hub:
        api = HfApi(endpoint=hub.endpoint, token=TOKEN)
        api.create_repo("ada/x")
        (repo,) = (tmp_path / "repos").iterdir()
        (repo / "refs" / "heads" / "main.lock").touch()
        blob = Blob.from_string(b"1").id.decode()
        (repo / "objects" / blob[:2]).mkdir()
        (repo / "objects" / blob[:2] / f"{blob[2:]}.lock").touch()
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="ada/x")
        assert api.list_repo_files("ada/x") == [".gitattributes", "a"]
