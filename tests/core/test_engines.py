"""Serving engines: what each makes of an adapter, by its config and the names and shapes of its tensors."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from adapterd.core import enginedata, enginerules, engines
from adapterd.core.adapter import Tensor
from adapterd.core.enginetraits import Facts, traits

LLAMA = ("LlamaForCausalLM",)


def tensors(*names: str, rank: int = 8) -> tuple[Tensor, ...]:
    """Tensors of these names, LoRA's A of this rank."""
    return tuple(Tensor(f"base_model.model.{n}", "F32", (rank, 16), 0, 0) for n in names)


def lora(
    kinds: Iterable[str] = ("q_proj", "v_proj"), layers: Iterable[int] = (0, 1), rank: int = 8
) -> tuple[Tensor, ...]:
    """LoRA factors of these kinds in these layers."""
    names = (f"model.layers.{n}.self_attn.{kind}.lora_{half}.weight" for n in layers for kind in kinds for half in "AB")
    return tensors(*names, rank=rank)


def facts(*more: Tensor, of: tuple[Tensor, ...] | None = None, base: tuple[str, ...] = LLAMA, **config: Any) -> Facts:  # noqa: ANN401 - any JSON value
    """What is known of a plain LoRA adapter of a Llama, but for what is given."""
    fields = {
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
    } | config
    task, rows = config.get("task_type", "CAUSAL_LM"), config.get("vocabulary", 16)
    found = (*(lora() if of is None else of), *more)
    return Facts(
        fields, str(fields.get("peft_type", "LORA")), task, found, architectures=base, layers=2, vocabulary=rows
    )


def verdicts(given: Facts) -> dict[str, engines.EngineVerdict]:
    """The verdicts by engine."""
    return {v.engine: v for v in engines.judge(given)}


def said(given: Facts) -> dict[str, str]:
    """Each engine's `takes` and `effect` in one word; only those that do not serve all of it."""
    found = {name: f"{v.takes} {v.effect}" for name, v in verdicts(given).items()}
    return {name: words for name, words in found.items() if words != "yes full"}


NO, PARTIAL, NONE, UNKNOWN = "no none", "yes partial", "yes none", "unknown unknown"
EVERY_OTHER = {"vllm": NO, "sglang": NO, "lorax": NO}

CASES: list[tuple[str, Facts, dict[str, str]]] = [
    ("plain LoRA", facts(), {}),
    ("rank pattern as r", facts(rank_pattern={}, alpha_pattern={}), {}),
    ("DoRA", facts(use_dora=True), {"transformers": PARTIAL, "vllm": NO, "sglang": NO, "lorax": PARTIAL}),
    ("rsLoRA", facts(use_rslora=True), {"sglang": PARTIAL}),
    ("alpha pattern", facts(alpha_pattern={"q_proj": 3}), {"sglang": PARTIAL, "lorax": PARTIAL}),
    ("ranks", facts(*lora(["o_proj"], rank=4)), {"sglang": NO, "lorax": "unknown partial"}),
    ("rank 1024", facts(of=lora(rank=1024), r=1024), {"vllm": NO}),
    ("bias", facts(bias="all"), {"vllm": NO, "sglang": UNKNOWN, "lorax": PARTIAL}),
    ("lora_bias", facts(lora_bias=True), {"vllm": NO, "sglang": UNKNOWN, "lorax": PARTIAL}),
    ("PiSSA", facts(init_lora_weights="pissa_niter_4"), {"vllm": NO, "sglang": PARTIAL, "lorax": PARTIAL}),
    ("OLoRA", facts(init_lora_weights="olora"), {"vllm": NO, "sglang": PARTIAL, "lorax": PARTIAL}),
    ("EVA", facts(init_lora_weights="eva"), {}),
    ("no init", facts(init_lora_weights=False), {}),
    (
        "aLoRA",
        facts(alora_invocation_tokens=[5]),
        {"transformers": NONE, "vllm": NO, "sglang": PARTIAL, "lorax": PARTIAL},
    ),
    ("layer replication", facts(layer_replication=[[0, 2], [1, 2]]), {"vllm": NO, "sglang": NO, "lorax": UNKNOWN}),
    ("BD-LoRA", facts(use_bdlora={"nblocks": 2}), {"vllm": NO, "sglang": UNKNOWN, "lorax": UNKNOWN}),
    ("QALoRA", facts(use_qalora=True), {"vllm": NO, "sglang": UNKNOWN, "lorax": UNKNOWN}),
    ("target parameters", facts(target_parameters=["experts.w"]), dict.fromkeys(("vllm", "sglang", "lorax"), UNKNOWN)),
    ("trained tokens", facts(trainable_token_indices=[3]), {"vllm": NO, "sglang": PARTIAL, "lorax": PARTIAL}),
    ("head saved", facts(*tensors("lm_head.weight")), {"vllm": NO, "sglang": PARTIAL, "lorax": PARTIAL}),
    ("norm saved", facts(*tensors("model.layers.0.norm.weight")), {"vllm": NO, "sglang": NO, "lorax": PARTIAL}),
    (
        "LoRA of embeddings, with the base's own beside it",
        facts(*tensors("model.embed_tokens.lora_embedding_A", "model.embed_tokens.base_layer.weight")),
        {"lorax": "unknown partial"},
    ),
    (
        "LoRA of resized embeddings",
        facts(*tensors("model.embed_tokens.lora_embedding_A"), vocabulary=12),
        {"vllm": NO, "sglang": UNKNOWN, "lorax": "unknown partial"},
    ),
    (
        "classification head",
        facts(*tensors("score.weight"), task_type="SEQ_CLS"),
        {"vllm": UNKNOWN, "sglang": "unknown partial", "lorax": "unknown partial"},
    ),
    ("pattern of layers", facts(target_modules=r".*\.q_proj"), {"sglang": NO}),
    ("all linear layers", facts(target_modules="all-linear"), {}),
    ("q without v", facts(of=lora(["q_proj"])), {"sglang": NO}),
    ("v without q", facts(of=lora(["v_proj"])), {"sglang": NO}),
    ("up without gate", facts(of=lora(["up_proj", "down_proj"])), {"sglang": NO}),
    ("one layer of two", facts(of=lora(layers=[1])), {"lorax": NONE}),
    ("one kind in one layer", facts(*lora(["o_proj"], layers=[0])), {"lorax": PARTIAL}),
    (
        "GPT-2",
        facts(of=tensors("transformer.h.0.attn.c_attn.lora_A.weight"), base=("GPT2LMHeadModel",)),
        {"vllm": NO, "sglang": "unknown none", "lorax": UNKNOWN},
    ),
    ("a class vLLM has not", facts(base=("T5ForConditionalGeneration",)), {"vllm": UNKNOWN}),
    ("a base not at hand", facts(base=()), {}),
    ("text in a wrapper", facts(base=("Gemma3ForConditionalGeneration",)), {"vllm": NONE}),
    (
        "a wrapper's own names",
        facts(
            of=tensors("model.language_model.layers.0.q_proj.lora_A.weight"), base=("Gemma3ForConditionalGeneration",)
        ),
        {"sglang": NO, "lorax": NONE},
    ),
    ("IA3", facts(peft_type="IA3"), EVERY_OTHER),
    ("AdaLoRA", facts(peft_type="ADALORA"), EVERY_OTHER),
    ("VeRA", facts(peft_type="VERA"), {"transformers": NO, **EVERY_OTHER}),
    ("prompt tuning", facts(peft_type="PROMPT_TUNING"), {"transformers": NO, **EVERY_OTHER}),
    ("adaption prompt", facts(peft_type="ADAPTION_PROMPT"), {"transformers": NO, **EVERY_OTHER}),
    ("a kind of the future", facts(peft_type="NEW"), {"peft": UNKNOWN, **EVERY_OTHER}),
]


@pytest.mark.parametrize(("given", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_engine_takes_it_all_unless_a_rule_says_otherwise(given: Facts, expected: dict[str, str]) -> None:
    """What each trait does to each engine; engines that are not named serve the adapter as it was trained."""
    assert said(given) == expected


def test_shards_and_added_tokens_are_seen_in_the_files() -> None:
    """There is one weights file for vLLM, and no token past the base's vocabulary for SGLang."""
    plain = facts()
    sharded = Facts(plain.config, "LORA", "CAUSAL_LM", plain.tensors, shards=2, architectures=LLAMA)
    added = Facts(plain.config, "LORA", "CAUSAL_LM", plain.tensors, architectures=LLAMA, added_tokens=3)
    assert said(sharded) == {"vllm": NO}
    assert said(added) == {"sglang": NO}


def test_every_rule_has_a_case() -> None:
    """Each row of the table is reached by a case above, names a trait that exists, and tells it to the reader."""
    reached = {trait for _, given, _ in CASES for trait in traits(given)} | {"shards", "added_tokens"}
    assert {rule.trait for rule in enginerules.RULES} <= reached
    assert {rule.engine for rule in enginerules.RULES} <= {engine.name for engine in enginerules.ENGINES}
    assert all(rule.source and rule.text for rule in enginerules.RULES)


@pytest.mark.parametrize(
    ("rank", "flag"), [(4, None), (16, None), (17, "32"), (64, "64"), (200, "256"), (300, "320"), (512, "512")]
)
def test_vllm_is_given_room_for_the_rank(rank: int, flag: str | None) -> None:
    """`--max-lora-rank` is the smallest that vLLM has for it, and is left out where the default is enough."""
    flags = verdicts(facts(of=lora(rank=rank), r=rank))["vllm"].flags
    assert flags == ("--enable-lora", *((f"--max-lora-rank {flag}",) if flag else ()))


def test_the_largest_rank_of_all_tensors_counts() -> None:
    """A rank pattern may ask for more room than `r`."""
    assert (
        "--max-lora-rank 64" in verdicts(facts(*lora(["o_proj"], rank=64), rank_pattern={"o_proj": 64}))["vllm"].flags
    )


def test_sglang_is_told_rank_and_layers() -> None:
    """SGLang wants both flags where adapters are loaded while it runs."""
    assert verdicts(facts())["sglang"].flags == (
        "--enable-lora",
        "--max-lora-rank 8",
        "--lora-target-modules q_proj v_proj",
    )


def test_who_refuses_needs_no_flags() -> None:
    """No flags for an engine that refuses, and only its reasons for that."""
    refusing = verdicts(facts(use_dora=True, rank_pattern={"q_proj": 8}))["vllm"]
    assert (refusing.flags, [text for text, _ in refusing.reasons]) == ((), ["it refuses DoRA"])


def test_a_verdict_says_for_which_releases_it_holds() -> None:
    """It holds for the release that was read; what older ones did otherwise is said beside it."""
    patterns = verdicts(facts(rank_pattern={"q_proj": 8}))["vllm"]
    assert (patterns.versions, patterns.effect) == (">=0.33,<0.34", "full")
    assert [text for text, _ in patterns.reasons] == ["rank_pattern: before 0.32 it is left out without a word"]


@pytest.mark.parametrize(
    ("config", "release"),
    [
        ({}, "0.3"),
        ({"use_rslora": True}, "0.8"),
        ({"use_dora": True}, "0.9"),
        ({"init_lora_weights": "pissa"}, "0.11"),
        ({"use_dora": False, "layer_replication": None}, "0.10"),
        ({"use_dora": True, "use_qalora": False, "qalora_group_size": 16}, "0.14"),
        ({"target_parameters": ["w"], "use_bdlora": None}, "0.17"),
        ({"peft_type": "SHIRA"}, "0.17"),
    ],
)
def test_peft_is_needed_from_the_release_that_knows_what_is_used(config: dict[str, Any], release: str) -> None:
    """Keys in use must be known; of the others, only releases before 0.14 mind."""
    assert verdicts(facts(**config))["peft"].versions == f">={release},<0.22"


def test_an_alarm_is_raised_only_for_what_is_silent() -> None:
    """That it refuses DoRA, vLLM says by itself; transformers and LoRAX do not say what they leave out."""
    (found,) = engines.findings(engines.judge(facts(use_dora=True)))
    assert found.code == "engine_warning"
    assert [name in found.message for name in ("transformers", "lorax", "vllm", "sglang")] == [True, True, False, False]
    assert engines.findings(engines.judge(facts())) == ()
    assert engines.findings(engines.judge(facts(peft_type="IA3"))) == ()


def test_a_required_engine_that_refuses_or_is_silent_rejects() -> None:
    """Whether vLLM refuses DoRA or SGLang scales rsLoRA otherwise: what was trained would not be served."""
    dora = engines.judge(facts(use_dora=True))
    assert [f.code for f in engines.findings(dora, ("vllm",))] == ["engine_refuses", "engine_warning"]
    rslora = engines.judge(facts(use_rslora=True))
    (found,) = engines.findings(rslora, ("sglang", "peft"))
    assert (found.code, "alpha / r" in found.message) == ("engine_refuses", True)


def test_a_required_engine_of_which_nothing_is_known_warns() -> None:
    """What is not known refuses nothing."""
    (found,) = engines.findings(engines.judge(facts(base=("T5ForConditionalGeneration",))), ("vllm",))
    assert (found.code, "may not take it" in found.message) == ("engine_warning", True)


def test_the_document_is_plain_json_and_is_told_in_a_line_each() -> None:
    """The manifest's form, and the reader's."""
    document = engines.document(engines.judge(facts(use_rslora=True, of=lora(rank=64), r=64)))
    assert json.loads(json.dumps(document)) == document
    assert set(document["vllm"]) == {"versions", "takes", "effect", "flags", "reasons"}
    lines = {name.split()[0]: (told, why) for name, told, why in engines.summary(document)}
    assert lines["vllm"] == ("yes, with --enable-lora --max-lora-rank 64", "")
    assert lines["sglang"][0].startswith("otherwise than it was trained, with --enable-lora")
    assert "rsLoRA" in lines["sglang"][1]
    assert list(lines) == ["peft", "transformers", "vllm", "sglang", "lorax"]
    assert engines.summary(dict(sorted(document.items()))) == engines.summary(document)
    assert engines.summary(None) == []


def test_a_detail_is_short_whatever_a_config_holds() -> None:
    """A pattern of a megabyte does not enter a card."""
    (text, _), *_ = verdicts(facts(target_modules="q" * 10**6))["sglang"].reasons
    assert len(text) < 200
    assert all(len(told) <= 120 for told in traits(facts(init_lora_weights="x " * 10**5)).values())


def test_no_architecture_stands_in_both_lists() -> None:
    """The registry of vLLM says of each class once whether it takes LoRA."""
    assert not enginedata.VLLM_LORA & enginedata.VLLM_NO_LORA
    assert enginedata.VLLM_WRAPPED <= enginedata.VLLM_LORA
