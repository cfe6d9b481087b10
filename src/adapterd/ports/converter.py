"""The Converter port: makes safetensors of a pickle, in a process that may die."""

from pathlib import Path
from typing import Protocol


class Converter(Protocol):
    """Converts in place, in a private copy. One call at a time per instance."""

    def __call__(self, folder: Path, seconds: float) -> None:
        """Put ``adapter_model.safetensors`` in the place of ``adapter_model.bin`` within so many seconds.

        Raises `roots.SettleError`: `conversion_failed` where the file holds no plain tensors, `conversion_stalled`
        where the process came to no answer: it died, or did not end in time.
        """
        ...

    def close(self) -> None:
        """End the one that runs; its call raises `conversion_stalled`."""
        ...
