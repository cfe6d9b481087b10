"""What describes the host or opens a door never gets into a snapshot."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.core import adapter as ad
from adapterd.roots import SettleError
from adapterd.spool import Snapshot, Spool
from helpers.adapters import safetensors_bytes
from spool.conftest import ADAPTER, LIMITS

TOKEN = "hf_" + "q" * 34


def test_a_token_in_the_header_of_the_weights_stalls(freeze: Callable[[Path], Snapshot], source: Path) -> None:
    """Safetensors carry free text beside the tensors, and trainers put their arguments there."""
    data = safetensors_bytes({"a": ((1,), b"\x00" * 4)})
    told = data.replace(b'"format": "pt"', b'"args": "' + TOKEN.encode() + b'"')
    length = int.from_bytes(data[:8], "little") + len(told) - len(data)
    (source / ad.WEIGHTS).write_bytes(length.to_bytes(8, "little") + told[8:])
    with pytest.raises(SettleError) as error:
        freeze(source)
    assert error.value.code == "leaks_secret"
    assert TOKEN not in error.value.message


def test_what_looks_like_a_token_in_the_tensors_is_a_number(freeze: Callable[[Path], Snapshot], source: Path) -> None:
    """Behind the header there are no texts."""
    data = TOKEN.encode().ljust(40, b"\x00")
    (source / ad.WEIGHTS).write_bytes(safetensors_bytes({"a": ((10,), data)}))
    assert freeze(source).files


def test_a_path_of_the_host_is_shortened_in_the_copy_alone(tmp_path: Path, source: Path) -> None:
    """The home and the roots are named nowhere in the snapshot but as base model; the identity is that of the copy."""
    spool = Spool(tmp_path / "spool", ["/home/alice"])
    spool.prepare()
    said = json.dumps({"name_or_path": "/home/alice/models/llama", "model_max_length": 8})
    (source / "tokenizer_config.json").write_text(said)
    frozen = spool.freeze(source, ADAPTER, lambda _: "", LIMITS)
    copied = json.loads((frozen.payload / "tokenizer_config.json").read_text())
    assert copied == {"name_or_path": "llama", "model_max_length": 8}
    assert (source / "tokenizer_config.json").read_text() == said
    assert [(r["file"], r["key"], r["now"]) for r in frozen.repairs] == [
        ("tokenizer_config.json", "name_or_path", "llama")
    ]
    again = spool.snapshot(ADAPTER, frozen.tree)
    assert (again.identity, again.files) == (frozen.identity, frozen.files)
