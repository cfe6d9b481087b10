"""Asks the loaders of vLLM and SGLang themselves about every good adapter, and records what they say.

`PYTHONPATH=tests python -m corpus.asking --vllm 0.33.0=DIR --sglang 0.5.23=DIR` with the unpacked sources, or without
them where the engines are installed. It writes `tests/core/engine_answers/`, which `tests/core/test_engine_answers.py`
holds against the rules. Only what reads an adapter is run: `corpus.loaders` puts a dummy in place of the rest, so that
neither a GPU nor the engines' own dependencies are needed.
"""

import argparse
import json
import math
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from peft.utils.other import get_pattern_key

from adapterd.core import engines
from adapterd.core.enginetraits import Facts
from adapterd.served import facts_of
from corpus.catalogue import GOODS
from corpus.loaders import Sglang, Vllm
from corpus.workshop import Workshop

ANSWERS = Path(__file__).parents[1] / "core" / "engine_answers"
OTHERWISE = "otherwise: "
_OF_HOST = "base_model_name_or_path"
"""A path of the host that asks."""
_LONGEST = 240


def main() -> int:
    """Make every good adapter, ask each loader about it, write what was said."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("vllm", "sglang"):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="RELEASE=DIR", help="its unpacked source")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="adapterd-asking-") as home:
        shop = Workshop.at(Path(home))
        made = {good.name: (good.make(shop), shop.bases.path(good.base)) for good in GOODS.values()}
        facts = {name: known for name, (folder, base) in made.items() if (known := facts_of(folder, base))}
        ANSWERS.mkdir(exist_ok=True)
        _write("adapters", {name: _recorded(known) for name, known in facts.items()})
        for kind, releases in ((Vllm, args.vllm), (Sglang, args.sglang)):
            for release, _, source in (each.partition("=") for each in releases):
                loader = kind(Path(source))
                answers = {name: _asked(loader, *made[name], facts[name]) for name in facts}
                name = f"{kind.name}-{release}"
                _write(name, {"engine": kind.name, "release": release, "asked": loader.asked, "answers": answers})
                sys.stdout.write(f"{name}: {sum(not said for said in answers.values())} of {len(answers)} taken\n")
    return 0


def _asked(loader: Vllm | Sglang, folder: Path, base: Path, facts: Facts) -> str:
    """Why a loader refuses an adapter with the flags that its verdict names, or does otherwise; empty for neither."""
    flags = {v.engine: v.flags for v in engines.judge(facts)}[loader.name]
    rank = next((int(f.split()[1]) for f in flags if f.startswith("--max-lora-rank")), 16)
    try:
        scaled = loader.load(folder, base, facts, rank)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        text = " ".join(str(error).replace(str(folder), "DIR").split())
        told = re.sub(r"\{([^{}]*)\}", lambda held: "{" + ", ".join(sorted(held[1].split(", "))) + "}", text)
        return f"{type(error).__name__}: {told}"[:_LONGEST]
    wanted = _scaled(facts)
    other = [name for name in wanted.keys() & scaled.keys() if not math.isclose(wanted[name], scaled[name])]
    return f"{OTHERWISE}{len(other)} of {len(wanted)} layers are scaled otherwise than by PEFT" if other else ""


def _scaled(facts: Facts) -> dict[str, float]:
    """The factor by which PEFT scales each layer."""
    config = facts.config
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    found = {}
    for name in facts.modules:
        rank: float = ranks.get(get_pattern_key(ranks, name), config["r"])
        alpha: float = alphas.get(get_pattern_key(alphas, name), config["lora_alpha"])
        found[name] = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return found


def _recorded(facts: Facts) -> dict[str, Any]:
    """What the rules look at, as plain JSON."""
    return {
        "config": {key: _sorted(value) for key, value in facts.config.items() if key != _OF_HOST},
        "peft_type": facts.peft_type,
        "task": facts.task,
        "tensors": {tensor.name: list(tensor.shape) for tensor in facts.tensors},
        "shards": facts.shards,
        "architectures": list(facts.architectures),
        "layers": facts.layers,
        "vocabulary": facts.vocabulary,
        "added_tokens": facts.added_tokens,
    }


def _sorted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Names in a fixed order: PEFT writes sets in hash order."""
    return sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


def _write(name: str, document: Any) -> None:  # noqa: ANN401 - any JSON value
    """One entry a line, so that a change shows what changed."""
    if name == "adapters":
        lines = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in sorted(document.items())]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    (ANSWERS / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
