"""How a base model is quantised and spread: the configuration's words, and their spelling in a policy. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

QUANTIZATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "int8": {"load_in_8bit": True},
        "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "nf4-double": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    }
)
"""What the configuration calls a quantization, as keywords of transformers' BitsAndBytesConfig."""

_COMPUTE = "bnb_4bit_compute_dtype"


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to load a base model; empty is as it lies on disk, on one device."""

    quantization: str = ""
    device_map: str = ""
    max_memory: Mapping[str, int] = field(default_factory=dict)


def keywords(quantization: str | None, dtype: str) -> dict[str, Any]:
    """BitsAndBytesConfig's keywords, as plain JSON; empty for no quantization.

    Four bits are computed in `dtype`, or in bfloat16 where none is named: the library's own default is float32, in
    which nobody trains or serves.
    """
    found = dict(QUANTIZATIONS.get(quantization or "", {}))
    if "load_in_4bit" in found:
        found[_COMPUTE] = "bfloat16" if dtype == "auto" else dtype
    return found


def quantization_of(given: Mapping[str, Any]) -> str:
    """The configuration's word for such keywords; empty for none."""
    plain = {key: value for key, value in given.items() if key != _COMPUTE}
    return next((word for word, meant in QUANTIZATIONS.items() if meant == plain), "other" if plain else "")


def text(variant: Variant) -> str:
    """One spelling for one variant, for a policy; empty for the base as it is."""
    memory = ",".join(f"{device}:{most}" for device, most in sorted(variant.max_memory.items()))
    parts = {"quantization": variant.quantization, "device_map": variant.device_map, "max_memory": memory}
    return " ".join(f"{key}={value}" for key, value in parts.items() if value)


def parse(said: str) -> Variant:
    """A variant from its spelling; what is not understood is left out."""
    parts = dict(part.split("=", 1) for part in said.split() if "=" in part)
    pairs = [each.rpartition(":") for each in parts.get("max_memory", "").split(",")]
    memory = {device: int(most) for device, _, most in pairs if device and most.isdecimal()}
    return Variant(parts.get("quantization", ""), parts.get("device_map", ""), memory)
