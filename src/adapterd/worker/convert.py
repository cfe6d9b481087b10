"""Turns a pickle into safetensors: ``python -m adapterd.worker.convert FOLDER``, started by `worker.converting` alone.

Nothing but tensors is unpickled (`weights_only`); what a pickle would run is not run. The folder is a private copy.
"""

import sys
from pathlib import Path
from typing import Any

from adapterd.core.adapter import PICKLE, WEIGHTS
from adapterd.worker.converting import REFUSED


class NoTensorsError(ValueError):
    """The pickle holds something else than tensors by name."""


def main(folder: Path) -> int:
    """Convert, or say in one line why not."""
    import torch  # noqa: PLC0415 - slow, and only in this process
    from safetensors.torch import save_file  # noqa: PLC0415 - imports torch

    try:
        found = torch.load(folder / PICKLE, map_location="cpu", weights_only=True, mmap=False)
        tensors = {name: _plain(name, tensor) for name, tensor in _by_name(found).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file makes of the reader
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        sys.stderr.write(f"{type(error).__name__}: {first.replace(f'{folder}/', '')}\n")
        return REFUSED
    return 0


def _by_name(found: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a pickle holds
    """Take what was unpickled for tensors by name."""
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found):
        raise NoTensorsError(f"it holds a {type(found).__name__}, not tensors by name")
    return found


def _plain(name: str, tensor: Any) -> Any:  # noqa: ANN401 - whatever a pickle holds in, a tensor out
    """Take one value for a dense tensor, and give it memory of its own: tensors that share some cannot be saved."""
    import torch  # noqa: PLC0415 - slow, and only in this process

    if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided or tensor.is_quantized:
        raise NoTensorsError(f"{name} is a {type(tensor).__name__} that is no dense tensor")
    return tensor.detach().contiguous().clone()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
