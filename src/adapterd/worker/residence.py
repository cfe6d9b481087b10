"""Where the resident base lives: one at a time, chosen by what the adapter needs and the devices allow."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from adapterd.ports import ProbeRequest
from adapterd.worker.architecture import LABELLED, plain_config
from adapterd.worker.base import BaseKey, ResidentBase, load
from adapterd.worker.case import Case
from adapterd.worker.devices import choose, needed, spread
from adapterd.worker.probes import names

SPREAD = "spread"
"""Stands for the device of a base that lies on several."""


@dataclass
class Residence:
    """Keeps one base model warm, and gives its memory back when another is wanted.

    Attributes:
        tell: called with what is being done.
    """

    tell: Callable[[str], None]
    _base: ResidentBase | None = None

    def key(self, case: Case) -> BaseKey:
        """Choose a device for the base that this adapter needs; a base that is there and is another is dropped.

        Raises `worker.room.BusyError` and its kin, as `choose` and `spread` do.
        """
        request = case.request
        if self._base is not None and self._base.key != _key(case, self._base.key.device, self._base.key.most):
            self.drop()
        kept = self._base.key if self._base is not None else None
        size = needed(request.base, dtype_of(request))
        if request.base.device_map:
            if kept is not None:
                return kept
            return _key(case, SPREAD, spread(request.devices, size, request.base.max_memory))
        resident = kept.device if kept is not None else None
        device = choose(request.devices, size, request.waited, request.max_wait, resident=resident)
        return _key(case, device)

    def base(self, key: BaseKey, case: Case) -> ResidentBase:
        """Give the base, warm if it is the same as before, and with as many embeddings as the adapter brings."""
        if self._base is None or self._base.key != key:
            self.drop()
            self.tell("loading_base")
            self._base = load(key)
        rows = names.embedding_rows(case.held)
        if rows is not None and rows != self._base.rows:
            self.drop()
            self._base = load(replace(key, rows=rows))
        return self._base

    def drop(self) -> None:
        """Give the base's memory back."""
        self._base = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def dtype_of(request: ProbeRequest) -> str:
    """The type that a base is loaded in: the request's, else the base's own setting."""
    return request.dtype if request.dtype != "auto" else request.base.dtype


def _key(case: Case, device: str, most: dict[int | str, int] | None = None) -> BaseKey:
    """Say which base this adapter needs."""
    base, loader = case.request.base, case.loader
    if loader is None:
        raise RuntimeError("no class was chosen")
    labels = names.label_count(case.held) if loader.task in LABELLED else None
    rows, known = names.embedding_rows(case.held), _vocabulary(Path(base.path))
    wanted = rows if known is not None and rows != known else None
    return BaseKey(base, dtype_of(case.request), device, loader, labels, wanted, most)


def _vocabulary(folder: Path) -> int | None:
    """How many embeddings the base's config names; None where it names none."""
    fields = plain_config(folder)
    inner = fields.get("text_config")
    size = fields.get("vocab_size") or (inner.get("vocab_size") if isinstance(inner, dict) else None)
    return size if isinstance(size, int) else None
