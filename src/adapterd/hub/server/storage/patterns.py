"""Which paths go to LFS and which are ignored: ``.gitattributes`` and ``.gitignore``, read as git reads them."""

import io
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from dulwich.attrs import AttributeValue, Pattern, compile_gitattributes_patterns, match_path, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

LARGE = 10 * 1024 * 1024
"""From this size on a file goes to LFS, whatever its name."""

_LFS_LINE = "filter=lfs diff=lfs merge=lfs -text"
_WEIGHTS = "bin ckpt ftz h5 joblib lfs.* mlmodel model msgpack npy npz onnx ot pb pickle pkl pt pth safetensors tflite"
_ARCHIVES = "7z arrow bz2 gz parquet rar tar.* tar tgz wasm xz zip zst"
_NAMES = sorted(f"*.{suffix}" for suffix in f"{_WEIGHTS} {_ARCHIVES}".split())

DEFAULT_ATTRIBUTES = "".join(f"{name} {_LFS_LINE}\n" for name in (*_NAMES, "saved_model/**/*", "*tfevents*")).encode()
"""What every new repo begins with."""


MOST_STARS = 3
"""In one line. Each further one multiplies the ways to match a path in dulwich's expressions; ten never end."""


def goes_to_lfs(attributes: bytes, path: str) -> bool:
    """Tell whether the repo's attributes send this path to LFS."""
    return match_path(_compiled(attributes), path.encode()).get(b"filter") == b"lfs"


def track(attributes: bytes, paths: list[str]) -> bytes:
    """Add a line for each LFS path that no line covers yet, so that a clone with git finds its pointers."""
    for path in paths:
        line = f"{_as_pattern(path)} {_LFS_LINE}\n".encode()
        if goes_to_lfs(attributes, path) or line in attributes:
            continue
        attributes = attributes + (b"" if attributes.endswith(b"\n") or not attributes else b"\n") + line
    return attributes


def is_ignored(ignore: bytes, path: str) -> bool:
    """Tell whether a ``.gitignore`` leaves this path out."""
    return bool(IgnoreFilter(read_ignore_patterns(_bearable(ignore))).is_ignored(path))


@lru_cache(64)
def _compiled(attributes: bytes) -> Sequence[tuple[Pattern, Mapping[bytes, AttributeValue]]]:
    """Make matchers of the attributes: the same few files are asked about again and again."""
    return compile_gitattributes_patterns(parse_git_attributes(_bearable(attributes)), ".gitattributes")


def _bearable(lines: bytes) -> io.BytesIO:
    """The lines without those that nobody could wait for; they match nothing."""
    return io.BytesIO(b"\n".join(line for line in lines.split(b"\n") if line.count(b"*") <= MOST_STARS))


def _as_pattern(path: str) -> str:
    """Write a path so that git matches it, and it alone."""
    return re.sub(r"([*?\[\]])", r"\\\1", path).replace(" ", "[[:space:]]")
