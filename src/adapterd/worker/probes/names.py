"""Names of tensors in an adapter's file, and what they tell."""

import re
from collections.abc import Iterable, Mapping, Sequence

from adapterd.worker import attach
from adapterd.worker.structure import Shape

_SHOWN = 3
FACTOR = re.compile(r"\.lora_(?:embedding_)?A(?:\.weight)?$")
HEAD = re.compile(
    r"(?:^|\.)(?:classifier|score|qa_outputs|classification_head|qa_classifier)\.(?:.*\.)?(?:weight|bias)$"
)
_OUTPUT = re.compile(r"(?:^|\.)(?:classifier|score|qa_outputs|classification_head)\.(?:.*\.)?weight$")
EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|lm_head|wte|word_embeddings|embed_in|embed_out|embeddings|shared)\.weight$"
)
_WRAPPERS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_ROOT = "base_model.model."


def some(names: Sequence[str], between: str = ", ") -> str:
    """Name the first few."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return between.join(names[:_SHOWN]) + more


def label_count(shapes: Mapping[str, Shape]) -> int | None:
    """Give the number of labels of the classification head in the file, None where it holds none."""
    heads = [name for name, shape in shapes.items() if _OUTPUT.search(name) and len(shape.sizes) > 1]
    last = [name for name in heads if ".dense." not in name and ".lora_" not in name]
    return shapes[last[-1]].sizes[0] if last else None


def embedding_rows(shapes: Mapping[str, Shape]) -> int | None:
    """Give the rows of an embedding that is saved whole beside the adapter, None where there is none."""
    found = [s for name, s in shapes.items() if EMBEDDING.search(attach.base_name(name)) and len(s.sizes) > 1]
    return found[0].sizes[0] if found else None


def misspelt(held: Iterable[str], expected: Iterable[str]) -> str:
    """How the file's keys differ from those expected, where they are all the same but for one prefix; else empty."""
    wanted, keys = set(expected), list(held)
    if wanted.isdisjoint(keys) is False and wanted == set(keys):
        return ""
    for wrapper in _WRAPPERS:
        if any(wrapper in key for key in keys) and {key.replace(wrapper, "") for key in keys} == wanted:
            return f"once {wrapper!r} is taken out"
    if {f"{_ROOT}{key}" for key in keys} == wanted:
        return f"once {_ROOT!r} is put in front"
    for doubled in (_ROOT, "base_model.", "model."):
        if {key.replace(doubled, "", 1) for key in keys} == wanted:
            return f"once one {doubled!r} is taken out"
    named = {part for key in keys for part in key.split(".")[-2:] if part not in ("weight", "bias")}
    for name in sorted(named):
        if {_without(key, name) for key in keys} == wanted:
            return f"once the adapter's name, {name!r}, is taken out"
    return ""


def _without(key: str, name: str) -> str:
    """A key without an adapter's name in one of its last two parts."""
    parts = key.split(".")
    for at in (-2, -1):
        if len(parts) >= -at and parts[at] == name:
            del parts[at]
            break
    return ".".join(parts)
