"""A pickle on the command line: its tensors are proved in a copy outside the directory, which stays as it is."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapterd.core import adapter as ad
from adapterd.roots import entries_of
from adapterd.spool import Spool
from adapterd.worker.converting import Converter

_MOST = 20 * 1024**3
"""As `settle.max_size` is by default."""


@contextmanager
def converted(directory: Path, seconds: float) -> Iterator[Path]:
    """Give the folder to prove: the directory itself, or where its weights are a pickle, a converted copy.

    Raises:
        SettleError: it cannot be copied or converted.
    """
    if ad.PICKLE not in ad.weights_of(entries_of(directory)):
        yield directory
        return
    with TemporaryDirectory(prefix="adapterd-validate-") as room, closing(Converter()) as convert:
        frozen = Spool(Path(room)).freeze(
            directory,
            "local/copy",
            lambda _: "",
            (_MOST, sys.maxsize),
            convert=lambda folder: convert(folder, seconds, _MOST),
        )
        yield frozen.payload
