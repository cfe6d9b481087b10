"""The Converter port: makes safetensors of a pickle, in a process that may die."""

from pathlib import Path
from typing import Protocol


class Converter(Protocol):
    """Converts within a private copy. One call at a time per instance."""

    def __call__(self, folder: Path, seconds: float, most: int) -> None:
        """Write ``adapter_model.safetensors`` beside ``adapter_model.bin``; who called takes the latter away.

        Args:
            folder: a private copy of an adapter directory.
            seconds: deadline.
            most: bytes that the tensors may take.

        Raises `roots.SettleError`: `conversion_failed` where the file holds no plain tensors, `spool_full` or
        `spool_unwritable` where they could not be written, `conversion_stalled` where the process came to no answer:
        it died, or did not end in time; `worker_restarted` where `close` ended it.
        """
        ...

    def close(self) -> None:
        """End the one that runs, and start no other."""
        ...
