"""What the serving engines make of an adapter directory: its config and headers, and the base model's config."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterd.core import adapter as ad
from adapterd.core import engines
from adapterd.core.enginetraits import Facts
from adapterd.roots import SettleError, entries_of, header_of, read_if_there

_ADDED = "added_tokens.json"


def engines_of(folder: Path, base: Path) -> tuple[engines.EngineVerdict, ...]:
    """The verdict of each engine on a directory; none where its headers cannot be read: then the worker says why."""
    facts = facts_of(folder, base)
    return () if facts is None else engines.judge(facts)


def facts_of(folder: Path, base: Path) -> Facts | None:
    """What the engines' rules look at; None where the headers cannot be read."""
    try:
        names = sorted(entry.name for entry in entries_of(folder) if ad.is_weights(entry.name))
        config = ad.parse_config(read_if_there(folder, ad.CONFIG, ad.MAX_CONFIG_BYTES) or b"")
        tensors = [tensor for name in names for tensor in header_of(folder, name)]
    except (SettleError, ad.BadConfigError, ad.BadWeightsError, OSError):
        return None
    of_base = _fields(base)
    inner = of_base.get("text_config")
    of_text = {**of_base, **inner} if isinstance(inner, dict) else of_base
    architectures = of_base.get("architectures")
    vocabulary = _count(of_text, "vocab_size")
    return Facts(
        config=config.fields,
        peft_type=config.peft_type,
        task=config.task,
        tensors=tensors,
        shards=len(names),
        architectures=tuple(map(str, architectures)) if isinstance(architectures, list) else (),
        layers=_count(of_text, "num_hidden_layers"),
        vocabulary=vocabulary,
        added_tokens=_added(folder, vocabulary),
    )


def _fields(base: Path) -> Mapping[str, Any]:
    """The fields of a base model's ``config.json``, a link in the Hub's cache; empty where it cannot be read as one."""
    try:
        with (base / "config.json").open("rb") as file:
            found = json.loads(file.read(ad.MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _added(folder: Path, vocabulary: int) -> int:
    """Tokens of ``added_tokens.json`` that the base model's vocabulary does not hold already."""
    try:
        listed = json.loads(read_if_there(folder, _ADDED, ad.MAX_CONFIG_BYTES) or b"{}")
    except (ValueError, RecursionError):
        return 0
    numbers = listed.values() if isinstance(listed, dict) and vocabulary else ()
    return sum(1 for number in numbers if isinstance(number, int) and number >= vocabulary)


def _count(of: Mapping[str, Any], key: str) -> int:
    """A whole number of a config, 0 where it has none."""
    value = of.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
