"""From examples to inputs: which tokens a loss is taken of, and what is made up."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from adapterd.core.examples import Example
from adapterd.worker.inputs import IGNORED, UnknownInputError, Wanted, batch_for

SIZES: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 2}


class Words:
    """A tokenizer that counts letters: each word is its length."""

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Give ids; 1 stands in front, as a start of sequence does."""
        return {"input_ids": [1] * add_special_tokens + [10 + len(word) for word in text.split()]}


def model(**config: Any) -> Any:  # noqa: ANN401 - the shape of a model of transformers
    """What a batch is made for: a config, and the name of the main input."""
    main = config.pop("main", "input_ids")
    return SimpleNamespace(config=SimpleNamespace(pad_token_id=0, **config), main_input_name=main)


def wanted(task: str = "CAUSAL_LM", **fields: Any) -> Wanted:  # noqa: ANN401 - fields of Wanted
    """Say what is wanted."""
    given: dict[str, Any] = {"task": task, "tokens": 8, "rows": 100} | fields
    return Wanted(**given)


def test_plain_text_is_measured_on_all_of_its_tokens() -> None:
    """Every token but the first follows from those before it; padding counts for nothing."""
    batch = batch_for(model(), Words(), [Example("a bb ccc"), Example("a")], wanted())
    assert batch.inputs["input_ids"].tolist() == [[1, 11, 12, 13], [1, 11, 0, 0]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [11, 12, 13, IGNORED, 11, IGNORED]
    assert (batch.tokens, batch.texts, batch.largest) == (6, 2, 13)


def test_a_completion_is_measured_on_its_own_tokens() -> None:
    """The prompt is given; a long one loses its beginning, so that the completion still follows."""
    batch = batch_for(model(), Words(), [Example("a bb ccc dddd eeeee", " ffffff ggggggg")], wanted(tokens=5))
    assert batch.inputs["input_ids"].tolist() == [[12, 13, 14, 16, 17]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [IGNORED, IGNORED, 16, 17, IGNORED]


def test_a_label_is_a_class_by_index_or_name() -> None:
    """One that is unknown, or missing, counts for nothing."""
    examples = [Example("a", label=1), Example("b", label="good"), Example("c", label="odd"), Example("d")]
    batch = batch_for(model(), Words(), examples, wanted("SEQ_CLS", classes={"bad": 0, "good": 2}))
    assert batch.targets is not None
    assert batch.targets.tolist() == [1, 2, IGNORED, IGNORED]
    assert batch.mask is None


def test_trained_tokens_are_all_touched() -> None:
    """Generated sequences hold each of them once; no loss is taken there."""
    batch = batch_for(model(), Words(), [Example("a bb")], wanted(trained=range(40, 60)))
    touched = batch.inputs["input_ids"][1:].flatten().tolist()
    assert set(range(40, 60)) <= set(touched)
    assert batch.touched == (20, 20)
    assert batch.targets is not None
    assert (batch.targets != IGNORED).sum() == 2


def test_an_adapter_that_waits_for_its_invocation_is_invoked() -> None:
    """An aLoRA acts on what follows its invocation tokens alone."""
    batch = batch_for(model(), Words(), [Example("a bb")], wanted(invocation=(90, 91)))
    assert batch.inputs["input_ids"].tolist() == [[90, 91, 1, 11, 12]]


def test_without_a_tokenizer_ids_are_made_up_and_the_same_each_time() -> None:
    """Their values are within the vocabulary."""
    first, again = (batch_for(model(), None, [Example("a"), Example("b")], wanted(rows=9)) for _ in range(2))
    assert first.digest == again.digest
    assert int(first.inputs["input_ids"].max()) < 9


def test_an_encoder_decoder_reads_the_prompt_and_says_the_completion() -> None:
    """The decoder is given what came before, beginning with its own start."""
    t5 = transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=100, **SIZES))
    batch = batch_for(t5, Words(), [Example("a bb", "ccc dddd")], wanted("SEQ_2_SEQ_LM"))
    assert batch.inputs["input_ids"].tolist() == [[1, 11, 12]]
    assert batch.inputs["decoder_input_ids"].tolist() == [[0, 13]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [13, 14]


@pytest.mark.parametrize(
    ("main", "config", "shape"),
    [
        ("input_features", {"num_mel_bins": 4, "max_source_positions": 6}, (4, 12)),
        ("pixel_values", {"num_channels": 3, "image_size": 8}, (3, 8, 8)),
        ("pixel_values", {"num_channels": 1, "image_size": [4, 6]}, (1, 4, 6)),
        ("input_values", {}, (16_000,)),
    ],
)
def test_sound_and_pictures_are_made_up(main: str, config: dict[str, Any], shape: tuple[int, ...]) -> None:
    """In the sizes that the config names; no loss is taken of them."""
    batch = batch_for(model(main=main, **config), None, [Example("a")], wanted("FEATURE_EXTRACTION"))
    assert batch.inputs[main].shape[1:] == shape
    assert batch.targets is None
    assert torch.isfinite(batch.inputs[main]).all()


def test_what_no_input_is_made_of_is_said() -> None:
    """It is no fault of the adapter."""
    with pytest.raises(UnknownInputError, match="takes touch"):
        batch_for(model(main="touch"), None, [Example("a")], wanted("FEATURE_EXTRACTION"))
