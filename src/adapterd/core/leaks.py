"""What must not leave the host in a published file: secrets, and paths that describe the host. Pure."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmap import mmap

_BASE = "base_model_name_or_path"
_WORD = rb"A-Za-z0-9_"
# Each begins in a way that its issuer reserves, so that no ordinary text is taken for one.
_SECRETS = (
    ("a Hugging Face token", rb"hf_[A-Za-z0-9]{34}"),
    ("a GitHub token", rb"gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("an AWS access key", rb"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    ("a Google API key", rb"AIza[A-Za-z0-9_\-]{35}"),
    ("an OpenAI or Anthropic key", rb"sk-(?:proj|svcacct|ant-api[0-9]{2})-[A-Za-z0-9_\-]{40,200}"),
    ("a Slack token", rb"xox[abprs]-[0-9]{10,13}-[A-Za-z0-9\-]{20,100}"),
)
_KEY_BLOCK = rb"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----"
_ANY = re.compile(
    b"|".join(
        rb"(?<![%b])(?P<kind%d>%b)(?![%b])" % (_WORD, number, pattern, _WORD)
        for number, (_, pattern) in enumerate(_SECRETS)
    )
    + b"|(?P<block>" + _KEY_BLOCK + b")"
)  # fmt: skip


def secret_in(data: "bytes | mmap") -> str:
    """The kind of secret that some bytes hold, or an empty string; the secret itself is never repeated."""
    found = _ANY.search(data)
    if found is None:
        return ""
    name = str(found.lastgroup)
    return "a private key" if name == "block" else _SECRETS[int(name.removeprefix("kind"))][0]


def paths_of(folders: Sequence[str]) -> tuple[str, ...]:
    """Those of some folders whose path tells something of the host, the longest first; not the root, nor `/tmp`."""
    told = {folder.rstrip("/") for folder in folders}
    return tuple(sorted((folder for folder in told if folder and folder != "/tmp"), key=lambda f: (-len(f), f)))  # noqa: S108 - a name, not a file


def names_places(name: str) -> bool:
    """Whether a payload file of this name is one into which libraries write where something lay on the host.

    Vocabularies are not: `/data` is an ordinary token.
    """
    return name.endswith("_config.json") or name == "special_tokens_map.json"


def without_paths(data: bytes, folders: Sequence[str], name: str) -> tuple[bytes, tuple[dict[str, Any], ...]]:
    """Shorten every string of a JSON document that is such a path to its last part; the bytes, and what was changed.

    The record holds no path. What names the base model stays, since it is told by that. Bytes that are no JSON stay.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data, ()
    records: list[dict[str, Any]] = []

    def shortened(value: object, key: str) -> object:
        if isinstance(value, dict):
            return {inner: shortened(item, f"{key}.{inner}" if key else str(inner)) for inner, item in value.items()}
        if isinstance(value, list):
            return [shortened(item, key) for item in value]
        if (
            key != _BASE
            and isinstance(value, str)
            and any(value == folder or value.startswith(f"{folder}/") for folder in folders)
        ):
            last = value.rstrip("/").rsplit("/", 1)[-1]
            records.append({"file": name, "key": key, "was": "a path of the training host", "now": last})
            return last
        return value

    changed = shortened(document, "")
    if not records:
        return data, ()
    return json.dumps(changed, indent=2, ensure_ascii=False).encode(), tuple(records)
