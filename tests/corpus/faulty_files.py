"""Faults of the files: damaged, of another kind, links and pipes, pickles, or only a part of what belongs together."""

import json
import shutil
import socket
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load

from corpus.changes import CONFIG, INDEX, PICKLE, WEIGHTS, Change, every, header, linked, piped, raw, replaced
from corpus.faults import faulty
from corpus.faulty_config import SHARDED

_bytes = partial(faulty, "damaged weights")
_files = partial(faulty, "files")
_pickles = partial(faulty, "pickles")
BAD, ODD = "bad_weights", "not_regular"
NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
WAS_RUN = "was-run"
"""The file, beside all adapters, that unpickling a malicious one would make."""
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234567\n"

DAMAGED = (
    _bytes("four bytes short", "LoRA", BAD, raw(lambda data: data[:-4])),
    _bytes("half of it", "trained LoRA", BAD, raw(lambda data: data[: len(data) // 2])),
    _bytes("half of the header", "LoRA on GPT-2", BAD, raw(lambda data: data[:100])),
    _bytes("five bytes", "LoRA", BAD, raw(lambda data: data[:5])),
    _bytes("empty", "IA3", BAD, raw(lambda _: b"")),
    _bytes("zeros", "LoRA", BAD, raw(lambda data: bytes(len(data)))),
    _bytes("a first page of zeros", "trained LoRA", BAD, raw(lambda data: bytes(4096) + data[4096:])),
    _bytes("bytes after its end", "LoHa", BAD, raw(lambda data: data + bytes(16))),
    _bytes("a header that is no JSON", "LoRA", BAD, raw(lambda data: data[:8] + b"!" * 16 + data[24:])),
    _bytes("a header of an exabyte", "LoRA", BAD, raw(lambda data: b"\xff" * 7 + b"\x0f" + data[8:])),
    _bytes("a header that is a list", "LoRA", BAD, header(lambda head: [head])),
    _bytes("a header without end", "LoRA", BAD, raw(lambda data: (50_000).to_bytes(8, "little") + b"[" * 50_000 + data)),
    _bytes("values that overlap", "LoRA", BAD, header(lambda head: head | {NAME: head[NAME] | {"data_offsets": [512, 1024]}})),
    _bytes("values in no order", "prompt tuning", BAD, header(lambda head: head | {"prompt_embeddings": head["prompt_embeddings"] | {"data_offsets": [384, 0]}})),
    _bytes("offsets below zero", "LoRA", BAD, header(lambda head: head | {NAME: head[NAME] | {"data_offsets": [-8, 504]}})),
    _bytes("a gap", "LoRA", BAD, header(lambda head: {key: value for key, value in head.items() if key != NAME})),
    _bytes("a shape that does not fit its place", "LoRA", BAD, header(lambda head: head | {NAME: head[NAME] | {"shape": [4, 33]}})),
    _bytes("an unknown type of number", "LoRA", BAD, header(lambda head: head | {NAME: head[NAME] | {"dtype": "F7"}})),
    _bytes("another type of number", "LoRA", BAD, header(lambda head: head | {NAME: head[NAME] | {"dtype": "F16"}})),
    _bytes("a Git LFS pointer", "LoRA", BAD, raw(lambda _: POINTER)),
    _bytes("a page of an error", "LoRA", BAD, raw(lambda _: b"<!DOCTYPE html><title>503</title>")),
    _bytes("a pickle by the wrong name", "LoRA", BAD, lambda folder: _pickled(folder, WEIGHTS)),
    _bytes("a shard that is cut off", SHARDED, BAD, lambda folder: _cut(folder / "adapter_model-00002-of-00003.safetensors")),
    _bytes("a shard that is missing", SHARDED, BAD, lambda folder: (folder / "adapter_model-00003-of-00003.safetensors").unlink()),
    _bytes("an index that is none", SHARDED, BAD, lambda folder: (folder / INDEX).write_text("[]")),
)  # fmt: skip


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-64])


def _only(*kept: str) -> Change:
    """Leave only these files."""

    def change(folder: Path) -> None:
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()

    return change


def _listening(path: Path) -> None:
    """Leave a socket of a program that has ended; its name may be longer than bind takes."""
    with socket.socket(socket.AF_UNIX) as end:
        short = Path("/tmp") / f"{abs(hash(path))}"  # noqa: S108 - moved at once
        end.bind(str(short))
        shutil.move(short, path)


def _pickled(folder: Path, name: str = PICKLE) -> None:
    torch.save(load((folder / WEIGHTS).read_bytes()), folder / name)  # not mapped: it may be overwritten


class _Bomb:
    """Makes a file if anybody ever unpickles it."""

    def __init__(self, trace: Path) -> None:
        """Say which file."""
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        """Give what is called, and with what."""
        return open, (str(self.trace), "w")


def _malicious(folder: Path) -> None:
    torch.save({"lora": _Bomb(folder.parent / WAS_RUN)}, folder / PICKLE)


FILES = (
    _files("weights are a link", "LoRA", ODD, linked(WEIGHTS)),
    _files("config is a link", "LoRA", ODD, linked(CONFIG)),
    _files("weights are a link to nowhere", "IA3", ODD, replaced(WEIGHTS, lambda path: path.symlink_to("/nowhere"))),
    _files("tokenizer is a link to the host", "LoRA", ODD, replaced("tokenizer.json", lambda path: path.symlink_to("/etc/hostname"))),
    _files("weights are a pipe", "LoRA", ODD, piped(WEIGHTS)),
    _files("config is a pipe", "prompt tuning", ODD, piped(CONFIG)),
    _files("tokenizer is a pipe", "LoRA", ODD, piped("tokenizer.json")),
    _files("pickle is a pipe", "LoRA", ODD, every(_only(CONFIG), piped(PICKLE))),
    _files("weights are a directory", "LoRA", ODD, replaced(WEIGHTS, Path.mkdir)),
    _files("config is a directory", "LoRA", ODD, replaced(CONFIG, Path.mkdir)),
    _files("weights are a socket", "LoRA", ODD, replaced(WEIGHTS, _listening)),
    _files("a shard is a pipe", SHARDED, ODD, piped("adapter_model-00001-of-00003.safetensors")),
    _files("no weights", "LoRA", "half_written", _only(CONFIG)),
    _files("no config", "LoRA", "half_written", _only(WEIGHTS)),
    _files("nothing", "LoRA", "no_adapter", _only()),
    _files("only a temporary name", "LoRA", "half_written", lambda folder: (folder / WEIGHTS).rename(folder / ".tmpXYZ123")),
    _files("a full model", "LoRA", "full_model", every(lambda folder: (folder / WEIGHTS).rename(folder / "model.safetensors"), _only("model.safetensors"))),
    _files("FSDP shards", "LoRA", "sharded_state", every(_only(CONFIG), lambda folder: (folder / "pytorch_model_fsdp_0").mkdir())),
    _files("DeepSpeed shards", "LoRA", "sharded_state", every(_only(CONFIG), lambda folder: (folder / "global_step10").mkdir())),
)  # fmt: skip

PICKLES = (
    _pickles("a pickle alone", "LoRA", "pickle_only", every(_pickled, _only(CONFIG, PICKLE))),
    _pickles("a pickle of IA3 alone", "IA3 on T5", "pickle_only", every(_pickled, _only(CONFIG, PICKLE))),
    _pickles("a malicious pickle alone", "LoRA", "pickle_only", every(_malicious, _only(CONFIG, PICKLE))),
    _pickles("a pickle beside broken weights", "LoRA", BAD, every(_pickled, raw(lambda data: data[:-4]))),
    _pickles("a malicious pickle beside empty weights", "LoRA", BAD, every(_malicious, raw(lambda _: b""))),
    _pickles("a malicious pickle by the weights' name", "LoRA", BAD, every(_malicious, lambda folder: (folder / PICKLE).replace(folder / WEIGHTS))),
    _pickles("text by a pickle's name", "LoRA", "pickle_only", every(_only(CONFIG), replaced(PICKLE, lambda path: path.write_text(json.dumps({}))))),
)  # fmt: skip

FAULTS = (*DAMAGED, *FILES, *PICKLES)
