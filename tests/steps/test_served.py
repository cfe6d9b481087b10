"""What is read of an adapter directory and its base for the serving engines."""

import json
from pathlib import Path

import pytest

from adapterd.core.engines import EngineVerdict
from adapterd.served import engines_of
from helpers.adapters import write_adapter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A LoRA adapter."""
    return write_adapter(tmp_path / "adapter")


def base(tmp_path: Path, **fields: object) -> Path:
    """A base model's folder with this config."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(fields))
    return tmp_path / "base"


def verdict(engine: str, folder: Path, base: Path) -> EngineVerdict:
    """One engine's."""
    return next(v for v in engines_of(folder, base) if v.engine == engine)


def test_the_base_models_class_counts(folder: Path, tmp_path: Path) -> None:
    """A class that takes no LoRA in vLLM is named in the reason."""
    found = verdict("vllm", folder, base(tmp_path, architectures=["GPT2LMHeadModel"]))
    assert (found.takes, "GPT2LMHeadModel" in found.reasons[0][0]) == ("no", True)


def test_layers_are_counted_in_the_text_part_too(folder: Path, tmp_path: Path) -> None:
    """A model of text and pictures keeps the number of its layers one level down."""
    found = verdict("lorax", folder, base(tmp_path, text_config={"num_hidden_layers": 2}))
    assert (found.takes, found.effect) == ("yes", "none")


@pytest.mark.parametrize(("number", "takes"), [(99, False), (100, True)])
def test_tokens_of_the_bases_own_vocabulary_are_not_added(
    folder: Path, tmp_path: Path, number: int, *, takes: bool
) -> None:
    """Tokenizers list tokens as added that the base has had all along."""
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": number}))
    told = [text for text, _ in verdict("sglang", folder, base(tmp_path, vocab_size=100)).reasons]
    assert any("add tokens" in text for text in told) is takes


@pytest.mark.parametrize("text", ["", "[]", "{", '{"architectures": 3, "num_hidden_layers": true, "vocab_size": null}'])
def test_a_config_of_no_use_is_as_none(folder: Path, tmp_path: Path, text: str) -> None:
    """What cannot be read of a base is not known; the adapter's own part stands."""
    (base(tmp_path) / "config.json").write_text(text)
    (folder / "added_tokens.json").write_text("[")
    assert verdict("vllm", folder, tmp_path / "base").takes == "yes"
    assert engines_of(folder, tmp_path / "base") == engines_of(folder, tmp_path / "nowhere")


def test_of_broken_weights_the_engines_say_nothing(folder: Path, tmp_path: Path) -> None:
    """The worker says what is wrong with them."""
    (folder / "adapter_model.safetensors").write_bytes(b"short")
    assert engines_of(folder, tmp_path) == ()
