"""Faults that only something recorded can tell: another base of the same shapes, another scale, another order."""

from functools import partial

from adapterd.core.verdict import Limits
from corpus.changes import Change, exchanged, scaled, settings, tensors
from corpus.faults import FINGERPRINT, LOSS, Faulty, faulty

_scale = partial(faulty, "wrong scaling or order")
_limit = partial(faulty, "against the limits")
_base = partial(faulty, "the wrong base, same shapes")
UNLIKE, DIFFERS = "loss_unlike_expected", "base_differs"


def _told_or_not(name: str, source: str, change: Change) -> tuple[Faulty, Faulty]:
    """Describe one change twice: where the trainer's loss was recorded, and where nothing was."""
    return (
        _scale(f"{name}, loss recorded", source, UNLIKE, change, recorded=LOSS),
        _scale(f"{name}, nothing recorded", source, "", change),
    )


SCALES = (
    *_told_or_not("alpha eightfold", "trained LoRA", settings(lora_alpha=128)),
    *_told_or_not("alpha an eighth", "trained LoRA on Mistral", settings(lora_alpha=2)),
    *_told_or_not("rsLoRA flag on", "trained LoRA", settings(use_rslora=True)),
    *_told_or_not("rsLoRA flag off", "trained rsLoRA", settings(use_rslora=False)),
    *_told_or_not("alpha pattern", "trained LoRA", settings(alpha_pattern={"(gate|up|down)_proj": 128})),
    *_told_or_not("layers exchanged", "trained LoRA", exchanged("layers.0", "layers.1")),
    *_told_or_not("gate and up exchanged", "trained LoRA", exchanged("gate_proj", "up_proj")),
    *_told_or_not("sign", "trained LoRA on GPT-2", tensors("lora_B", scaled(-1.0))),
    *_told_or_not("alpha eightfold on GPT-2", "trained LoRA on GPT-2", settings(lora_alpha=64)),
)

OTHERS = tuple(
    _base(f"{name}, {told or 'nothing'} recorded", source, code, base=base, recorded=told)
    for name, source, base in (
        ("other weights", "trained LoRA", "llama with other weights"),
        ("Llama for Mistral", "trained LoRA on Mistral", "llama"),
        ("Mistral for Llama", "trained LoRA", "mistral"),
    )
    for told, code in ((FINGERPRINT, DIFFERS), (LOSS, UNLIKE), ("", ""))
)
BASES = tuple(
    _base(
        f"other weights for {kind}, fingerprint recorded",
        kind,
        DIFFERS,
        base="llama with other weights",
        recorded=FINGERPRINT,
    )
    for kind in ("prompt tuning", "IA3", "OFT", "PiSSA", "LoRA on some layers")
)

LIMITS = (
    _limit("less effect than asked for", "early checkpoint of a Trainer", "no_effect", limits=Limits(min_effect=1e-3)),
    _limit("more effect than allowed", "LoRA", "effect_too_large", limits=Limits(max_effect=0.1)),
    _limit("a higher loss than allowed", "trained LoRA", "loss_too_high", limits=Limits(max_loss=0.5)),
    _limit("a higher loss than allowed on T5", "SEQ_2_SEQ_LM on T5", "loss_too_high", limits=Limits(max_loss=0.5)),
    _limit("a rise of the loss", "trained LoRA on GPT-2", "loss_too_high", tensors("lora_B", scaled(-1.0)), limits=Limits(max_loss_increase=0.05)),
)  # fmt: skip

FAULTS = (*SCALES, *OTHERS, *BASES, *LIMITS)
