"""The worker's environment: built from an allow-list, so that no token is in it, whatever the daemon was given."""

from collections.abc import Mapping

_NAMES = frozenset(
    {
        "HF_HOME",
        "HF_HUB_CACHE",
        "HOME",
        "LANG",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTORCH_ALLOC_CONF",
        "PYTORCH_CUDA_ALLOC_CONF",
        "TMPDIR",
        "TRITON_CACHE_DIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)
_PREFIXES = ("CUDA_", "HIP_", "HSA_", "LC_", "NVIDIA_", "ROCR_", "XDG_")
MARK = "ADAPTERD_WORKER"
"""The variable by which all processes that one worker started are found again."""
_NEVER = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY")

_OFFLINE = {
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_TOKEN_PATH": "/dev/null",  # `hf auth login` left a file in HOME; it is not read
    "PYTHONUNBUFFERED": "1",  # what a library printed last is in the log tail even if the worker dies
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


def worker_environment(ambient: Mapping[str, str], threads: int) -> dict[str, str]:
    """Choose from the daemon's environment what the worker needs, and add what keeps it offline and small.

    `threads` 0 leaves the number of CPU threads to the libraries.
    """
    chosen = {name: value for name, value in ambient.items() if _allowed(name)}
    order = {"CUDA_DEVICE_ORDER": ambient.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}  # cuda:1 is what nvidia-smi calls 1
    sizes = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)} if threads else {}
    return chosen | _OFFLINE | order | sizes


def _allowed(name: str) -> bool:
    """Tell whether a variable may pass."""
    if any(word in name.upper() for word in _NEVER):
        return False
    return name in _NAMES or name.startswith(_PREFIXES)
