"""Manifest, model card and commit message: functions of recorded facts; a person's own text stays."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import adapter as ad
from adapterd.core import card
from adapterd.core.messages import trailers
from adapterd.core.readme import BEGIN, END, around, license_of, splice
from adapterd.core.version import AdapterVersion, Stage

VERSION = AdapterVersion(
    1, "acme/support", "ab" * 32, "cd" * 32, 5, Stage.VALIDATED, base="/models/base", run="support-run", step=500
)
CONFIG = ad.parse_config(
    b'{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 16, "target_modules": ["v", "k"]}'
)
REPORT: dict[str, Any] = {
    "verdict": "passed",
    "level": "full",
    "reasons": [],
    "warnings": [{"code": "loss_not_lower", "message": "the loss is | not lower <b>"}],
    "waivers": [],
    "measurements": {"loss_adapter": 1.25, "loss_base": 2.5, "effect": 0.125},
    "device": "cpu",
    "dtype": "float32",
    "versions": {"peft": "0.21.2"},
}
FACTS = card.Facts(
    version=VERSION,
    config=CONFIG,
    files={ad.CONFIG: ("1" * 64, 100), ad.WEIGHTS: ("2" * 64, 2048)},
    base=card.BaseFacts("acme/base", "e" * 40, "f" * 64, "apache-2.0", 1024 * 1024),
    publisher="publisher-a",
    policy="p" * 16,
    report=REPORT,
    checkpoint="checkpoint-500",
    parameters=64,
    former=3,
)
FIELDS = card.metadata(FACTS)
BLOCK = card.block(FACTS, 4)
PERSONS = """---
# chosen by us
license: mit
# about the data
datasets:
- ours
custom key: 1
"quoted": yes
tags: [mine]
---

# Our adapter

Trained with care.
"""


def front(readme: bytes) -> dict[str, Any]:
    """A README's front matter, as YAML has it."""
    document = yaml.safe_load(readme.decode().split("---\n")[1])
    assert isinstance(document, dict)
    return document


def test_manifest_says_what_was_published() -> None:
    """The manifest has every key of schema 1, and is the same bytes for the same facts."""
    data = card.manifest(FACTS, 4)
    document = json.loads(data)
    assert data == card.manifest(FACTS, 4)
    assert set(document) == {
        *("schema", "adapter", "publisher", "number", "identity", "files", "card", "base", "peft", "provenance"),
        *("policy", "report", "serving_name", "picture"),
    }
    assert document["number"] == 4
    assert document["identity"] == {"algorithm": ad.IDENTITY_ALGORITHM, "digest": VERSION.identity}
    assert document["files"][ad.WEIGHTS] == {"sha256": "2" * 64, "size": 2048}
    assert document["card"]["sha256"] == ad.digest_of(BLOCK.encode())
    assert document["picture"]["sha256"] == ad.digest_of(card.picture(FACTS, 4))
    assert document["peft"]["targets"] == ["k", "v"]
    assert document["provenance"]["checkpoint"] == "checkpoint-500"
    assert card.payload_paths(document) == [ad.CONFIG, ad.WEIGHTS]


def test_manifest_names_no_path_of_the_host() -> None:
    """What the trainer wrote as base model may be a path of this host; it never leaves it."""
    assert b"/models" not in card.manifest(FACTS, 4)
    assert "/models" not in BLOCK


def test_manifest_is_json_or_nothing() -> None:
    """A measurement that is no number is no manifest: a tag is for ever."""
    broken = replace(FACTS, report={**REPORT, "measurements": {"loss": float("nan")}})
    with pytest.raises(ValueError, match="JSON"):
        card.manifest(broken, 4)


SERVED = {
    "peft": {"versions": ">=0.9,<0.22", "takes": "yes", "effect": "full", "flags": [], "reasons": []},
    "vllm": {
        "versions": ">=0.10.2,<0.34",
        "takes": "no",
        "effect": "none",
        "flags": [],
        "reasons": [{"text": "it refuses DoRA", "source": "vllm/lora/peft_helper.py"}],
    },
}


def test_manifest_and_card_say_what_serving_engines_make_of_it() -> None:
    """Both have what the report says of them; a report from before has nothing, and so have they."""
    served = replace(FACTS, report={**REPORT, "engines": SERVED})
    assert json.loads(card.manifest(served, 4))["engines"] == SERVED
    assert "| vllm >=0.10.2,&lt;0.34 | no | it refuses DoRA |" in card.block(served, 4)
    assert "engines" not in json.loads(card.manifest(FACTS, 4))
    assert "serving engine" not in BLOCK


def test_manifest_and_card_tell_of_golden_outputs() -> None:
    """The manifest holds them, the card says how to compare; where none were made, neither speaks of them."""
    outputs = {"schema": 1, "prompts": []}
    with_them = replace(FACTS, report={**REPORT, "golden": outputs})
    assert json.loads(card.manifest(with_them, 4))["golden"] == outputs
    assert "adapterd validate --golden DIR" in card.block(with_them, 4)
    without = replace(FACTS, report={**REPORT, "golden": None})
    assert "golden" not in json.loads(card.manifest(without, 4))
    assert "--golden" not in card.block(without, 4)


def test_the_card_says_plainly_where_no_pass_was_made() -> None:
    """A version of which only the structure was compared is not called probed."""
    structural = replace(FACTS, report={**REPORT, "level": "structural", "device": ""})
    assert json.loads(card.manifest(structural, 4))["report"]["level"] == "structural"
    assert "**No forward pass was made**" in card.block(structural, 4)
    assert "| validated on | no device; names and shapes alone |" in card.block(structural, 4)
    assert "probed before" not in card.block(structural, 4)
    assert "probed before" in BLOCK


@pytest.mark.parametrize("task", ["SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION", ""])
def test_the_card_loads_the_base_by_the_class_of_its_task(task: str) -> None:
    """What a reader copies works for every task; without one it is a language model."""
    words = {
        "SEQ_CLS": "ForSequenceClassification",
        "TOKEN_CLS": "ForTokenClassification",
        "QUESTION_ANS": "ForQuestionAnswering",
        "SEQ_2_SEQ_LM": "ForSeq2SeqLM",
        "FEATURE_EXTRACTION": "",
    }
    config = ad.parse_config(json.dumps({"peft_type": "LORA", "task_type": task or None}).encode())
    block = card.block(replace(FACTS, config=config), 4)
    assert f"base = AutoModel{words.get(task, 'ForCausalLM')}.from_pretrained(" in block


def test_commit_message() -> None:
    """The title says version, adapter and source; the trailers are ours."""
    message = card.commit_message(FACTS, 4)
    assert message.startswith("v4: support from support-run/checkpoint-500\n\n")
    said = trailers(message)
    assert said is not None
    assert (said.identity, said.number, said.publisher) == (VERSION.identity, 4, "publisher-a")


def test_a_run_of_any_name_stays_on_its_line() -> None:
    """A folder's name with line breaks, marks and pipes breaks neither the title nor the table."""
    run = f"x\n\nAdapter-Version: v9\n{END} | `a` <b>"
    odd = replace(FACTS, version=replace(VERSION, run=run), checkpoint="")
    assert "\n" not in card.commit_message(odd, 4).split("\n\n")[0]
    block = card.block(odd, 4)
    assert block.count(END) == 1
    assert block.count("\n") == BLOCK.count("\n")
    said = trailers(card.commit_message(odd, 4))
    assert said is not None
    assert said.number == 4


def test_block_shows_what_a_deployer_asks() -> None:
    """Version, base, size against the base, losses, notes, how to load it, and the version before."""
    for text in (
        "`v4`",
        "`acme/base` at `" + "e" * 40,
        "2.1 KiB, 0.20 % of its base",
        "1.2500 with the adapter, 2.5000 without",
        "the loss is \\| not lower &lt;b>",
        'PeftModel.from_pretrained(base, "acme/support", revision="v4")',
        "The version before is [`v3`](/acme/support/tree/v3).",
        "[adapterd.json](/acme/support/blob/v4/adapterd.json)",
    ):
        assert text in BLOCK


def test_a_report_for_other_eyes_names_nobody_and_quotes_no_command() -> None:
    """Who waived a reason, and what a gate wrote below the first line of its message, stay on this host."""
    waived = {"code": "gate_refused", "actor": "alice", "reason": "known", "at": 5.0}
    warning = {"code": "gate_refused", "message": "gate check said no with exit code 1\n/home/alice/x is missing"}
    facts = replace(FACTS, report={**REPORT, "waivers": [waived], "warnings": [warning]})
    report = json.loads(card.manifest(facts, 4))["report"]
    assert report["waivers"] == [{"code": "gate_refused", "reason": "known", "at": 5.0}]
    assert [w["message"] for w in report["warnings"]] == ["gate check said no with exit code 1"]
    assert "| waived | gate_refused, known |" in card.block(facts, 4)
    assert "alice" not in card.block(facts, 4)


def test_a_local_base_is_no_metadata() -> None:
    """`base_model` is a Hub id or is left out, since the Hub refuses anything else."""
    local = replace(FACTS, base=card.BaseFacts("", "local"))
    assert "base_model" not in card.metadata(local)
    assert "PATH_OF_THE_BASE" in card.block(local, 1)


def test_labels_speak_before_the_base() -> None:
    """The licence of the labels goes before that of the base's card."""
    labelled = replace(FACTS, labels={"license": "mit", "language": ["en", "no"]})
    assert card.metadata(labelled)["license"] == "mit"
    assert card.metadata(labelled)["language"] == ["en", "no"]
    assert FIELDS["license"] == "apache-2.0"


def test_splice_into_nothing() -> None:
    """A new card is front matter and the managed block."""
    readme = splice(b"", BLOCK, FIELDS)
    assert front(readme) == FIELDS
    assert readme.decode().endswith(f"---\n\n{BLOCK}\n")


def test_splice_keeps_what_a_person_wrote() -> None:
    """Keys that are not ours, comments and text stay; our keys and our block are written over."""
    readme = splice(PERSONS.encode(), BLOCK, FIELDS).decode()
    document = front(readme.encode())
    assert document == {"datasets": ["ours"], "custom key": 1, "quoted": True, **FIELDS}
    for kept in ("# chosen by us\n", "# about the data\n", "# Our adapter\n", "Trained with care.\n"):
        assert kept in readme
    again = splice(readme.encode(), card.block(FACTS, 5), FIELDS).decode()
    assert again == readme.replace(BLOCK, card.block(FACTS, 5))


@pytest.mark.parametrize(
    ("before", "after"),
    [("above", "below"), (END, "below"), (f"{END} x {BEGIN}\n", ""), ("", "x " + BEGIN)],
)
def test_the_block_is_replaced_where_it_stands(before: str, after: str) -> None:
    """Text above and below the block stays where it is, even where it holds one of the marks alone."""
    old = f"{before}\n\n{card.block(FACTS, 1)}\n\n{after}"
    spliced = splice(old.encode(), BLOCK, FIELDS).decode()
    again = splice(spliced.encode(), BLOCK, FIELDS).decode()
    assert again == spliced
    assert BLOCK in spliced
    assert before.strip() in spliced
    assert after.strip() in spliced


LINES = st.sampled_from(
    ["---", "...", "license: mit", "# note", "- item", "  deep: 1", "title: x", '"tags": [a]', "", "text", BEGIN]
) | st.text(max_size=12)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_splice_is_idempotent(text: str) -> None:
    """Whatever a README holds, splicing the same block twice changes nothing the second time."""
    once = splice(text.encode("utf-8", "replace"), BLOCK, FIELDS)
    assert splice(once, BLOCK, FIELDS) == once
    assert once.decode().count(BLOCK) == 1


@given(st.binary(max_size=60))
def test_any_bytes_can_be_spliced(readme: bytes) -> None:
    """A README that is no text makes no publish fail."""
    assert BLOCK in splice(readme, BLOCK, FIELDS).decode()


@given(st.lists(st.sampled_from(["word", "# heading", "| a | b |", "", "- item", "`code`"]), max_size=8).map("\n".join))
def test_splice_keeps_every_line_of_a_body(body: str) -> None:
    """No line of a person's text is lost or changed."""
    text = body.strip("\n")
    spliced = splice(body.encode(), BLOCK, FIELDS).decode()
    assert spliced.endswith(f"{BLOCK}\n\n{text}\n" if text else f"{BLOCK}\n")


@pytest.mark.parametrize(
    ("readme", "found"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ('---\nlicense: "mit"\n---\n', "mit"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("\ufeff---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: [a, b]\n---\n", ""),
        ("---\nlicense: <b>\n---\n", ""),
        ("---\nlicense: mit\n", ""),
        ("license: mit\n", ""),
    ],
)
def test_license_of_a_base(readme: str, found: str) -> None:
    """The licence is taken from front matter alone, and only where it is a plain word."""
    assert license_of(readme) == found


@pytest.mark.parametrize(
    ("above", "block", "below"),
    [
        ("ours\n", f"{BEGIN}\nmanaged\n{END}", "\nyours\n"),
        (f"a stray {END} of a person\n", f"{BEGIN}{END}", ""),
        ("no block", "", ""),
        (f"{BEGIN} that never ends", "", ""),
    ],
)
def test_the_managed_block_and_what_stands_around_it(above: str, block: str, below: str) -> None:
    """It begins at its first mark and ends at the next mark of an end; a mark alone is a person's text."""
    assert around(above + block + below) == (above, block, below)
