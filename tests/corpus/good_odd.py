"""Good adapters that strict checks could take for broken: odd saves, zeros by right, added tokens, other types."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

from corpus.good import ALL_LINEAR, ATTENTION, BARE, KINDS, LISTENER, LORAS, TASKS, Good, lora
from corpus.workshop import Workshop, move, save, train
from helpers.tiny import silence

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
QUIET = frozenset({"modules_without_effect"})


def edited(
    name: str,
    kind: str,
    base: str,
    config: Callable[[], Any],
    change: Callable[[str, torch.Tensor], None],
    *,
    warns: frozenset[str] = frozenset(),
) -> Good:
    """Describe an adapter in which some parameters ended as `change` leaves them, which training may well do."""

    def make(shop: Workshop) -> Path:
        model = move(shop.wrap(base, config()))
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if parameter.requires_grad:
                    change(key, parameter)
        return save(model, shop.folder(name))

    return Good(name, kind, base, make, warns)


def zero(part: str, rows: slice, columns: slice = slice(None)) -> Callable[[str, torch.Tensor], None]:
    """Set some rows to zero in every parameter with this part in its name."""

    def change(key: str, parameter: torch.Tensor) -> None:
        if part in key:
            parameter[rows, columns] = 0

    return change


def dead_outputs(key: str, parameter: torch.Tensor) -> None:
    """Leave one or two outputs of each layer without any use: other ones in each."""
    if "lora_B" in key:
        torch.manual_seed(sum(key.encode()))
        parameter[torch.randperm(len(parameter))[:2]] = 0


def trained(base: str, targets: Any, **fields: Any) -> Callable[[Workshop], Path]:  # noqa: ANN401 - fields of LoraConfig
    """Make a LoRA that really learnt the first probe texts."""

    def make(shop: Workshop) -> Path:
        model = train(shop.wrap(base, lora(target_modules=targets, **fields)()), shop.bases.tokenizer, steps=25)
        return save(model, shop.folder(f"trained {base} {sorted(fields)}"))

    return make


def native(base: str, kind: Any, targets: list[str], **options: Any) -> Callable[[Workshop], Path]:  # noqa: ANN401 - a class of transformers
    """Save an adapter as transformers itself does: the config first, and no task type in it."""

    def make(shop: Workshop) -> Path:
        model = shop.bases.load(base, kind, **options)
        torch.manual_seed(3)
        model.add_adapter(peft.LoraConfig(r=4, target_modules=targets))
        for key, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in key)
        return save(move(model), shop.folder(f"native {base} {kind.__name__}"))

    return make


def checkpoint(shop: Workshop) -> Path:
    """Put a checkpoint of a Trainer beside its optimizer and its state."""
    folder = save(move(shop.wrap("llama", lora()()), 1e-6), shop.folder("run") / "checkpoint-1")
    torch.save({"state": {}}, folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 1, "log_history": []}))
    return folder


def named(which: str) -> Callable[[Workshop], Path]:
    """Save two adapters of one model, and give one of them: the default lies around the other."""

    def make(shop: Workshop) -> Path:
        model = shop.wrap("llama", lora()())
        with silence():
            model.add_adapter("second", lora(r=2, target_modules=["o_proj"])())
            model.set_adapter("second")
            move(model)
            model.set_adapter("default")
        return save(move(model), shop.folder(f"two for {which or 'default'}")) / which

    return make


def rewritten(config: Callable[[], Any], change: Callable[[Path], None], name: str) -> Callable[[Workshop], Path]:
    """Save a LoRA, then let another program do something harmless to its files."""

    def make(shop: Workshop) -> Path:
        folder = save(move(shop.wrap("llama", config())), shop.folder(name))
        change(folder)
        return folder

    return make


def cast(kind: torch.dtype) -> Callable[[Path], None]:
    """Save the weights in another type."""

    def change(folder: Path) -> None:
        tensors = {key: tensor.to(kind) for key, tensor in load_file(folder / WEIGHTS).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return change


def of_an_older_peft(folder: Path) -> None:
    """Leave the few keys that PEFT wrote years ago."""
    kept = {"base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights", "lora_alpha"}
    kept |= {"lora_dropout", "modules_to_save", "peft_type", "r", "target_modules", "task_type"}
    fields = {key: value for key, value in json.loads((folder / CONFIG).read_text()).items() if key in kept}
    (folder / CONFIG).write_text(json.dumps(fields))


def of_a_newer_peft(folder: Path) -> None:
    """Add keys that this PEFT does not know, and that say nothing."""
    fields = json.loads((folder / CONFIG).read_text()) | {"tomorrow_config": None, "use_tomorrow": False}
    (folder / CONFIG).write_text(json.dumps(fields))


def with_pickle(folder: Path) -> None:
    """Leave an older save beside the new one."""
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")


def with_company(folder: Path) -> None:
    """Leave a whole model, a trainer's state and a secret beside it, which are never copied."""
    save_file({"model.norm.weight": torch.ones(32)}, folder / "model.safetensors")
    (folder / ".env").write_text("KEY=value\n")
    for name in ("training_args.bin", "pytorch_model_fsdp.bin"):
        (folder / name).write_bytes(b"no pickle")
    (folder / "global_step10").mkdir()


def resized(rows: int, *, padded: bool = False, **fields: Any) -> Callable[[Workshop], Path]:  # noqa: ANN401 - fields of LoraConfig
    """Add two tokens, resize the embeddings, train, and save the tokenizer beside; `padded` rows stay zero."""

    def make(shop: Workshop) -> Path:
        tokenizer = shop.bases.tokenizer
        model = shop.bases.load("llama")
        model.resize_token_embeddings(rows, mean_resizing=False)
        if padded:
            with torch.no_grad():
                model.get_input_embeddings().weight[len(tokenizer) + 2 :] = 0
                model.get_output_embeddings().weight[len(tokenizer) + 2 :] = 0
        with silence():
            model = move(peft.get_peft_model(model, lora(**fields)()))
        folder = save(model, shop.folder(f"resized {rows} {sorted(fields)}"))
        add_tokens(tokenizer, folder, ["<|call|>", "<|end|>"])
        return folder

    return make


def add_tokens(tokenizer: Any, folder: Path, tokens: list[str]) -> None:  # noqa: ANN401 - a tokenizer
    """Save the tokenizer with more tokens."""
    tokenizer.save_pretrained(folder)
    more = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    more.add_tokens(tokens)
    more.save_pretrained(folder)


def as_lora(kind: str) -> Callable[[Workshop], Path]:
    """Train PiSSA or OLoRA, and save it as a LoRA of twice the rank for the base as it was."""

    def make(shop: Workshop) -> Path:
        model = shop.wrap("llama", lora(init_lora_weights=kind, r=4)())
        start = shop.folder(f"{kind} start")
        model.peft_config["default"].init_lora_weights = True
        save(model, start)
        model.peft_config["default"].init_lora_weights = kind
        return save(move(model, 0.02), shop.folder(kind), path_initial_model_for_weight_conversion=str(start))

    return make


def in_bfloat16(shop: Workshop) -> Path:
    """Train and save in bfloat16, base and all."""
    model = shop.wrap("llama", lora()(), dtype=torch.bfloat16)
    return save(move(model.to(torch.bfloat16)), shop.folder("all bfloat16"))


HUGE = lora(r=64, target_modules=["up_proj", "down_proj"])
EXPERTS = lora(target_modules=[], target_parameters=["experts.gate_up_proj", "experts.down_proj"])

ODD = (
    Good("trained LoRA", "LORA", "llama", trained("llama", ALL_LINEAR, r=16, lora_alpha=16)),
    Good("trained LoRA on Mistral", "LORA", "mistral", trained("mistral", ALL_LINEAR, r=16, lora_alpha=16)),
    Good("trained LoRA on GPT-2", "LORA", "gpt2", trained("gpt2", ["c_attn", "c_fc"], fan_in_fan_out=True)),
    Good("trained rsLoRA", "LORA", "llama", trained("llama", ALL_LINEAR, r=16, use_rslora=True)),
    Good("native save of Llama", "LORA", "llama", native("llama", transformers.AutoModelForCausalLM, ATTENTION)),
    Good("native save of Whisper", "LORA", "whisper", native("whisper", LISTENER, ["q_proj", "v_proj"])),
    Good("native save of BERT", "LORA", "bert", native("bert", BARE, ["query", "value"])),
    Good("early checkpoint of a Trainer", "LORA", "llama", checkpoint),
    Good("default of two named adapters", "LORA", "llama", named("")),
    Good("second of two named adapters", "LORA", "llama", named("second")),
    Good("saved in float16", "LORA", "llama", rewritten(lora(), cast(torch.float16), "float16")),
    Good("saved in bfloat16", "LORA", "llama", rewritten(lora(), cast(torch.bfloat16), "bfloat16")),
    Good("trained in bfloat16", "LORA", "llama", in_bfloat16),
    Good("config of an older PEFT", "LORA", "llama", rewritten(lora(), of_an_older_peft, "older")),
    Good("config of a newer PEFT", "LORA", "llama", rewritten(lora(), of_a_newer_peft, "newer")),
    Good("pickle beside good weights", "LORA", "llama", rewritten(lora(), with_pickle, "pickle beside")),
    Good("a whole model and a secret beside it", "LORA", "llama", rewritten(lora(), with_company, "company")),
    Good("added tokens", "LORA", "llama", resized(322)),
    Good(
        "added tokens and whole embeddings", "LORA", "llama", resized(322, modules_to_save=["embed_tokens", "lm_head"])
    ),
    Good("added tokens and padding rows of zeros", "LORA", "llama", resized(448, padded=True)),
    Good("PiSSA saved as LoRA", "LORA", "llama", as_lora("pissa")),
    Good("OLoRA saved as LoRA", "LORA", "llama", as_lora("olora")),
    edited(
        "untrained layers",
        "LORA",
        "llama",
        lora(target_modules=ATTENTION),
        zero("layers.1.self_attn.k_proj.lora_B", slice(None)),
        warns=QUIET,
    ),
    edited(
        "an untrained layer of whole pages",
        "LORA",
        "llama",
        HUGE,
        zero("layers.1.mlp.up_proj.lora_B", slice(None)),
        warns=QUIET,
    ),
    edited("a few dead outputs", "LORA", "llama", lora(target_modules=ALL_LINEAR), dead_outputs),
    edited(
        "a dead key and value head",
        "LORA",
        "llama",
        lora(target_modules=ATTENTION),
        zero("k_proj.lora_B", slice(8, 16)),
    ),
    edited(
        "fused attention without its keys",
        "LORA",
        "gpt2",
        lora(target_modules=["c_attn"], fan_in_fan_out=True),
        zero("lora_B", slice(32, 64)),
    ),
    edited(
        "embedding factors of unseen tokens",
        "LORA",
        "llama",
        lora(target_modules=["embed_tokens", "v_proj"], r=8),
        zero("lora_embedding_A", slice(None), slice(120, 320)),
    ),
    edited("an expert that is never asked", "LORA", "mixtral", EXPERTS, zero("lora_B", slice(None), slice(1, None, 4))),
    edited(
        "pruned AdaLoRA",
        "ADALORA",
        "llama",
        lambda: peft.AdaLoraConfig(
            task_type="CAUSAL_LM", target_modules=["q_proj"], init_r=6, target_r=4, total_step=10
        ),
        zero("lora_E", slice(2, 5)),
    ),
    edited(
        "sparse IA3",
        "IA3",
        "llama",
        lambda: peft.IA3Config(task_type="CAUSAL_LM", target_modules=["v_proj"], feedforward_modules=[]),
        zero("ia3_l", slice(3, 6)),
    ),
)

GOOD = (*LORAS, *KINDS, *TASKS, *ODD)
"""All of them."""
