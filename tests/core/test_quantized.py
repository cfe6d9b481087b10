"""From the id of a quantised copy to the model that was quantised."""

import pytest

from adapterd.core.naming import is_hub_id
from adapterd.core.quantized import _ORIGINALS, originals, upstream


@pytest.mark.parametrize(
    ("copy", "whole"),
    [
        ("unsloth/Llama-3.2-1B-Instruct-unsloth-bnb-4bit", "meta-llama/Llama-3.2-1B-Instruct"),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", "meta-llama/Llama-3.2-1B-Instruct"),
        ("unsloth/llama-3.2-1b-instruct-unsloth-bnb-4bit", "meta-llama/Llama-3.2-1B-Instruct"),
        ("unsloth/meta-llama-3.1-8b-bnb-4bit", "meta-llama/Meta-Llama-3.1-8B"),
        ("unsloth/mistral-7b-bnb-4bit", "mistralai/Mistral-7B-v0.1"),
        ("unsloth/mistral-7b-instruct-v0.3-bnb-4bit", "mistralai/Mistral-7B-Instruct-v0.3"),
        ("unsloth/llama-3-8b-Instruct-bnb-4bit", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("unsloth/Qwen2.5-7B-Instruct-unsloth-bnb-4bit", "Qwen/Qwen2.5-7B-Instruct"),
        ("unsloth/gemma-2b-bnb-4bit", "google/gemma-2b"),
        ("unsloth/phi-4-reasoning-unsloth-bnb-4bit", "microsoft/Phi-4-reasoning"),
        ("unsloth/tinyllama-chat-bnb-4bit", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
        ("unsloth/A-Model-Of-Next-Year-bnb-4bit", "unsloth/A-Model-Of-Next-Year"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen1.5-14B-Chat-GPTQ-Int4", "Qwen/Qwen1.5-14B-Chat"),
    ],
)
def test_the_usual_copies_have_an_original(copy: str, whole: str) -> None:
    """In whatever case it is written; a copy of unsloth's that no table knows has its 16-bit repo beside it."""
    assert upstream(copy) == whole


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Llama-3.2-1B-Instruct",
        "unsloth/Llama-3.2-1B-Instruct",
        "someone/Llama-3.2-1B-Instruct-bnb-4bit",
        "TheBloke/Something-Of-Yours-GPTQ",
        "unsloth/-bnb-4bit",
        "bnb-4bit",
        "",
    ],
)
def test_any_other_id_has_none(model: str) -> None:
    """A suffix alone proves nothing: of other people's copies nobody knows what was quantised."""
    assert upstream(model) == ""


def test_the_whole_model_may_lie_at_the_copys_owner_too() -> None:
    """The original stands first, unsloth's own 16-bit repo second: an operator may have either."""
    both = ("meta-llama/Llama-3.2-1B", "unsloth/Llama-3.2-1B")
    assert originals("unsloth/Llama-3.2-1B-bnb-4bit") == both
    assert originals("Qwen/Qwen2.5-7B-AWQ") == ("Qwen/Qwen2.5-7B",)


def test_the_table_holds_ids() -> None:
    """Every original has the form of a Hub id, and is no copy itself."""
    assert len(_ORIGINALS) > 200
    assert all(is_hub_id(whole) and not originals(whole) for whole in _ORIGINALS.values())
