"""What an adapter directory is, by its names, its config and its weights' header."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import adapter as ad
from adapterd.core.adapter import Entry, Kind

CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "acme/base", "r": 8}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def entries(*names: str, **kinds: Kind) -> tuple[Entry, ...]:
    """Entries of a listing; `kinds` gives those that are no files, with ``_`` for a dot."""
    odd = {name.replace("__", "."): kind for name, kind in kinds.items()}
    return tuple(Entry(name, odd.get(name, Kind.FILE), 1, 1, n) for n, name in enumerate([*names, *odd]))


def header(document: object, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    encoded = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def parse(data: bytes) -> tuple[ad.Tensor, ...]:
    """Parse a whole file in memory."""
    return ad.parse_header(lambda offset, length: data[offset : offset + length], len(data))


def spec(begin: int = 0, end: int = 4, **changes: object) -> dict[str, object]:
    """One tensor's description."""
    return {"dtype": "F32", "shape": [1], "data_offsets": [begin, end], **changes}


@pytest.mark.parametrize(
    ("code", "listing"),
    [
        ("adapter", entries(ad.CONFIG, ad.WEIGHTS)),
        ("adapter", entries(ad.CONFIG, ad.INDEX, "adapter_model-00001-of-00002.safetensors")),
        ("adapter", entries(ad.CONFIG, ad.WEIGHTS, ad.PICKLE, "model.safetensors", "pytorch_model_fsdp.bin")),
        ("adapter", entries(ad.CONFIG, ad.WEIGHTS, global_step5=Kind.DIRECTORY)),
        ("half_written", entries(ad.CONFIG)),
        ("half_written", entries(ad.WEIGHTS)),
        ("half_written", entries(ad.WEIGHTS, "training_args.bin")),
        ("pickle_only", entries(ad.CONFIG, ad.PICKLE)),
        ("not_regular", entries(ad.CONFIG, adapter_model__safetensors=Kind.OTHER)),
        ("not_regular", entries(ad.CONFIG, adapter_model__safetensors=Kind.DIRECTORY)),
        ("not_regular", entries(ad.WEIGHTS, adapter_config__json=Kind.OTHER)),
        ("not_regular", entries(ad.CONFIG, ad.WEIGHTS, tokenizer__json=Kind.OTHER)),
        ("not_regular", entries(ad.CONFIG, adapter_model__bin=Kind.OTHER)),
        ("sharded_state", entries(ad.CONFIG, global_step500=Kind.DIRECTORY)),
        ("sharded_state", entries("__0_0.distcp")),
        ("full_model", entries("config.json", "model-00001-of-00004.safetensors")),
        ("full_model", entries("pytorch_model.bin")),
        ("no_adapter", entries("README.md")),
        ("no_adapter", ()),
    ],
)
def test_nature(code: str, listing: tuple[Entry, ...]) -> None:
    """A directory is told by the names and kinds in it; an odd payload file speaks before anything else."""
    assert ad.nature(listing).code == code


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("adapter_config.json", True),
        ("adapter_model.safetensors", True),
        ("adapter_model-00001-of-00002.safetensors", True),
        ("adapter_model.safetensors.index.json", True),
        ("tokenizer.json", True),
        ("chat_template.jinja", True),
        ("additional_chat_templates/tool.jinja", True),
        ("additional_chat_templates/../tool.jinja", False),
        ("additional_chat_templates", False),
        ("training_args.bin", False),
        ("trainer_state.json", False),
        ("optimizer.pt", False),
        ("adapter_model.bin", False),
        ("README.md", False),
        (".env", False),
        ("adapter_model.safetensors\n", False),
        ("adapter_model-\u0660\u0660\u0660\u0660\u0661-of-00002.safetensors", False),
    ],
)
def test_payload_is_an_allow_list(name: str, *, published: bool) -> None:
    """Only what a deployer needs is copied: no optimizer, no training arguments, no pickles, no stray files."""
    assert ad.is_payload(name) is published


@pytest.mark.parametrize(
    ("name", "number"),
    [("checkpoint-0", 0), ("checkpoint-500", 500), ("checkpoint-\u0663", None), ("checkpoint-5x", None)],
)
def test_checkpoint_number(name: str, number: int | None) -> None:
    """Only `checkpoint-N` with plain digits is a checkpoint."""
    assert ad.checkpoint_number(name) == number


def test_config_is_parsed_with_its_byte_order_mark() -> None:
    """A config with a byte order mark is read; null task and base become empty."""
    fields = {**CONFIG, "task_type": None, "base_model_name_or_path": None}
    config = ad.parse_config(b"\xef\xbb\xbf" + json.dumps(fields).encode())
    assert (config.peft_type, config.task, config.base, config.rank) == ("LORA", "", "", 8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "holds a list"),
        (b"{}", "no peft_type"),
        (b'{"peft_type": 3}', "peft_type is a int"),
        (b'{"peft_type": "LORA", "base_model_name_or_path": ["x"]}', "is a list"),
        (b'{"peft_type": "LORA", "lora_alpha": NaN}', "NaN is no number"),
        (b'{"peft_type": "LORA", "lora_alpha": -Infinity}', "Infinity is no number"),
        (b'{"peft_type": "LORA", "lora_alpha": 1e999}', "1e999 is too large a number"),
        (b'{"peft_type": "LORA", "revision": "\\ud800"}', "half a character"),
        (b'{"peft_type": "LORA", "x": ' + b"[" * 60 + b"]" * 60 + b"}", "nests more"),
        (b" " * (ad.MAX_CONFIG_BYTES + 1), "bytes"),
    ],
)
def test_bad_configs(data: bytes, says: str) -> None:
    """A config that is none is refused with what is wrong with it."""
    with pytest.raises(ad.BadConfigError, match=says):
        ad.parse_config(data)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_parse_or_are_a_bad_config(data: bytes) -> None:
    """Whatever lies in adapter_config.json, nothing but BadConfigError comes out of reading it."""
    try:
        config = ad.parse_config(data)
    except ad.BadConfigError:
        return
    assert ad.identity_digest(config.fields, {})


def test_header_gives_tensors() -> None:
    """Names, types, shapes and ranges stand in the header; metadata is no tensor."""
    tensors = parse(header({"__metadata__": {"format": "pt"}, "a": spec(), "b": spec(4, 8)}, bytes(8)))
    assert [(t.name, t.dtype, t.shape, t.begin, t.end) for t in tensors] == [
        ("a", "F32", (1,), 0, 4),
        ("b", "F32", (1,), 4, 8),
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "at least 8"),
        (b"1234567", "at least 8"),
        (struct.pack("<Q", 2**63) + b"{}", "claims"),
        (struct.pack("<Q", 3) + b"{}", "claims"),
        (header(b"nonsense"), "not JSON"),
        (header(b"\xff\xfe{\x00}\x00"), "not JSON"),
        (header(b"[" * 100_000), "not JSON"),
        (header([]), "not an object"),
        (header({"a": spec()}, bytes(3)), "describes"),
        (header({"a": spec()}, bytes(5)), "describes"),
        (header({"a": None}), "no description"),
        (header({"a": spec(4, 0)}, bytes(4)), "malformed"),
        (header({"a": spec(-4, 4)}, bytes(4)), "malformed"),
        (header({"a": spec(dtype=None)}, bytes(4)), "malformed"),
        (header({"a": spec(shape=[-1])}, bytes(4)), "malformed"),
        (header({"a": spec(shape=[True])}, bytes(4)), "malformed"),
        (header({"a": {**spec(), "data_offsets": [False, 4]}}, bytes(4)), "malformed"),
        (header({"a": {**spec(), "data_offsets": [0, 4.0]}}, bytes(4)), "malformed"),
    ],
)
def test_bad_headers(data: bytes, says: str) -> None:
    """A file that is cut short, too long or no safetensors at all is told by its header."""
    with pytest.raises(ad.BadWeightsError, match=says):
        parse(data)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    """A file that loses its bytes between stat and read is bad weights, not a crash."""
    with pytest.raises(ad.BadWeightsError, match="shorter"):
        ad.parse_header(lambda _offset, _length: b"", 100)


@given(st.binary(max_size=64) | st.builds(header, JSON | st.binary(max_size=40), st.binary(max_size=8)))
def test_any_bytes_parse_or_are_bad_weights(data: bytes) -> None:
    """Whatever lies in the weights file, nothing but BadWeightsError comes out of its header."""
    try:
        tensors = parse(data)
    except ad.BadWeightsError:
        return
    assert all(0 <= tensor.begin <= tensor.end <= len(data) for tensor in tensors)


def test_missing_shards() -> None:
    """A sharded adapter is whole when every shard that its index names is there."""
    index = json.dumps({"weight_map": {"a": "one", "b": "two", "c": "one"}}).encode()
    assert ad.missing_shards(index, ["one", "two"]) == ()
    assert ad.missing_shards(index, ["two", "three"]) == ("one",)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps({"weight_map": value}).encode()))
def test_any_index_is_read_or_bad_weights(data: bytes) -> None:
    """Whatever lies in the index of shards, nothing but BadWeightsError comes out of it."""
    try:
        ad.missing_shards(data, ())
    except ad.BadWeightsError:
        return


def test_fingerprint_sees_the_payload_alone() -> None:
    """Size, mtime and inode of each payload file count; neither their order nor any other file does."""
    a, b = Entry(ad.CONFIG, Kind.FILE, 1, 2, 3), Entry(ad.WEIGHTS, Kind.FILE, 4, 5, 6)
    other = Entry("optimizer.pt", Kind.FILE, 7, 8, 9)
    assert ad.fingerprint([a, b]) == ad.fingerprint([b, other, a])
    for changed in (
        Entry(ad.CONFIG, Kind.FILE, 9, 2, 3),
        Entry(ad.CONFIG, Kind.FILE, 1, 9, 3),
        Entry(ad.CONFIG, Kind.FILE, 1, 2, 9),
    ):
        assert ad.fingerprint([changed, b]) != ad.fingerprint([a, b])


def test_marker_vouches_for_exactly_these_files() -> None:
    """A finished-marker counts for the names, sizes and mtimes that it carries, and for nothing else."""
    seen = [Entry(ad.CONFIG, Kind.FILE, 1, 2, 3), Entry(ad.WEIGHTS, Kind.FILE, 4, 5, 6)]
    claim = {e.name: {"size": e.size, "mtime_ns": e.mtime_ns} for e in seen}

    def vouched(files: object) -> bool:
        return ad.vouched(json.dumps({"files": files}).encode(), seen)

    assert vouched(claim)
    assert not vouched({**claim, "tokenizer.json": {"size": 1, "mtime_ns": 1}})
    assert not vouched({ad.CONFIG: claim[ad.CONFIG]})
    assert not vouched({**claim, ad.CONFIG: {"size": 1, "mtime_ns": 9}})
    assert not vouched({})
    assert not ad.vouched(b'{"files": {}}', [])


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps({"files": value}).encode()))
def test_any_marker_is_judged(data: bytes) -> None:
    """No bytes in a marker do more than vouch for nothing."""
    assert ad.vouched(data, [Entry(ad.CONFIG, Kind.FILE, 1, 2, 3)]) is False
