"""Valid documents for the fuzzers to begin from."""

import io
import json
import zipfile

from adapterd.core import golden, index
from adapterd.core.golden import Golden, Prompt, Reply
from adapterd.core.version import AdapterVersion, Stage


def _archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02.")
        file.writestr("archive/data/0", b"\x00" * 64)
    return data.getvalue()


_REPLY = Reply(ids=(5, 6), logits=(2.0, 1.0), logprobs=(-0.1, -2.0), greedy=(5,), text="a")
_GOLDEN = Golden("CAUSAL_LM", (Prompt((1, 2), "hi"),), (_REPLY,), (_REPLY,), "cpu", "float32", 0.001, {"peft": "0"})
_VERSION = AdapterVersion(1, "acme/x", "a" * 64, "b" * 64, 1, Stage.PUBLISHED, number=3, commit="c" * 40, run="run-1")
_ACT = {"actor": "alice", "reason": "a request", "at": 1.0}

ARCHIVE = _archive()
GOLDEN = json.dumps(golden.document(_GOLDEN)).encode()
INDEX = index.document(
    [
        index.packed(
            index.adapter_entry("acme/x", "p", "acme/base", [_VERSION], {"main": 3}, {}, {1: index.Told(["no_effect"])})
        )
    ],
    7,
)
STANDING = json.dumps(
    {
        "schema": 1,
        "publishers": [{"id": "p", **_ACT}],
        "holds": [{"channel": "main", **_ACT}],
        "yanks": [{"number": 3, **_ACT}],
        "erasures": [{"identity": "a" * 64, "number": 2, **_ACT}],
    }
).encode()
MANIFEST = json.dumps(
    {
        "schema": 1,
        "adapter": "acme/x",
        "publisher": "p",
        "number": 3,
        "identity": {"algorithm": 1, "digest": "a" * 64},
        "files": {
            "adapter_config.json": {"sha256": "0" * 64, "size": 1},
            "additional_chat_templates/a.jinja": {"sha256": "1" * 64, "size": 2},
        },
        "base": {"id": "acme/base", "revision": "local", "fingerprint": "f" * 64},
        "report": {
            "verdict": "passed",
            "waivers": [{"code": "no_effect", "reason": "x"}],
            "measurements": {"loss": 1.5},
        },
        "golden": json.loads(GOLDEN),
        "serving_name": "acme-x@v3-aaaaaaa",
    }
).encode()
