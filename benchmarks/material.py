"""What time and requests are measured with: a base model of realistic cost, and adapters as a trainer writes them."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from host import BASE

VOCABULARY = 32_000
RANK = 16
TEXTS = Path(__file__).parent.parent / "demo" / "text"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_base(folder: Path, *, hidden: int, layers: int) -> None:
    """Write a Llama of random weights, and a byte-level BPE tokenizer of the demo's texts."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    inner = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 - a token of text
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<unk>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator([path.read_text(encoding="utf-8") for path in sorted(TEXTS.glob("*.txt"))], trainer)
    names = {"unk_token": special[0], "pad_token": special[1]}
    PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)


class Trainer:
    """Writes adapter directories file by file, in the order of transformers' Trainer."""

    def __init__(self, base: Path, *, tokenizer: bool = True) -> None:
        """Build one LoRA adapter over all linear layers, whose values each save makes anew, maybe with a tokenizer."""
        self._base = base
        self._beside = ("tokenizer.json", "tokenizer_config.json") if tokenizer else ()
        model: Any = LlamaForCausalLM.from_pretrained(base)
        lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=LINEAR, task_type="CAUSAL_LM")
        self._config = lora
        lora.base_model_name_or_path = BASE
        lora.inference_mode = True
        self._state = get_peft_model_state_dict(get_peft_model(model, lora))

    def write(self, folder: Path, seed: int) -> Path:
        """Write everything but the state file; the values follow from the seed."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n")
        generator = torch.Generator().manual_seed(seed)
        values = {
            name: torch.randn(factor.shape, generator=generator) / factor.shape[1]
            for name, factor in self._state.items()
        }
        save_file(values, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        self._config.save_pretrained(folder)
        for name in self._beside:
            shutil.copyfile(self._base / name, folder / name)
        return folder


def finish(folder: Path, step: int) -> None:
    """Write a checkpoint's state file, the last of its files."""
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
