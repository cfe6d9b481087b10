"""The libraries that a measurement was made with."""

from importlib.metadata import version
from platform import python_version

VERSIONS = {"python": python_version()} | {
    name: version(name) for name in ("torch", "transformers", "peft", "safetensors")
}
"""Library name to version."""
