"""Tokenizers of bases and adapters: the adapters of one base mostly bring the same, so they are kept by content."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapterd.worker.inputs import TOKENIZER_FILES, find_tokenizer

_KEPT = 4


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer of transformers, or None, and the token ids that it can give."""

    tokenizer: Any
    ids: frozenset[int] = frozenset()

    @property
    def limit(self) -> int:
        """The largest id that it can give, plus one."""
        return max(self.ids, default=-1) + 1


NONE = Vocabulary(None)


@dataclass
class Tokenizers:
    """Tokenizers by the content of their files."""

    _known: dict[str, Vocabulary] = field(default_factory=dict)

    def of(self, folder: Path, gguf: str | None = None, *, trusted: bool = False) -> Vocabulary:
        """Give a folder's tokenizer; the same object for the same content."""
        key = _key([folder / name for name in TOKENIZER_FILES], gguf)
        if key is None:
            return NONE
        if key not in self._known:
            found = find_tokenizer(folder, gguf, trusted=trusted)
            ids = frozenset(found.get_vocab().values()) if found is not None else frozenset[int]()
            kept = list(self._known.items())[1 - _KEPT :]
            self._known = dict(kept) | {key: Vocabulary(found, ids)}
        return self._known[key]


def _key(files: Sequence[Path], gguf: str | None) -> str | None:
    """Name the files that are there by their content."""
    found = [path.read_bytes() for path in files if path.exists()]
    return sha256(b"".join(sha256(content).digest() for content in found)).hexdigest() if found else gguf
