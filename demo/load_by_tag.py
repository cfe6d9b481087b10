"""What a deployer does: load published versions by tag from the Hub. Here also: compare them with what was trained."""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, utils

from walkthrough import measure, texts


def main() -> None:
    """Work through a plan: versions to load by tag, folders to hold them against, broken folders to load.

    The plan is JSON: ``base``; ``versions``, each with ``repo``, ``tag``, ``text`` and perhaps ``folder``; ``broken``,
    a list of folders.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
    plan = json.loads(given.plan.read_text(encoding="utf-8"))
    base = plan["base"]
    tokenizer = AutoTokenizer.from_pretrained(base)
    report: dict[str, Any] = {"versions": [], "broken": []}
    for version in plan["versions"]:
        _, held_out = texts.split(texts.paragraphs(Path(version["text"])))
        served = PeftModel.from_pretrained(bare(base), version["repo"], revision=version["tag"])
        found = {"repo": version["repo"], "tag": version["tag"], "loss": measure.loss(served, tokenizer, held_out)}
        if folder := version.get("folder"):
            trained = PeftModel.from_pretrained(bare(base), folder)
            here, there = (measure.logits(model, tokenizer, held_out) for model in (trained, served))
            found["equal"] = all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
            found["distance"] = measure.distance(here, there)
            found["effect"] = measure.distance(measure.logits(bare(base), tokenizer, held_out), there)
        report["versions"].append(found)
    _, held_out = texts.split(texts.paragraphs(texts.FOLDER / "island.txt"))
    plain = measure.logits(bare(base), tokenizer, held_out)
    for folder in plan["broken"]:
        answers = measure.logits(PeftModel.from_pretrained(bare(base), folder), tokenizer, held_out)
        equal = all(torch.equal(a, b) for a, b in zip(plain, answers, strict=True))
        report["broken"].append({"folder": folder, "equal": equal})
    measure.write_report(given.report, report)


def bare(base: str) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """The base model, fresh: PEFT changes the one that it is given."""
    return AutoModelForCausalLM.from_pretrained(base)


if __name__ == "__main__":
    main()
