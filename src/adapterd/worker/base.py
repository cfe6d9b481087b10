"""The resident base model: found out about, loaded once, fingerprinted, and kept warm for the next adapter."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from adapterd import fingerprints
from adapterd.ports import BaseModel
from adapterd.worker.outputs import Batch, Outputs
from adapterd.worker.standing import Standing

CAUSAL_LM, SEQ_CLS, FEATURES = "CAUSAL_LM", "SEQ_CLS", "FEATURE_EXTRACTION"
_AUTO: dict[str, Any] = {
    CAUSAL_LM: transformers.AutoModelForCausalLM,
    SEQ_CLS: transformers.AutoModelForSequenceClassification,
    FEATURES: transformers.AutoModel,
}
_ARCHITECTURES = (
    (CAUSAL_LM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    (SEQ_CLS, modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    (FEATURES, modeling_auto.MODEL_MAPPING_NAMES),
)
weight_bytes = fingerprints.weight_bytes
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class BaseKey:
    """What makes a resident base the one that is asked for.

    `labels` sizes its classification head, `rows` its embedding, where the adapter brings another size.
    """

    path: str
    revision: str
    dtype: str
    device: str
    task: str
    labels: int | None = None
    rows: int | None = None


@dataclass
class ResidentBase:
    """A base model in memory, as it stands without any adapter.

    Attributes:
        names: its parameters and buffers, to recognise them in an adapter's file.
        random: parameters that its files do not hold, and that are random therefore.
        outputs: what it answers on the probe texts, by batch digest.
        norms: norms of its weights, by module name, computed when first needed.
    """

    key: BaseKey
    model: Any
    standing: Standing
    names: frozenset[str]
    random: frozenset[str]
    outputs: dict[str, Outputs] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the embedding: token ids are smaller."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def dtype(self) -> str:
        """The type that it computes in, as the configuration names it."""
        return str(self.model.dtype).removeprefix("torch.")

    def answer(self, batch: Batch, run: Callable[[Any, Batch], Outputs]) -> Outputs:
        """Give its own outputs on the batch; computed once. The first pass of all is the warm-up."""
        if batch.digest not in self.outputs:
            warm_up = run(self.model, batch)
            again = run(self.model, batch)
            self.outputs = {batch.digest: again.with_noise_of(warm_up)}
            self.standing.retake()
        return self.outputs[batch.digest]


def gguf_file(folder: Path) -> str | None:
    """Give the name of the GGUF file of a base that is nothing else."""
    found = sorted(folder.glob("*.gguf"))
    return found[0].name if len(found) == 1 and not (folder / "config.json").exists() else None


def task_of(config: dict[str, Any], folder: Path) -> str | None:
    """Give the task type of an adapter: its own word, else what its base model was made for."""
    named = config.get("task_type")
    if named:
        return str(named)
    mapping = config.get("auto_mapping") or {}
    architectures = [mapping["base_model_class"]] if mapping.get("base_model_class") else _architectures(folder)
    for architecture in architectures:
        for task, names in _ARCHITECTURES:
            if architecture in _flat(names):
                return task
    return None


def load(key: BaseKey) -> ResidentBase:
    """Load the base model for a task, in its own dtype unless one is named, and let it stand still."""
    folder = Path(key.path)
    options: dict[str, Any] = {
        "dtype": _DTYPES.get(key.dtype, "auto"),
        "local_files_only": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    if (gguf := gguf_file(folder)) is not None:
        options |= {"gguf_file": gguf, "quantization_config": transformers.GgufConfig(dequantize=True)}
    if key.labels is not None:
        options |= {"num_labels": key.labels, "ignore_mismatched_sizes": True}
    torch.manual_seed(0)  # a head that the base does not have is random, but the same each time
    model, loading = _AUTO[key.task].from_pretrained(key.path, **options)
    if key.rows is not None:
        model.resize_token_embeddings(key.rows, mean_resizing=False)
    model.to(key.device).eval().requires_grad_(requires_grad=False)
    model.config.use_cache = False
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = 0
    names = frozenset(name for name, _ in (*model.named_parameters(remove_duplicate=False), *model.named_buffers()))
    return ResidentBase(key, model, Standing(model), names, frozenset(loading["missing_keys"]))


def fingerprint(base: BaseModel, hashes: dict[str, str]) -> str:
    """Digest of the base's config and weight files; `hashes` keeps those of files that have not changed since."""
    return fingerprints.fingerprint(Path(base.path), hashes)


def _architectures(folder: Path) -> list[str]:
    """Give the classes that the base's config names; a GGUF file holds a language model."""
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError):
        return ["LlamaForCausalLM"] if gguf_file(folder) else []
    return [str(name) for name in named or []]


def _flat(names: Any) -> set[str]:  # noqa: ANN401 - transformers' ordered dict of names, or of lists of names
    """Give every class name of one of transformers' tables."""
    return {name for value in names.values() for name in ([value] if isinstance(value, str) else value)}
