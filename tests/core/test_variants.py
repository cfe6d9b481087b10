"""How a base model is quantised and spread, in the configuration, for transformers, and in a policy."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.config.model import BaseModelEntry
from adapterd.core.variants import QUANTIZATIONS, Variant, keywords, parse, quantization_of, text


@pytest.mark.parametrize(
    ("word", "dtype", "meant"),
    [
        (None, "auto", {}),
        ("", "float16", {}),
        ("int8", "float16", {"load_in_8bit": True}),
        (
            "nf4",
            "auto",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"},
        ),
        (
            "nf4-double",
            "float16",
            {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_use_double_quant": True,
                "bnb_4bit_compute_dtype": "float16",
            },
        ),
        (
            "fp4",
            "float32",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": "float32"},
        ),
    ],
)
def test_a_word_of_the_configuration_is_a_set_of_keywords(word: str, dtype: str, meant: dict[str, object]) -> None:
    """Plain JSON, since it travels to the worker; the word is found again from it."""
    assert keywords(word, dtype) == meant == json.loads(json.dumps(meant))
    assert quantization_of(meant) == (word or "")


def test_the_configuration_has_a_word_for_each() -> None:
    """Words and keywords are one table in two places."""
    choice = BaseModelEntry.model_fields["quantization"].annotation
    assert set(get_args(get_args(choice)[0])) == set(QUANTIZATIONS)
    assert quantization_of({"load_in_4bit": True, "something": 1}) == "other"


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant(), ""),
        (Variant("nf4"), "quantization=nf4"),
        (Variant("", "auto", {"cpu": 2, "0": 1}), "device_map=auto max_memory=0:1,cpu:2"),
        (Variant("int8", "balanced", {"0": 5}), "quantization=int8 device_map=balanced max_memory=0:5"),
    ],
)
def test_a_variant_has_one_spelling(variant: Variant, said: str) -> None:
    """Empty for the base as it is; the order in which devices were listed is no difference."""
    assert text(variant) == said
    assert parse(said) == variant


@given(st.text())
def test_any_text_can_be_read(said: str) -> None:
    """What another version wrote is read as far as it is understood."""
    parse(said)
