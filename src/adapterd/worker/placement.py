"""Where an adapter's parameters lie (interim)."""

from typing import Any


def placement(model: Any, adapter_name: str) -> list[str]:  # noqa: ANN401 - a PeftModel
    """Names of adapter parameters that lie on `meta`."""
    return [name for name, p in model.named_parameters() if f".{adapter_name}." in f".{name}." and p.is_meta]
