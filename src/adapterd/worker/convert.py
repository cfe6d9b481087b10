"""Turns a pickle into safetensors: ``python -m adapterd.worker.convert FOLDER BYTES``; only `converting` starts it.

Nothing but tensors is unpickled (`weights_only`); what a pickle would run is not run. The folder is a private copy.
"""

import contextlib
import errno
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterd.core.adapter import MAX_HEADER_BYTES, PICKLE, WEIGHTS, BadWeightsError
from adapterd.roots import check_pickle
from adapterd.worker.converting import FULL, REFUSED, UNWRITABLE
from adapterd.worker.yielding import contain

_NUMBER = re.compile(r"\(os error ([0-9]{1,4})\)")
"""How safetensors tells an error of the file system."""
_LETTERS = 300
_DIED = 1


class NoTensorsError(ValueError):
    """The pickle holds something else than tensors by name."""


def main(folder: Path, most: int) -> int:
    """Convert, or say in one line why not. `most` is how many bytes the tensors may take."""
    import torch  # noqa: PLC0415 - slow, and only in this process

    contain()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most + MAX_HEADER_BYTES, most + MAX_HEADER_BYTES))
    try:
        check_pickle(folder)
        convert(torch.load(folder / PICKLE, map_location="cpu", weights_only=True, mmap=False), folder, most)
    except MemoryError:
        return _say("it ran out of memory", _DIED)
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file makes of the reader
        if "can't allocate memory" in str(error):
            return _say("it ran out of memory", _DIED)
        # torch wraps the cause into the advice to unpickle without `weights_only`, which is none.
        cause = error.__context__ if isinstance(error.__context__, type(error)) else error
        first = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        return _say(first.replace(f"{folder}/", ""), _code(error))
    return 0


def convert(found: object, folder: Path, most: int) -> None:
    """Write what was unpickled as safetensors.

    Raises:
        NoTensorsError: it is something else than tensors by name, or more than may be written.
    """
    from safetensors.torch import save_file  # noqa: PLC0415 - imports torch

    named = _by_name(found)
    total = sum(tensor.numel() * tensor.element_size() for tensor in named.values())
    if total > most:
        raise NoTensorsError(f"its tensors would take {total} bytes; {most} are allowed")
    # Tensors that share memory, as tied ones do, cannot be saved.
    tensors: dict[str, Any] = {}
    known: set[int] = set()
    for name, tensor in named.items():
        held = tensor.detach().resolve_conj().resolve_neg().contiguous()
        place = held.untyped_storage().data_ptr()
        tensors[name] = held.clone() if place in known else held
        known.add(place)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _by_name(found: object) -> Mapping[str, Any]:
    """Take what was unpickled for dense tensors by name."""
    import torch  # noqa: PLC0415 - slow, and only in this process

    if not isinstance(found, dict) or not found:
        raise NoTensorsError(f"it holds a {type(found).__name__}, not tensors by name")
    for name, tensor in found.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise NoTensorsError(f"{name!r} is no name of a tensor")
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise NoTensorsError(f"{name} is a {type(tensor).__name__}, no tensor")
        if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized or tensor.device.type != "cpu":
            raise NoTensorsError(f"{name} is no dense tensor")
    return found


def _code(error: Exception) -> int:
    """The exit code that an error means: a verdict on the file, or trouble with the disk."""
    told = _NUMBER.search(str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    return REFUSED if number in (None, errno.EFBIG) or isinstance(error, BadWeightsError) else UNWRITABLE


def _say(text: str, code: int) -> int:
    """Leave one bounded, printable line behind."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)[:_LETTERS]
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{shown}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
