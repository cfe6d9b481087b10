"""The spool: what is copied, what is refused, and what a crash or a full disk leaves."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.roots import TEMPLATES, SettleError, entries_of
from adapterd.spool import Snapshot, Spool
from helpers.adapters import weights, write_adapter

ADAPTER = "acme/support"
LIMITS = (10 * 1024**2, 100)
Freeze = Callable[[Path], Snapshot]


def refused(freeze: Freeze, source: Path) -> str:
    """The code of the reason for which a directory is not frozen."""
    with pytest.raises(SettleError) as told:
        freeze(source)
    return told.value.code


def leftovers(spool: Spool) -> list[Path]:
    """What lies half-copied."""
    return list((spool.path / ".incoming").glob("*"))


def test_freeze_copies_the_payload(freeze: Freeze, spool: Spool, source: Path) -> None:
    """Exactly the allow-listed files lie in the spool, byte for byte, private, under their digest."""
    (source / "tokenizer.json").write_text("{}")
    (source / TEMPLATES).mkdir()
    (source / TEMPLATES / "tool.jinja").write_text("x")
    for name in ("training_args.bin", "optimizer.pt", ".env", "adapter_model.bin"):
        (source / name).write_text("secret")
    snapshot = freeze(source)
    names = {ad.CONFIG, ad.WEIGHTS, "tokenizer.json", f"{TEMPLATES}/tool.jinja"}
    assert set(snapshot.files) == names
    assert {str(p.relative_to(snapshot.payload)) for p in snapshot.payload.rglob("*") if p.is_file()} == names
    for name, (digest, size) in snapshot.files.items():
        data = (source / name).read_bytes()
        assert (snapshot.payload / name).read_bytes() == data
        assert (digest, size) == (ad.digest_of(data), len(data))
    assert snapshot.payload == spool.payload(ADAPTER, snapshot.tree)
    assert {stat.S_IMODE(p.stat().st_mode) for p in snapshot.payload.rglob("*") if p.is_file()} == {0o600}
    assert leftovers(spool) == []


def test_freezing_twice_gives_the_same_snapshot(freeze: Freeze, source: Path) -> None:
    """The same content has the same name; the second copy leaves nothing behind."""
    assert freeze(source) == freeze(source)


def test_a_snapshot_reads_back(freeze: Freeze, spool: Spool, source: Path) -> None:
    """A snapshot is hashed again, byte by byte, whenever it is used."""
    frozen = freeze(source)
    again = spool.snapshot(ADAPTER, frozen.tree)
    assert (again.tree, again.identity, again.files) == (frozen.tree, frozen.identity, frozen.files)


def test_the_base_is_repaired_in_the_copy_alone(spool: Spool, source: Path) -> None:
    """The snapshot names the Hub id; the record has no path of the host; the source stays as it is."""
    before = (source / ad.CONFIG).read_bytes()
    plain = spool.freeze(source, ADAPTER, lambda _: "", LIMITS)
    repaired = spool.freeze(source, ADAPTER, {"/models/base": "acme/base"}.__getitem__, LIMITS)
    assert repaired.config.base == "acme/base"
    assert [dict(r) for r in repaired.repairs] == [
        {"file": ad.CONFIG, "key": "base_model_name_or_path", "was": "base", "now": "acme/base"}
    ]
    assert (source / ad.CONFIG).read_bytes() == before
    assert repaired.identity == plain.identity
    assert repaired.tree != plain.tree
    assert spool.snapshot(ADAPTER, repaired.tree).files == repaired.files


def as_link(path: Path) -> None:
    """Replace a file by a link to a copy of it."""
    path.rename(path.with_name("kept"))
    path.symlink_to("kept")


def as_hard_link(path: Path) -> None:
    """Give a file a second name."""
    path.with_name("kept").hardlink_to(path)


def as_pipe(path: Path) -> None:
    """Replace a file by a pipe."""
    path.unlink()
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    """Replace a file by a directory of its name."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [ad.CONFIG, ad.WEIGHTS])
@pytest.mark.parametrize("change", [as_link, as_hard_link, as_pipe, as_directory])
def test_only_regular_files_with_one_name_are_copied(
    freeze: Freeze, spool: Spool, source: Path, name: str, change: Callable[[Path], None]
) -> None:
    """Links, pipes and directories are refused, and so is a file that another name can still change."""
    change(source / name)
    assert refused(freeze, source) == "not_regular"
    assert leftovers(spool) == []


@pytest.mark.parametrize("limits", [(100, 100), (10**6, 1)])
def test_limits(spool: Spool, source: Path, limits: tuple[int, int]) -> None:
    """What is too large or has too many files is refused before a byte is copied."""
    assert refused(lambda at: spool.freeze(at, ADAPTER, lambda _: "", limits), source) == "too_large"
    assert not (spool.path / "acme").exists()


@pytest.mark.parametrize("config", [b"{", b"[]"])
def test_a_config_that_is_none(freeze: Freeze, spool: Spool, source: Path, config: bytes) -> None:
    """What cannot be read as a PEFT configuration never becomes a snapshot."""
    (source / ad.CONFIG).write_bytes(config)
    assert refused(freeze, source) == "bad_config"
    assert leftovers(spool) == []


@pytest.mark.parametrize("name", ["tokenizer_config.json", ad.CONFIG])
def test_a_token_in_a_file(freeze: Freeze, spool: Spool, source: Path, name: str) -> None:
    """A file that would publish a token stalls; the message names the file and not the token."""
    token = "hf_" + "q" * 34
    fields = json.loads((source / ad.CONFIG).read_text())
    (source / name).write_text(json.dumps({**fields, "x": token}))
    with pytest.raises(SettleError) as told:
        freeze(source)
    assert told.value.code == "leaks_secret"
    assert name in told.value.message
    assert token not in told.value.message
    assert leftovers(spool) == []


def test_an_empty_file_holds_no_token(freeze: Freeze, source: Path) -> None:
    """An empty tokenizer file is a file like any other."""
    (source / "merges.txt").touch()
    assert freeze(source).files["merges.txt"] == (ad.digest_of(b""), 0)


def test_a_directory_that_vanished(freeze: Freeze, source: Path) -> None:
    """A rotation before the copy is `source_gone`, not a fault of the adapter."""
    shutil.rmtree(source)
    assert refused(freeze, source) == "source_gone"


def test_a_directory_that_changed_since_the_look(spool: Spool, source: Path) -> None:
    """What is frozen is what was found finished, not what came after."""
    seen = ad.fingerprint(entries_of(source))
    (source / ad.WEIGHTS).write_bytes(weights(seed=2))
    with pytest.raises(SettleError) as told:
        spool.freeze(source, ADAPTER, lambda _: "", LIMITS, seen)
    assert told.value.code == "changed_while_copying"


def damage(payload: Path, how: str) -> None:
    """Change a snapshot behind the daemon's back."""
    path = payload / ad.WEIGHTS
    match how:
        case "bit":
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        case "missing":
            path.unlink()
        case "more":
            (payload / "tokenizer.json").write_text("{}")
        case "link":
            path.rename(payload.parent / "away")
            path.symlink_to("../away")
        case "gone":
            shutil.rmtree(payload.parent)


@pytest.mark.parametrize("how", ["bit", "missing", "more", "link", "gone"])
def test_a_damaged_snapshot_is_told_and_taken_again(freeze: Freeze, spool: Spool, source: Path, how: str) -> None:
    """A snapshot with other bytes is never used; freezing its source again mends it."""
    frozen = freeze(source)
    damage(frozen.payload, how)
    with pytest.raises(SettleError) as told:
        spool.snapshot(ADAPTER, frozen.tree)
    assert told.value.code == "snapshot_damaged"
    assert freeze(source).tree == frozen.tree
    assert spool.snapshot(ADAPTER, frozen.tree).files == frozen.files
    assert leftovers(spool) == []


def test_sidecars_are_found_again(freeze: Freeze, spool: Spool, source: Path) -> None:
    """Beside each snapshot lies what a rebuild needs; one that cannot be read hides no other."""
    frozen = freeze(source)
    spool.write_sidecar(ADAPTER, frozen.tree, {"intake": 1})
    spool.write_sidecar(ADAPTER, frozen.tree, {"intake": 2})
    write_adapter(source, seed=5)
    other = freeze(source)
    (spool.folder(ADAPTER, other.tree) / "sidecar.json").write_text("{")
    assert list(spool.sidecars()) == [(ADAPTER, frozen.tree, {"intake": 2})]
    assert spool.snapshot(ADAPTER, frozen.tree).files == frozen.files


def test_prepare_clears_what_a_crash_left(spool: Spool, freeze: Freeze, source: Path) -> None:
    """Half a copy goes at the start, half a sidecar too; whole snapshots stay; the folder is private."""
    frozen = freeze(source)
    (spool.path / ".incoming" / "half" / "payload").mkdir(parents=True)
    spool.write_sidecar(ADAPTER, frozen.tree, {"adapter": ADAPTER})
    half = frozen.payload.with_name(".sidecar.json.0a1b2c3d")
    half.write_text("{")
    spool.prepare()
    assert leftovers(spool) == []
    assert not half.exists()
    assert [sidecar for _, _, sidecar in spool.sidecars()] == [{"adapter": ADAPTER}]
    assert spool.snapshot(ADAPTER, frozen.tree).tree == frozen.tree
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o700


def test_a_spool_that_was_removed_is_made_again(freeze: Freeze, spool: Spool, source: Path) -> None:
    """Somebody cleared the spool while the daemon ran: the next copy makes it again."""
    shutil.rmtree(spool.path)
    assert freeze(source).payload.is_dir()


def test_a_spool_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    """A spool that is a file is told as what it is."""
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file")
    with pytest.raises(SettleError) as told:
        spool.prepare()
    assert told.value.code == "spool_unwritable"
    assert refused(lambda at: spool.freeze(at, ADAPTER, lambda _: "", LIMITS), source) == "spool_unwritable"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB; skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "adapterd-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("ballast", [116, 127], ids=["in the middle", "from the start"])
def test_a_full_disk(small_disk: Path, source: Path, ballast: int) -> None:
    """A spool without room waits, leaves nothing half-copied, and goes on when there is room again."""
    spool = Spool(small_disk / "spool")
    spool.prepare()
    (small_disk / "ballast").write_bytes(bytes(ballast * 1024))
    (source / "tokenizer.json").write_bytes(b"x" * 8100)

    def freeze(at: Path) -> Snapshot:
        return spool.freeze(at, ADAPTER, lambda _: "", LIMITS)

    assert refused(freeze, source) == "spool_full"
    assert leftovers(spool) == []
    (small_disk / "ballast").unlink()
    assert freeze(source).payload.is_dir()


def test_a_copy_that_the_system_cuts_short(
    as_nobody: Callable[[str], "subprocess.CompletedProcess[str]"], open_path: Path
) -> None:
    """An error in the middle of writing is the spool's, not the source's, and leaves nothing behind."""
    source = write_adapter(open_path / "run")
    for path in (source, *source.iterdir()):
        path.chmod(0o755)
    (open_path / "own").mkdir()
    (open_path / "own").chmod(0o777)
    done = as_nobody(
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        f"spool = Spool(Path({str(open_path)!r}) / 'own' / 'spool')\n"
        "spool.prepare()\n"
        "try:\n"
        f"    spool.freeze(Path({str(source)!r}), 'a/b', lambda _: '', (10**6, 10))\n"
        "except roots.SettleError as error:\n"
        "    print(error.code, [str(p) for p in spool.path.rglob('*') if p.is_file()])\n"
    )
    assert done.stdout.strip() == "spool_unwritable []", done.stderr
