"""What about an adapter matters to a serving engine: traits, each with a detail for the reader. Pure.

A trait is a name that the rules of `core.enginerules` ask for. It is found in the config and in the names and shapes of
the tensors, never in their values.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from adapterd.core import enginedata as data
from adapterd.core.adapter import Tensor

PROMPTS = frozenset({"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "CARTRIDGE"})
_NOT_INJECTED = PROMPTS | {"ADAPTION_PROMPT", "SHADOW"}
_HEADS = ("score", "classifier")
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Values of `init_lora_weights` that leave the base model as it is."""
_TGI_LAYERS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"})
_FACTOR = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")
_LAYER = re.compile(r"\blayers\.([0-9]+)\.")
_LONGEST = 120
"""Characters of a detail: a config may hold a pattern of any length."""
_NOT_WHOLE = re.compile(r"\.lora_|\.token_adapter\.|trainable_tokens|\.bias$|\.base_layer\.weight$")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at.

    Attributes:
        config: the fields of ``adapter_config.json``.
        tensors: of all weights files.
        shards: how many weights files there are.
        architectures: of the base model, as its config names them; empty where it is not at hand.
        layers: hidden layers of the base model, 0 where that is not known.
        vocabulary: rows of the base model's embeddings, 0 where that is not known.
        added_tokens: entries of ``added_tokens.json`` past the base model's own vocabulary.
    """

    config: Mapping[str, Any]
    peft_type: str
    task: str
    tensors: Sequence[Tensor]
    shards: int = 1
    architectures: tuple[str, ...] = ()
    layers: int = 0
    vocabulary: int = 0
    added_tokens: int = 0

    @property
    def modules(self) -> dict[str, int]:
        """Each layer that has LoRA factors, without PEFT's prefix, and the rank of its first factor."""
        found = {}
        for tensor in self.tensors:
            match = _FACTOR.fullmatch(tensor.name)
            if match and match[2] == "A" and tensor.shape:
                found[match[1].removeprefix("base_model.model.")] = tensor.shape[0]
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """The last parts of the names of those layers, as in ``q_proj``."""
        return tuple(sorted({name.rsplit(".", 1)[-1] for name in self.modules}))

    @property
    def rank(self) -> int:
        """The largest rank that a server must have room for."""
        named = self.config.get("r")
        return max([*self.modules.values(), named if isinstance(named, int) else 0])

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of tensors that replace one of the base model's, as for `modules_to_save`; no biases.

        Embeddings that PEFT saves beside their LoRA are none: unless they were resized, they are the base model's own.
        """
        names = (t.name for t in self.tensors if not _NOT_WHOLE.search(t.name))
        return tuple(sorted(name.removeprefix("base_model.model.").removesuffix(".weight") for name in names))


def traits(facts: Facts) -> dict[str, str]:
    """The traits that an adapter has, each with its detail."""
    found = {}
    for name, detail in _TRAITS.items():
        if told := detail(facts):
            found[name] = shorten(told, _LONGEST, placeholder=" ...") or name
    if "not_lora" in found:  # the rest is said of LoRA's own tensors and keys
        return {name: told for name, told in found.items() if name in _OF_EVERY_KIND}
    return found


def _given(key: str, words: str = "") -> Callable[[Facts], str]:
    """A trait that a key of the config states by having a value."""

    def told(facts: Facts) -> str:
        return (words or key) if facts.config.get(key) else ""

    return told


def _patterns(facts: Facts) -> str:
    return ", ".join(key for key in ("rank_pattern", "alpha_pattern") if facts.config.get(key))


def _ranks(facts: Facts) -> str:
    """Ranks other than `r`."""
    other = sorted(set(facts.modules.values()) - {facts.config.get("r")})
    return ", ".join(map(str, other)) if not facts.config.get("target_parameters") else ""


def _bias(facts: Facts) -> str:
    bias = facts.config.get("bias", "none")
    return str(bias) if bias not in ("none", None) else ""


def _init(facts: Facts) -> str:
    """An initialisation that moves the base model's own weights when PEFT loads the adapter."""
    init = facts.config.get("init_lora_weights")
    return init if isinstance(init, str) and init.lower() not in PLAIN_INITS else ""


def _named(names: Sequence[str]) -> str:
    """At most three names, and how many there are beside them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - as the docstring says
    return ", ".join(names[:3]) + more


def _is_head(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in _HEADS


def _saved(facts: Facts) -> str:
    return _named([name for name in facts.whole if not _is_head(name)])


def _regex(facts: Facts) -> str:
    """A pattern in place of a list of layers; PEFT's two words for all of them are none."""
    targets = facts.config.get("target_modules")
    return targets if isinstance(targets, str) and targets not in ("all", "all-linear") else ""


def _unnumbered(facts: Facts) -> str:
    """A layer of an adapter none of whose names has the number of a layer where SGLang looks for it."""
    return "" if any(_LAYER.search(name) for name in facts.modules) else next(iter(facts.modules), "")


def _resized(facts: Facts) -> str:
    """Rows of LoRA's embeddings, where they are not as many as the base model has."""
    rows = {t.shape[1] for t in facts.tensors if "lora_embedding_A" in t.name and len(t.shape) == 2}  # noqa: PLR2004 - a matrix
    return ", ".join(map(str, sorted(rows - {facts.vocabulary}))) if facts.vocabulary else ""


def _fused(facts: Facts) -> str:
    """Parts of what SGLang fuses whose other part it takes for granted."""
    kinds = set(facts.kinds)
    cases = (
        ("q_proj" in kinds and "v_proj" not in kinds, "q_proj without v_proj"),
        (bool({"k_proj", "v_proj"} & kinds) and "q_proj" not in kinds, "k_proj or v_proj without q_proj"),
        ("up_proj" in kinds and "gate_proj" not in kinds, "up_proj without gate_proj"),
    )
    return next((words for holds, words in cases if holds), "")


def _gaps(facts: Facts) -> tuple[set[str], set[str]]:
    """Kinds of layers that are not adapted in every one of the base's layers, and all kinds."""
    places: dict[str, set[str]] = {}
    for name in facts.modules:
        if match := _LAYER.search(name):
            places.setdefault(name.rsplit(".", 1)[-1], set()).add(match[1])
    count = facts.layers or max(map(len, places.values()), default=0)
    return {kind for kind, at in places.items() if len(at) < count}, set(places)


def _some_gaps(facts: Facts) -> str:
    gaps, kinds = _gaps(facts)
    return ", ".join(sorted(gaps)) if gaps != kinds else ""


def _only_gaps(facts: Facts) -> str:
    gaps, kinds = _gaps(facts)
    return ", ".join(sorted(gaps)) if gaps == kinds else ""


def _wrapped(facts: Facts) -> str:
    """A text model's names for a base whose language model lies within another model."""
    nested = any("language_model." in name for name in facts.modules)
    return next((a for a in facts.architectures if a in data.VLLM_WRAPPED), "") if not nested else ""


def _unknown(facts: Facts) -> str:
    known = data.VLLM_LORA | data.VLLM_NO_LORA
    return ", ".join(facts.architectures) if not known.intersection(facts.architectures) else ""


_TRAITS: dict[str, Callable[[Facts], str]] = {
    "not_lora": lambda facts: facts.peft_type if facts.peft_type != "LORA" else "",
    "no_weights_of_its_own": lambda facts: facts.peft_type if facts.peft_type in _NOT_INJECTED else "",
    "shared_state": lambda facts: facts.peft_type if facts.peft_type in data.SHARED_STATE else "",
    "dora": _given("use_dora"),
    "rslora": _given("use_rslora"),
    "patterns": _patterns,
    "ranks": _ranks,
    "alpha_pattern": _given("alpha_pattern"),
    "huge_rank": lambda facts: str(facts.rank) if facts.rank > 512 else "",  # noqa: PLR2004 - vLLM's largest
    "bias": _bias,
    "lora_bias": _given("lora_bias"),
    "moved_base": _init,
    "alora": _given("alora_invocation_tokens"),
    "replication": _given("layer_replication"),
    "block_diagonal": _given("use_bdlora"),
    "qalora": _given("use_qalora"),
    "parameters": _given("target_parameters"),
    "tokens": _given("trainable_token_indices"),
    "added_tokens": lambda facts: str(facts.added_tokens) if facts.added_tokens else "",
    "regex": _regex,
    "head": lambda facts: _named([name for name in facts.whole if _is_head(name)]),
    "saved": _saved,
    "saved_inside": lambda facts: _named([n for n in facts.whole if _LAYER.search(n)]),
    "saved_outside": lambda facts: _named([n for n in facts.whole if not _LAYER.search(n)]),
    "embedding_factors": lambda facts: "yes" if any("lora_embedding_" in t.name for t in facts.tensors) else "",
    "resized": _resized,
    "fused": _fused,
    "unnumbered": _unnumbered,
    "some_gaps": _some_gaps,
    "only_gaps": _only_gaps,
    "other_layers": lambda facts: _named(sorted(set(facts.kinds) - _TGI_LAYERS)),
    "shards": lambda facts: str(facts.shards) if facts.shards > 1 else "",
    "no_text": lambda facts: facts.task if facts.task not in ("", "CAUSAL_LM") else "",
    "vllm_refuses": lambda facts: ", ".join(a for a in facts.architectures if a in data.VLLM_NO_LORA),
    "vllm_unknown": _unknown,
    "wrapped": _wrapped,
}
_OF_EVERY_KIND = ("not_lora", "no_weights_of_its_own", "shared_state", "added_tokens", "shards", "no_text")
