"""The resident base model: loaded once, fingerprinted, and kept warm for the next adapter."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from adapterd import fingerprints
from adapterd.ports import BaseModel
from adapterd.worker.architecture import Loader, gguf_file
from adapterd.worker.inputs import Batch
from adapterd.worker.outputs import Outputs
from adapterd.worker.standing import Standing

_MATRIX = 2
_BATCHES = 4
"""Outputs that are kept, those that were asked for last: two sets of probes, and a part of each."""
weight_bytes = fingerprints.weight_bytes
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class BaseKey:
    """What makes a resident base the one that is asked for.

    `labels` sizes its classification head, `rows` its embedding, where the adapter brings another size. `most` are the
    bytes that it may take by device, where it is spread over several.
    """

    base: BaseModel
    dtype: str
    device: str
    loader: Loader
    labels: int | None = None
    rows: int | None = None
    most: dict[int | str, int] | None = None

    @property
    def folder(self) -> Path:
        """Where the base lies."""
        return Path(self.base.path)


@dataclass
class ResidentBase:
    """A base model in memory, as it stands without any adapter.

    Attributes:
        shapes: its parameters and buffers with their shapes, to recognise them in an adapter's file.
        random: parameters that its files do not hold, and that are random therefore.
        outputs: what it answers on the probe examples, by batch digest.
        norms: norms of its weights, by module name, computed when first needed.
        golden: what it answers on the golden prompts, by their digest.
    """

    key: BaseKey
    model: Any
    standing: Standing
    shapes: dict[str, tuple[int, ...]]
    random: frozenset[str]
    outputs: dict[str, Outputs] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    golden: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the embedding of tokens: ids are smaller. 0 where the model takes none, or does not say."""
        try:
            weight = getattr(self.model.get_input_embeddings(), "weight", None)
        except NotImplementedError:
            weight = None
        if isinstance(weight, torch.Tensor) and weight.dim() == _MATRIX:
            return int(weight.shape[0])
        return int(getattr(self.model.config.get_text_config(), "vocab_size", 0) or 0)

    @property
    def device(self) -> str:
        """Where it lies; several devices with a plus between them."""
        if self.key.most is None:
            return self.key.device
        spread = getattr(self.model, "hf_device_map", None) or {"": str(self.model.device)}
        return "+".join(sorted({f"cuda:{at}" if isinstance(at, int) else str(at) for at in spread.values()}))

    @property
    def dtype(self) -> str:
        """The type that it computes in, as the configuration names it."""
        return str(self.model.dtype).removeprefix("torch.")

    def answer(self, batch: Batch, run: Callable[[Any, Batch], Outputs]) -> Outputs:
        """Give its own outputs on the batch; computed once. The first pass of all is the warm-up."""
        known = self.outputs.pop(batch.digest, None)
        if known is None:
            warm_up = run(self.model, batch)
            known = run(self.model, batch).with_noise_of(warm_up)
            self.standing.retake()
        kept = list(self.outputs.items())[1 - _BATCHES :]
        self.outputs = dict(kept) | {batch.digest: known}
        return known


def load(key: BaseKey) -> ResidentBase:
    """Load the base model for a task, in its own dtype unless one is named, and let it stand still."""
    base = key.base
    options: dict[str, Any] = {
        "dtype": _DTYPES.get(key.dtype, "auto"),
        "local_files_only": True,
        "trust_remote_code": base.trust_remote_code,
        "output_loading_info": True,
    }
    if (gguf := gguf_file(key.folder)) is not None:
        options |= {"gguf_file": gguf, "quantization_config": transformers.GgufConfig(dequantize=True)}
    if base.quantization:
        options["quantization_config"] = transformers.BitsAndBytesConfig(**base.quantization)
    if base.device_map:
        options |= {"device_map": base.device_map, "max_memory": key.most}
    elif base.quantization:
        options["device_map"] = {"": key.device}
    if key.labels is not None:
        options |= {"num_labels": key.labels, "ignore_mismatched_sizes": True}
    torch.manual_seed(0)  # a head that the base does not have is random, but the same each time
    model, loading = key.loader.model_class.from_pretrained(base.path, **options)
    for folder in base.trained_on:
        # PEFT would read onto the GPU of this host, whatever the device.
        model = peft.PeftModel.from_pretrained(model, folder, torch_device="cpu").merge_and_unload()
    if key.rows is not None:
        model.resize_token_embeddings(key.rows, mean_resizing=False)
    if "device_map" not in options:
        model.to(key.device)
    model.eval().requires_grad_(requires_grad=False)
    model.config.use_cache = False
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = 0
    return ResidentBase(key, model, Standing(model), shapes_of(model), frozenset(loading["missing_keys"]))


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:  # noqa: ANN401 - a model of transformers
    """Every parameter and buffer of a model with its shape."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in (*model.named_parameters(remove_duplicate=False), *model.named_buffers())
    }


def fingerprint(base: BaseModel, hashes: dict[str, str]) -> str:
    """Digest of the base's config and weight files; `hashes` keeps those of files that have not changed since."""
    return fingerprints.fingerprint(Path(base.path), hashes)
