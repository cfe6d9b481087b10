"""What a process loads: the daemon never torch, the command line next to nothing."""

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "safetensors", "numpy", "alembic")


def loaded(module: str) -> set[str]:
    """The top-level modules in a process that imported one of ours."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["adapterd.reconcile", "adapterd.daemon", "adapterd.worker.supervisor"])
def test_the_daemon_never_loads_torch(module: str) -> None:
    """What the daemon consists of leaves torch, transformers, peft and the migrations' library out of its process."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    assert loaded(module).isdisjoint(HEAVY)


def test_core_loads_nothing_but_the_standard_library() -> None:
    """The pure core imports no third party."""
    allowed = set(sys.stdlib_module_names) | {"adapterd", "__main__", "sitecustomize"}
    modules = ",".join(
        f"adapterd.core.{name}"
        for name in ("adapter", "card", "channels", "index", "naming", "publication", "reasons", "settling", "verdict")
    )
    assert {name for name in loaded(modules) - allowed if not name.startswith("_")} == set()


def test_the_package_itself_loads_nothing() -> None:
    """`import adapterd` costs no library; the names for Python come when they are used, without torch."""
    alone = {"adapterd", "__main__", "sitecustomize"}
    loads = {name for name in loaded("adapterd") - set(sys.stdlib_module_names) if not name.startswith("_")}
    assert loads <= alone
    assert loaded("adapterd.attaching").isdisjoint(HEAVY)
