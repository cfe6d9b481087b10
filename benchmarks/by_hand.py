"""The same work by hand, in one warm process: copy, PEFT and forward passes, one commit and one tag."""

import os
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitOperationAdd, HfApi
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapterd.core.probetexts import TEXTS

TOKENS = 64
"""Tokens of each probe text; `validation.probe_tokens` by default."""
STATE = "trainer_state.json"


class ByHand:
    """A person with a script: base loaded, repo made, connection open."""

    def __init__(self, base: Path, first: Path, api: HfApi, repo: str, spool: Path) -> None:
        """Load the base with a first adapter, which stays: PEFT then wraps no layer anew."""
        tokenizer = AutoTokenizer.from_pretrained(base)
        encoded = tokenizer(list(TEXTS), truncation=True, max_length=TOKENS, padding=True, return_tensors="pt")
        self._batch = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        model = AutoModelForCausalLM.from_pretrained(base)
        model.config.use_cache = False
        self._model: Any = PeftModel.from_pretrained(model, str(first), adapter_name="first").eval()
        self._api, self._repo, self._spool = api, repo, spool
        api.create_repo(repo, private=True)

    def publish(self, folder: Path, number: int) -> dict[str, float]:
        """Copy, probe, commit, tag; the seconds of each part."""
        marks = [time.perf_counter()]
        copy = self._copy(folder, self._spool / f"copy-{number}")
        marks.append(time.perf_counter())
        self._probe(copy, f"probe{number}")
        marks.append(time.perf_counter())
        files = sorted(path for path in copy.iterdir() if path.name != STATE)
        made = self._api.create_commit(
            self._repo,
            [CommitOperationAdd(path.name, path) for path in files],
            commit_message=f"version {number}",
        )
        self._api.create_tag(self._repo, tag=f"hand{number}", revision=made.oid)
        marks.append(time.perf_counter())
        parts = ("copy", "probe", "publish")
        spans = [end - begin for begin, end in pairwise(marks)]
        return {"all": sum(spans), **dict(zip(parts, spans, strict=True))}

    def _copy(self, folder: Path, target: Path) -> Path:
        shutil.copytree(folder, target)
        for path in [*target.iterdir(), target]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return target

    def _probe(self, folder: Path, name: str) -> None:
        """The passes that the worker makes of a warm base: two with the adapter, one without."""
        self._model.load_adapter(str(folder), adapter_name=name)
        self._model.set_adapter(name)
        kept = [self._pass(), self._pass()]
        self._model.delete_adapter(name)
        self._model.set_adapter("first")
        with self._model.disable_adapter():
            kept.append(self._pass())
        if not all(bool(torch.isfinite(values).all()) for values in kept):
            raise RuntimeError("the outputs are not finite")

    def _pass(self) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(**self._batch)["logits"]
        return logits
