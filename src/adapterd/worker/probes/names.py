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


def misspelt(surplus: Iterable[str], missing: Iterable[str]) -> str:
    """How the keys without a place differ from those that are missing, where they are the same but for one part.

    Empty where they are not.
    """
    keys, wanted = sorted(surplus), set(missing)
    if not keys or len(keys) != len(wanted):
        return ""
    for wrapper in _WRAPPERS:
        if any(wrapper in key for key in keys) and {key.replace(wrapper, "") for key in keys} == wanted:
            return f"once {wrapper!r} is taken out"
    named = {part for key in keys for part in key.split(".")[-2:] if part not in ("weight", "bias")}
    for name in sorted(named):
        if {_without(key, name) for key in keys} == wanted:
            return f"once the adapter's name, {name!r}, is taken out"
    return _other_beginning(keys, wanted)


def _other_beginning(keys: Sequence[str], wanted: set[str]) -> str:
    """How the keys differ, where all of them have parts too many or too few at their beginning, and the same ones."""
    first = keys[0].split(".")
    for at in range(len(first)):
        rest = ".".join(first[at:])
        for other in (key for key in wanted if key == rest or key.endswith(f".{rest}")):
            old, new = keys[0].removesuffix(rest), other.removesuffix(rest)
            if not (_within(old, new) or _within(new, old)):
                continue  # other names are another architecture's
            if all(key.startswith(old) for key in keys) and {new + key.removeprefix(old) for key in keys} == wanted:
                return f"once they begin with {new!r} instead of {old!r}" if old else f"once {new!r} is put in front"
    return ""


def _within(short: str, long: str) -> bool:
    """Whether the parts of one beginning are all in the other, in their order."""
    parts = iter(long.split("."))
    return all(part in parts for part in short.split("."))


def _without(key: str, name: str) -> str:
    """A key without an adapter's name in one of its last two parts."""
    parts = key.split(".")
    for at in (-2, -1):
        if len(parts) >= -at and parts[at] == name:
            del parts[at]
            break
    return ".".join(parts)
