"""A root full of hostile directories: each is refused with a reason or published whole, and none harms the others."""

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.health import Health
from adapterd.lanes import Intake
from adapterd.ports import Observation
from helpers.adapters import config, weights, write_adapter
from helpers.hosts import World
from publishing.lines import drive

OUTSIDE = "what lies outside"
TOKEN = "hf_" + "z" * 34

Make = Callable[[Path], object]


def _weights_are(make: Make) -> Make:
    def build(folder: Path) -> None:
        write_adapter(folder)
        (folder / ad.WEIGHTS).unlink()
        make(folder / ad.WEIGHTS)

    return build


def _config_is(data: bytes | dict[str, object]) -> Make:
    def build(folder: Path) -> None:
        write_adapter(folder)
        (folder / ad.CONFIG).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())

    return build


def _header_is(header: bytes, behind: bytes = b"", length: int | None = None) -> Make:
    data = struct.pack("<Q", len(header) if length is None else length) + header + behind
    return _weights_are(lambda path: path.write_bytes(data))


def _link_outside(path: Path) -> None:
    path.symlink_to(path.parents[2] / "outside")


def _linked_config(folder: Path) -> None:
    write_adapter(folder)
    (folder / ad.CONFIG).unlink()
    _link_outside(folder / ad.CONFIG)


def _linked_twice(path: Path) -> None:
    path.write_bytes(weights())
    (path.parents[2] / "name").hardlink_to(path)


def _nearly_all_holes(path: Path) -> None:
    path.write_bytes(weights())
    os.truncate(path, 2**40)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the kernel has no room for a long path
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 * 1024**4)


def _with(name: str, data: bytes) -> Make:
    def build(folder: Path) -> None:
        write_adapter(folder)
        (folder / name).write_bytes(data)

    return build


HOSTILE: dict[str, tuple[Make, str]] = {
    "symlink": (_weights_are(_link_outside), "not_regular"),
    "fifo": (_weights_are(os.mkfifo), "not_regular"),
    "socket": (_weights_are(_socket), "not_regular"),
    "device-link": (_weights_are(lambda path: path.symlink_to("/dev/zero")), "not_regular"),
    "folder-as-file": (_weights_are(Path.mkdir), "not_regular"),
    "hard-link": (
        _weights_are(_linked_twice),
        "not_regular",
    ),
    "sparse": (_weights_are(_sparse), "bad_weights"),
    "sparse-header": (_weights_are(_nearly_all_holes), "bad_weights"),
    "empty-weights": (_weights_are(Path.touch), "bad_weights"),
    "header-lies": (_header_is(b"{}", length=2**63), "bad_weights"),
    "header-huge": (_header_is(b"{}", length=2**31), "bad_weights"),
    "header-bomb": (_header_is(b"[" * 100_000), "bad_weights"),
    "header-overlong": (_header_is(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 999]}}'), "bad_weights"),
    "header-negative": (_header_is(b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}'), "bad_weights"),
    "config-bomb": (_config_is(b'{"a":' * 100_000), "bad_config"),
    "config-wide": (_config_is(b"[" + b"1," * 10_000_000 + b"1]"), "bad_config"),
    "config-number": (_config_is(b'{"peft_type": "LORA", "r": ' + b"9" * 10_000 + b"}"), "bad_config"),
    "config-infinite": (_config_is(b'{"peft_type": "LORA", "r": 1e999}'), "bad_config"),
    "config-binary": (_config_is(bytes(range(256))), "bad_config"),
    "config-list": (_config_is(b"[]"), "bad_config"),
    "config-link": (_linked_config, "not_regular"),
    "secret": (_with("tokenizer_config.json", json.dumps({"auth": TOKEN}).encode()), "leaks_secret"),
    "labels-bomb": (_with(ad.LABELS, b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"), "bad_labels"),
    "labels-object": (_with(ad.LABELS, b"notes: !!python/object/apply:os.system ['touch pwned']\n"), "bad_labels"),
    "labels-escape": (_with(ad.LABELS, b"adapter: ../../other/repo\n"), "bad_labels"),
    "labels-long": (_with(ad.LABELS, b"adapter: " + b"x" * 300 + b"\n"), "bad_labels"),
    "x" * 250: (write_adapter, "bad_name"),
    "..": (lambda _: None, ""),
    "--": (write_adapter, "generic_name"),
    "-rf": (write_adapter, ""),
    "a--b": (write_adapter, ""),
    "\u202egnp.exe": (write_adapter, ""),
    "\uff0e\uff0e\uff0fetc": (write_adapter, ""),
    "Twins": (lambda folder: write_adapter(folder, seed=76), ""),
    "twins": (lambda folder: write_adapter(folder, seed=77), "name_collision"),
    "remote-code": (_config_is(config(auto_mapping={"base_model_class": "X", "parent_library": "os"})), ""),
    "other-base": (_config_is(config("somebody/else")), ""),
    "base-escapes": (_config_is(config("../../../etc")), ""),
    "script": (_with("README.md", b"# <script>alert(1)</script>\n<img src=x onerror=alert(1)>"), ""),
}
"""By the name of the run: how it is made, and the reason that it stays an observation with; empty where it goes on.

Of two names that differ in case alone the first keeps the repo: to the Hub they are one.
"""


@pytest.fixture
def hostile(make_world: Callable[..., World]) -> World:
    """A world whose root was scanned, and is full of hostile directories and one good one then."""
    world = make_world()
    intake = Intake(lambda: world.host, Health("", "", 0.0, world.clock))
    intake.turn()
    (world.tmp / "outside").write_text(OUTSIDE)
    for name, (make, _) in HOSTILE.items():
        make(world.tmp / "train" / name)
    write_adapter(world.tmp / "train" / "sound", seed=42)
    for _ in range(4):
        intake.turn()
        world.clock.now += 200
    intake.turn()
    return world


def _seen(world: World) -> dict[str, Observation]:
    return {seen.path: seen for seen in world.registry.observations()}


def test_each_hostile_directory_is_refused_for_its_reason(hostile: World) -> None:
    """By name, by kind of file, by what the files hold: nothing is copied, and the reason says why."""
    seen = _seen(hostile)
    wrong = {
        name: (code, seen[name].reason, seen[name].message)
        for name, (_, code) in HOSTILE.items()
        if code and seen[name].reason != code
    }
    assert wrong == {}
    assert not [o for o in seen.values() if o.reason == "bug"]


def test_the_good_ones_beside_them_are_published_and_nothing_else_is(hostile: World) -> None:
    """What is odd but harmless goes on under a tidy name; what names another base waits; no secret gets out."""
    drive(hostile)
    seen = _seen(hostile)
    published = {v.adapter for v in hostile.registry.versions() if v.commit}
    assert "acme/sound" in published
    assert not [v for v in hostile.registry.versions() if v.reason == "bug"]
    for run in ("other-base", "base-escapes"):
        found = hostile.registry.version(seen[run].version or 0)
        assert found is not None
        assert found.commit is None
        assert found.reason in ("base_unknown", "base_not_at_hand")
    assert all(name.startswith("acme/") and "/" not in name.removeprefix("acme/") for name in published)


def test_nothing_outside_of_the_root_was_read_into_the_spool(hostile: World) -> None:
    """No copy holds what a link pointed at, and the file is as it was."""
    spool = hostile.tmp / "state" / "spool"
    copies = [path.read_bytes() for path in spool.rglob("*") if path.is_file()]
    assert copies
    assert not [data for data in copies if OUTSIDE.encode() in data or TOKEN.encode() in data]
    assert (hostile.tmp / "outside").read_text() == OUTSIDE
    assert not (Path.cwd() / "pwned").exists()


def test_a_cards_script_is_never_taken_over(hostile: World) -> None:
    """The trainer's README is not published; the card is adapterd's own."""
    drive(hostile)
    (script,) = [v for v in hostile.registry.versions() if v.run == "script"]
    assert script.commit
    readme = hostile.client.read(script.adapter, script.commit, "README.md").decode()
    assert "<script" not in readme
    assert "onerror" not in readme
