"""A pickle's way to the Hub: what is published is safetensors, and the manifest says where it comes from."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load

from adapterd.core import publication as pub
from adapterd.core.version import Stage
from helpers.hosts import BASE, World
from helpers.pickles import tensors, write_pickled
from publishing.conftest import stage
from publishing.lines import audit, drive


def test_a_pickle_is_published_as_safetensors(make_world: Callable[..., World], adapter: str, tmp_path: Path) -> None:
    """No pickle reaches the Hub; the manifest's repairs name it, before what else was repaired."""
    written = str(tmp_path / "models" / "tiny")
    known = f"[{{id: {BASE}, path: {tmp_path}/a/base, written_as: ['{written}']}}]"
    world = make_world(extra={"validation": "{convert_pickle: true}", "base_models": known})
    write_pickled(world.tmp / "train" / "run-1", base=written)
    version = stage(world, adapter, 1, keep=True)
    drive(world)
    found = world.registry.version(version.id)
    assert found is not None
    assert (found.stage, found.number) == (Stage.PUBLISHED, 1)
    assert audit([world], adapter, [version]) == [1]
    commit = found.commit or ""
    manifest = json.loads(world.client.read(adapter, commit, pub.MANIFEST))
    assert manifest["provenance"]["repairs"] == [
        {"file": "adapter_model.bin", "key": "format", "was": "pickle", "now": "adapter_model.safetensors"},
        {"file": "adapter_config.json", "key": "base_model_name_or_path", "was": "tiny", "now": BASE},
    ]
    assert set(manifest["files"]) == {"adapter_config.json", "adapter_model.safetensors"}
    assert not any(path.endswith(".bin") for path in world.client.tree(adapter, commit))
    held = load(world.client.read(adapter, commit, "adapter_model.safetensors"))
    assert all(torch.equal(held[name], tensor) for name, tensor in tensors().items())
