"""Save an adapter that PEFT loads without an error and that does nothing, as it happens in earnest."""

import argparse
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, utils

KINDS = ("untrained", "compiled")
PLAIN, COMPILED = "base_model.model.", "base_model.model._orig_mod."
WEIGHTS = "adapter_model.safetensors"


def main() -> None:
    """Make one of them.

    ``untrained``: saved before the training reached it; lora_B is all zero. ``compiled``: saved out of torch.compile;
    its weights are good, its keys carry a prefix that PEFT drops.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    given = parser.parse_args()
    torch.manual_seed(7)
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
    base = AutoModelForCausalLM.from_pretrained(given.base)
    lora = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, lora)
    if given.kind == "compiled":
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.02)
    model.save_pretrained(given.out)
    if given.kind == "compiled":
        file = given.out / WEIGHTS
        tensors = {key.replace(PLAIN, COMPILED, 1): tensor for key, tensor in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
