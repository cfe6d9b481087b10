"""Every parser that reads what others wrote, with what it may raise, and valid documents to begin from."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapterd.config import ConfigError, LabelsError, example, parse, read_labels
from adapterd.config.errors import Problem
from adapterd.config.source import decode
from adapterd.control import wire as control
from adapterd.core import adapter as ad
from adapterd.core import golden, index, messages, naming, standing
from adapterd.core.archive import check_archive
from adapterd.core.errors import AdapterdError
from adapterd.core.examples import BadExamplesError, parse_examples
from adapterd.core.readme import BEGIN, END, license_of, splice, splice_raw, split_front_matter
from adapterd.core.trainerstate import parse_state
from adapterd.deploy.manifest import parse_manifest
from adapterd.hub.server.errors import HubError
from adapterd.hub.server.storage.operations import parse_commit
from adapterd.hub.server.storage.patterns import goes_to_lfs, is_ignored
from adapterd.hub.server.storage.pointer import parse_pointer
from adapterd.worker import wire as worker
from durability.samples import ARCHIVE, GOLDEN, INDEX, MANIFEST, STANDING
from helpers.adapters import config, weights


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: it may raise what is listed, and nothing else; `seeds` are documents that it takes."""

    parse: Callable[[bytes], object]
    raises: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    """Further pieces that mean something to it."""
    slow: bool = False
    """Whether one document takes a millisecond or more."""

    def __call__(self, data: bytes) -> bool:
        """Whether it takes the document; what it must not raise comes through."""
        try:
            self.parse(data)
        except self.raises:
            return False
        return True


def _configuration(data: bytes) -> None:
    text = decode(data, 2**20)
    if not isinstance(text, Problem):
        parse(text, "config.yaml")


def _adapter_config(data: bytes) -> None:
    """What is taken is named, compared and repaired; what comes out is JSON that every other reader takes too."""
    found = ad.parse_config(data)
    ad.identity_digest(found.fields, {})
    repaired, _ = ad.repair_base(data, "acme/base")
    json.loads(repaired, parse_constant=_no_number)
    naming.adapter_name("{run}-{base}", naming.place("run/checkpoint-1", {"run"}.__contains__), "/r", found.base, "u")


def _no_number(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


def _header(data: bytes) -> None:
    for tensor in ad.parse_header(lambda offset, length: data[offset : offset + length], len(data)):
        assert 0 <= tensor.begin <= tensor.end <= len(data)
        assert tensor.elements >= 0


def _archive(data: bytes) -> None:
    check_archive(lambda offset, length: data[offset : offset + length], len(data))


def _manifest(data: bytes) -> None:
    for path in parse_manifest(data, "acme/x@v1").files:
        assert not path.startswith("/")
        assert ".." not in path.split("/")


def _golden(data: bytes) -> None:
    golden.parse(json.loads(data))


def _standing(data: bytes) -> None:
    document = json.loads(data)
    if standing.fault(document):
        raise ValueError("refused")
    said = standing.Said("me", "why", 1.0)
    standing.yanked(document), standing.held(document)
    added = standing.with_publishers(document, {"p"}, said)
    added = standing.with_tombstones(added, [standing.Tombstone("i" * 64, 1, "", said)])
    if not ({"p"} <= standing.publishers(added) and "i" * 64 in standing.erasures(added) and not standing.fault(added)):
        raise AssertionError("what was added does not stand there")


def _trailers(data: bytes) -> None:
    said = messages.trailers(data.decode("utf-8", "replace"))
    if said is not None:
        assert messages.trailers(messages.with_trailers("title", "body", said)) == said


def _readme(data: bytes) -> None:
    managed = f"{BEGIN}\nmanaged\n{END}"
    once = splice(data, managed, {"license": "mit"})
    assert splice(once, managed, {"license": "mit"}) == once, "the second time changes something"
    splice_raw(data, managed, {"license": "license: mit"})
    text = data.decode("utf-8", "replace")
    split_front_matter(text), license_of(text)


def _names(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    naming.strip_stamps(text), naming.tidy(text), naming.channel_fault(text), naming.tag_number(text)
    name = naming.adapter_name("{parent}-{run}", naming.place(text, {text}.__contains__), "/root", "b", "u")
    assert naming.checked_name(name) == name
    naming.parse_reference(text)


def _marker(data: bytes) -> None:
    ad.vouched(data, [ad.Entry(ad.CONFIG, ad.Kind.FILE, 2, 3, 4)])


def _commit(data: bytes) -> None:
    list(parse_commit(data.split(b"\n"))[1])


def _attributes(data: bytes) -> None:
    goes_to_lfs(data, "adapter_model.safetensors"), is_ignored(data, "a/b.bin"), parse_pointer(data)


def _worker(data: bytes) -> None:
    message = worker.unpack(data)
    worker.read_result(message, "")


_HEADER = json.dumps({"header": 1, "key": "header", "value": {"summary": "s", "parentCommit": "0" * 40}}).encode()
_FILE = json.dumps({"key": "file", "value": {"path": "a/b", "content": "aGk=", "encoding": "base64"}}).encode()
_LFS = json.dumps({"key": "lfsFile", "value": {"path": "w", "algo": "sha256", "oid": "a" * 64, "size": 3}}).encode()
_STATE = json.dumps({"global_step": 5, "log_history": [{"step": 5, "loss": 0.5}, {"step": 5, "eval_loss": 1}]}).encode()
_SAID = messages.with_trailers("v3: run-1", "a body", messages.Trailers("a" * 64, 3, "publisher", "main")).encode()
_ASKED = {"schema": 1, "do": "retry", "arguments": {"reference": "--all"}, "reason": "why"}
_RESULT = {"event": "result", "id": 1, "result": {"findings": [], "measurements": {}, "device": "cpu", "dtype": "f"}}

TARGETS: Mapping[str, Target] = {
    "config": Target(
        _configuration, (ConfigError,), (example().encode(), b"hub: {namespace: a}\nroots: [{path: /t}]\n"), slow=True
    ),
    "labels": Target(
        read_labels,
        (LabelsError,),
        (b"adapter: x\npublish: no\nexpect: {loss: 1.5}\ntracker: https://a.b\n",),
        slow=True,
    ),
    "adapter_config": Target(
        _adapter_config,
        (ad.BadConfigError, naming.NameRefusedError),
        (json.dumps(config()).encode(), json.dumps(config(auto_mapping={"parent_library": "os"}, r=1e300)).encode()),
        (b"1e999", b'"base_model_name_or_path"', b"\\ud800", b"-Infinity"),
    ),
    "header": Target(_header, (ad.BadWeightsError,), (weights(1, 2, 4), struct.pack("<Q", 2) + b"{}")),
    "shards": Target(
        lambda data: ad.missing_shards(data, ["a"]),
        (ad.BadWeightsError,),
        (b'{"weight_map": {"x": "adapter_model-00001-of-00002.safetensors"}}',),
    ),
    "archive": Target(_archive, (ad.BadWeightsError,), (ARCHIVE,), (b"PK\x05\x06", b"PK\x06\x06", b"\xff\xff\xff\xff")),
    "manifest": Target(_manifest, (AdapterdError,), (MANIFEST,), (b'"../x"', b'"schema": 2', b"1e400")),
    "golden": Target(_golden, (golden.BadGoldenError, ValueError, RecursionError), (GOLDEN,)),
    "standing": Target(_standing, (ValueError, RecursionError), (STANDING,), (b'"number": true', b'"schema": 9')),
    "index": Target(lambda data: (index.publisher_of(data), index.generation_of(data)), (), (INDEX,)),
    "trailers": Target(_trailers, (), (_SAID, b"v1: x\r\n\r\nAdapter-Version: v1\r\n")),
    "readme": Target(
        _readme, (), (b"---\nlicense: mit\ntags:\n- x\n---\n# A card\n", b"text", b"---\n"), (b"---", b"<!--")
    ),
    "trainer_state": Target(parse_state, (), (_STATE,), (b"NaN", b"1e999")),
    "marker": Target(_marker, (), (b'{"files": {"adapter_config.json": {"size": 2, "mtime_ns": 3}}}',)),
    "examples": Target(
        parse_examples, (BadExamplesError,), (b'{"prompt": "a", "completion": "b"}\n{"prompt": "c"}\n',)
    ),
    "names": Target(
        _names,
        (ValueError,),
        (b"run-42/checkpoint-500", b"acme/x@v3", b"acme/x@id:0123456789ab", "\uff52un/\u2026/--".encode()),
        (b"..", b"--", b"\xff", b"@", "\u202e".encode()),
    ),
    "control": Target(
        lambda data: control.request(data, 0, "u"), (control.ControlError,), (json.dumps(_ASKED).encode(),)
    ),
    "worker": Target(_worker, (worker.BadMessage,), (json.dumps(_RESULT).encode(),)),
    "commit": Target(
        _commit, (HubError,), (b"\n".join([_HEADER, _FILE, _LFS]),), (b'"deletedFolder"', b"../", b".git")
    ),
    "attributes": Target(
        _attributes, (), (b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", b"!a\n[a-\\]\n**/x\n"), slow=True
    ),
}
