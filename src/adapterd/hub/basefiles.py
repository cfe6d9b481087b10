"""Which files of a base model's repo are needed to load it, and whether a folder has them. Pure."""

import re
from collections.abc import Iterable

_WEIGHTS = (
    # Best first: a repo often carries the same weights several times over.
    re.compile(r"model(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?\.safetensors"),
    re.compile(r"pytorch_model(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?\.bin"),
    re.compile(r".+?(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?\.gguf"),
)
_BESIDE = re.compile(r"(?:.+\.(?:json|jinja|model|tiktoken)|merges\.txt|vocab\.txt|README\.md|LICENSE.*)")
_INDEX = re.compile(r".+\.index\.json")
_CONFIG = "config.json"


def weights(names: Iterable[str]) -> list[str]:
    """The files of one complete set of weights, the best form there is; none where there is no whole set.

    Several GGUF files are several quantizations, and which one is meant cannot be known: none of them.
    """
    there = sorted(names)
    for form in _WEIGHTS:
        found = [match for name in there if (match := form.fullmatch(name))]
        whole = [match[0] for match in found if match["parts"] is None]
        if len(whole) == 1:
            return whole
        if found and not whole and {int(match["parts"]) for match in found} == {len(found)}:
            return [match[0] for match in found]
    return []


def loadable(names: Iterable[str]) -> bool:
    """Whether a folder with these files can be loaded: a complete set of weights, and a config unless it is GGUF."""
    there = set(names)
    chosen = weights(there)
    return bool(chosen) and (_CONFIG in there or chosen[0].endswith(".gguf"))


def needed(names: Iterable[str]) -> list[str]:
    """The files to download, the config first: top-level ones, one set of weights, and no pickle where there is better.

    The card comes along, because the base's licence stands in it.
    """
    top = [name for name in names if "/" not in name]
    chosen = weights(top)
    if not loadable(top):
        return []
    index = {re.sub(r"-\d{5}-of-\d{5}", "", chosen[0]) + ".index.json"}
    beside = [n for n in top if _BESIDE.fullmatch(n) and (not _INDEX.fullmatch(n) or n in index)]
    return [*sorted(beside, key=lambda name: (name != _CONFIG, name)), *chosen]
