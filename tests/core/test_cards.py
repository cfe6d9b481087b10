"""The card as a whole: two of them as files, every engine's way only where it is open, and nobody's words as markup.

`python tests/core/test_cards.py` writes the files anew; look at what changed before you commit it.
"""

import ast
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapterd.core import adapter as ad
from adapterd.core import card, engines, examples, verdict
from adapterd.core.facts import Losses
from adapterd.core.readme import BEGIN, END, splice
from adapterd.core.version import AdapterVersion, Stage

FILES = Path(__file__).parent / "cards"
FIELDS: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 32,
    "lora_alpha": 64,
    "target_modules": ["v_proj", "q_proj"],
    "base_model_name_or_path": "acme/base",
}


def served(**changes: tuple[str, str]) -> dict[str, Any]:
    """Every engine takes it, but for what is given as (takes, effect)."""
    flags = {
        "vllm": ["--enable-lora", "--max-lora-rank 32"],
        "sglang": ["--enable-lora", "--max-lora-rank 32", "--lora-target-modules q_proj v_proj"],
        "lorax": ["--lora-adapters REPO@REVISION"],
    }
    verdicts = [
        engines.EngineVerdict(
            name, "", *changes.get(name, ("yes", "full")), tuple(flags.get(name, ())), (("why", "where"),)
        )
        for name in ("peft", "transformers", "vllm", "sglang", "lorax")
    ]
    return engines.document(verdicts)


def facts(report: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **changes: Any) -> card.Facts:  # noqa: ANN401 - any fact
    """A causal model's LoRA with golden outputs, measured on the CPU, but for what is given."""
    version = AdapterVersion(
        1, "acme/support", "ab" * 32, "cd" * 32, 5, Stage.VALIDATED, base="acme/base", run="support-run", final=True
    )
    policy = verdict.Policy("acme/base", "e" * 40, examples.digest(()), 128)
    measured = {
        "loss_adapter": 1.25,
        "loss_base": 2.5,
        "effect": 0.125,
        "max_dlogit": 3.5,
        "modules": 64,
        "deterministic": True,
        "latency_ms": 12.5,
        "base_restored": True,
        "gate.exact_match": 0.75,
    }
    reply = {"ids": [5], "logits": [1.0], "logprobs": [-0.1], "greedy": {"ids": [5] * 16, "text": "and so on"}}
    whole: dict[str, Any] = {
        "verdict": "passed",
        "level": "full",
        "reasons": [],
        "warnings": [],
        "waivers": [],
        "measurements": measured,
        "policy_terms": verdict.jsonable(asdict(policy)),
        "device": "cpu",
        "dtype": "bfloat16",
        "versions": {"peft": "0.21.2"},
        "golden": {"prompts": [{"text": "once", "ids": [1], "adapter": reply, "base": reply}]},
        "engines": served(),
    }
    made = card.Facts(
        version=version,
        config=ad.parse_config(json.dumps(FIELDS | (config or {})).encode()),
        files={ad.CONFIG: ("1" * 64, 100), ad.WEIGHTS: ("2" * 64, 2048)},
        base=card.BaseFacts("acme/base", "e" * 40, "f" * 64, "apache-2.0", 1024 * 1024),
        publisher="publisher-a",
        policy="p" * 16,
        report=whole | (report or {}),
        former=6,
        history=(Losses(5, 1.75, 2.5), Losses(6, 1.5, 2.5)),
    )
    return replace(made, **changes)


def causal() -> card.Facts:
    """A LoRA with a tokenizer and labels of its own; SGLang serves it otherwise."""
    files = dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"), ("3" * 64, 64))
    labels = {"license": "mit", "datasets": ["acme/tickets"], "language": ["en"]}
    made = facts({"engines": served(sglang=("yes", "partial"))}, {"use_rslora": True}, labels=labels)
    return replace(made, files={**made.files, **files})


def structural() -> card.Facts:
    """A LoRA of which only names and shapes were compared, on a base that is not on the Hub."""
    report: dict[str, Any] = {"level": "structural", "device": "", "dtype": "", "measurements": {}, "golden": None}
    changes = {"engines": served(transformers=("no", "none"), lorax=("unknown", "unknown")), **report}
    made = facts(changes, {"modules_to_save": ["lm_head"]}, history=(), former=None)
    return replace(made, base=card.BaseFacts("", "local", "f" * 64))


CARDS = {"causal": causal, "structural": structural}


def rendered(name: str) -> str:
    """A card as it would lie on the Hub, without anybody's own text."""
    of = CARDS[name]()
    return splice(b"", card.block(of, 7), card.metadata(of)).decode()


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_the_one_in_the_file(name: str) -> None:
    """A change of a card shows in a file that a person reads; the same facts give the same bytes."""
    assert rendered(name) == (FILES / f"{name}.md").read_text()


def test_the_picture_is_the_one_in_the_file() -> None:
    """The same facts give the same bytes; what has no loss, and never had one, has no picture."""
    assert card.picture(causal(), 7) == (FILES / "losses.svg").read_bytes()
    assert card.picture(structural(), 7) == b""
    assert "![" not in rendered("structural")


WAYS = {
    "transformers": "adapter_kwargs",
    "vllm": "vllm serve",
    "sglang": "sglang.launch_server",
    "lorax": "text-generation-launcher",
}


@pytest.mark.parametrize("engine", WAYS)
@pytest.mark.parametrize(
    ("takes", "effect", "shown"),
    [
        ("yes", "full", True),
        ("yes", "partial", True),
        ("yes", "none", False),
        ("unknown", "unknown", False),
        ("no", "none", False),
    ],
)
def test_an_engines_way_is_shown_where_it_takes_it(engine: str, takes: str, effect: str, *, shown: bool) -> None:
    """How to load it stands there for who takes it and does something with it; PEFT's way always does."""
    block = card.block(facts({"engines": served(**{engine: (takes, effect)})}), 7)
    assert (WAYS[engine] in block) is shown
    assert ("NIM_PEFT_SOURCE" in block) is ("vllm serve" in block)
    assert 'PeftModel.from_pretrained(base, "acme/support", revision="v7")' in block


def test_a_report_from_before_the_verdicts_shows_peft_alone() -> None:
    """Nobody said who else takes it."""
    block = card.block(facts({"engines": None}), 7)
    assert [way for way in WAYS.values() if way in block] == []
    assert "### PEFT" in block


def test_each_way_pins_version_and_base() -> None:
    """Every command names this version, or the folder that is named after it, and the base's commit."""
    block = card.block(facts(), 7)
    for text in (
        'model.load_adapter("acme/support", adapter_kwargs={"revision": "v7"})',
        "adapterd pull acme/support@v7 adapters --layout vllm",
        "--lora-modules acme-support@v7-abababa=adapters/acme-support@v7-abababa",
        "--enable-lora --max-lora-rank 32 --lora-target-modules q_proj v_proj",
        "--lora-adapters acme/support@v7",
        '"adapter_id": "/data/adapters/acme-support@v7-abababa"',
    ):
        assert text in block
    assert block.count("e" * 40) == 6


def test_the_base_is_loaded_as_it_was_measured() -> None:
    """A quantised base, and a head of so many labels, stand in what a reader copies."""
    terms = {"policy_terms": {"variant": "quantization=nf4"}, "dtype": "float16"}
    block = card.block(facts(terms), 7)
    assert "BitsAndBytesConfig(load_in_4bit=True" in block
    assert 'bnb_4bit_compute_dtype="float16"' in block
    labelled = card.block(facts({"measurements": {"labels": 3}}, {"task_type": "SEQ_CLS"}), 7)
    assert "num_labels=3" in labelled


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measurements": {}}, "Not measured: the loss on the probe texts, the change of the weights"),
        ({"measurements": {"modules_idle": 3, "modules": 9}}, "3 of 9 layers were reached by no pass"),
        ({"measurements": {"tokens_trained": 9, "tokens_touched": 4}}, "5 stood in no probe"),
        ({"golden": None}, "No text was generated."),
        ({}, "Text was generated for 16 tokens"),
        ({}, "No chat template was applied"),
        ({}, "No serving engine was run"),
        ({}, "the first 128 tokens were used"),
        ({"policy_terms": {"trained_on": ["ab"]}}, "other adapters merged into it"),
        ({"engines": served(sglang=("yes", "partial"))}, "sglang: otherwise than it was trained; why"),
        ({"waivers": [{"code": "no_effect", "reason": "on purpose"}]}, "A person set `no_effect` aside: on purpose"),
    ],
)
def test_the_card_says_what_was_not_done_and_what_to_look_out_for(changes: dict[str, Any], said: str) -> None:
    """From the report's facts alone."""
    assert said in card.block(facts(changes), 7)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"modules_to_save": ["lm_head"]}, "It replaces whole layers of the base: `lm_head`"),
        ({"init_lora_weights": "pissa"}, "`pissa` moves the base's own weights"),
        ({"bias": "all"}, "It changes biases of the base"),
        ({"alora_invocation_tokens": [5]}, "only after its invocation tokens"),
        ({"trainable_token_indices": [5]}, "It trained embeddings of some tokens."),
    ],
)
def test_the_config_is_told_where_it_surprises(config: dict[str, Any], said: str) -> None:
    """And it is not where it does not."""
    assert said in card.block(facts(config=config), 7)
    assert said not in card.block(facts(), 7)


HOSTILE = st.sampled_from(
    [
        END,
        BEGIN,
        "```",
        "\n```\n",
        "![x](http://evil.invalid/x.png)",
        "[x](javascript:alert(1))",
        "<script>",
        "| a |",
        "`a`",
        "$(rm -rf ~)",
        "'; rm -rf ~ #",
        '"); import os; ("',
        "\\",
        "&lt;",
        "# head",
        "x_y_z *b*",
    ]
) | st.text(max_size=20)


def hostile(text: str) -> card.Facts:
    """Every fact that somebody else may choose says this."""
    entry = {
        "versions": text,
        "takes": "yes",
        "effect": "partial",
        "flags": [f"--enable-lora {text}"],
        "reasons": [{"text": text}],
    }
    report: dict[str, Any] = {
        "warnings": [{"code": text, "message": text}],
        "waivers": [{"code": text, "reason": text, "at": 1.0}],
        "device": text,
        "dtype": text,
        "policy_terms": {"variant": f"quantization={text}", "tokens": 5, "texts": text},
        "measurements": {f"gate.{text}": 1.0, "loss_adapter": 1.0, "loss_base": 2.0, "labels": text},
        "engines": dict.fromkeys(("peft", "transformers", "vllm", "sglang", "lorax", "other"), entry),
    }
    config = {"modules_to_save": [text], "init_lora_weights": text, "bias": text}
    made = facts(report, config)
    version = replace(made.version, run=text, repairs=({"file": text, "key": text, "was": text, "now": text},))
    labels = {"license": text, "datasets": [text], "language": text}
    base = card.BaseFacts(text, text, text, text, 10)
    return replace(made, version=version, checkpoint=text, labels=labels, base=base)


@given(HOSTILE)
def test_nobodys_words_are_markup(text: str) -> None:
    """No link, picture, HTML or code of anybody else; the block keeps its marks, and its Python stays Python."""
    block = card.block(hostile(text), 7)
    assert (block.count(BEGIN), block.count(END)) == (1, 1)
    assert splice(splice(b"", block, {}), block, {}) == splice(b"", block, {})
    tokens = MarkdownIt("commonmark").enable("table").parse(block)
    inline = [child for token in tokens for child in token.children or ()]
    assert [token.content.strip() for token in tokens if token.type == "html_block"] == [BEGIN, END]
    assert not [token for token in inline if token.type == "html_inline"]
    assert all(str(token.attrs["href"]).startswith("/acme/support/") for token in inline if token.type == "link_open")
    assert [token.attrs["src"] for token in inline if token.type == "image"] == [
        "/acme/support/resolve/v7/adapterd-losses.svg"
    ]
    fences = [token for token in tokens if token.type == "fence"]
    assert [token.info for token in fences] == ["python", "python", "sh", "sh", "sh", "sh", "json"]
    for token in fences[:2]:
        ast.parse(token.content)
    for token in fences[2:6]:
        assert re.fullmatch(r"[A-Za-z0-9_./@:=+\- \\\n]+", token.content)


if __name__ == "__main__":
    for each in CARDS:
        (FILES / f"{each}.md").write_text(rendered(each))
    (FILES / "losses.svg").write_bytes(card.picture(causal(), 7))
    sys.exit(0)
