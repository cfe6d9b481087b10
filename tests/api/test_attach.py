"""adapterd.attach: several verified adapters on one base, or none at all."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peft
import pytest
import torch
import transformers

import adapterd
from api.conftest import publish, save_adapter

if TYPE_CHECKING:
    from api.conftest import Place

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's own

BOTH = {"spanish": "acme/sentiment-es@stable", "ner": "acme/ner-en@v3"}
AWAY = "http://127.0.0.1:9"
TOKENS = torch.arange(3, 40).unsqueeze(0)


def bare(folder: Path) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """A fresh base model."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def logits(model: Any) -> torch.Tensor:  # noqa: ANN401 - the same
    """What a model answers."""
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def alone(place: "Place", adapter: str, number: int) -> torch.Tensor:
    """What the folder that was trained answers in plain PEFT."""
    return logits(peft.PeftModel.from_pretrained(bare(place.base), str(place.trained[adapter, number])))


def state(model: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    """All that attaching could change: which modules there are, what they hold, and what may be trained."""
    return {
        "modules": [(name, type(module)) for name, module in model.named_modules()],
        "parameters": [(name, p.requires_grad, p.data_ptr()) for name, p in model.named_parameters()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "training": [module.training for module in model.modules()],
    }


def test_each_answers_as_if_it_were_alone(here: "Place") -> None:
    """Under each name the model answers, bit for bit, as the training host's adapter does in plain PEFT."""
    model = adapterd.attach(bare(here.base), BOTH)
    assert isinstance(model, peft.PeftModel)
    assert list(model.peft_config) == ["spanish", "ner"]
    assert torch.equal(logits(model), alone(here, "acme/sentiment-es", 2))
    model.set_adapter("ner")
    assert torch.equal(logits(model), alone(here, "acme/ner-en", 3))
    with model.disable_adapter():
        assert torch.equal(logits(model), logits(bare(here.base)))


def test_any_name_will_do(here: "Place") -> None:
    """A name that is part of the weights' own names, as single letters are, is no other than the rest."""
    model = adapterd.attach(
        bare(here.base), {"a": "acme/sentiment-es@v1", "b": "acme/ner-en@v1", "model": "acme/ner-en@v2"}
    )
    for name, (adapter, number) in {
        "a": ("acme/sentiment-es", 1),
        "b": ("acme/ner-en", 1),
        "model": ("acme/ner-en", 2),
    }.items():
        model.set_adapter(name)
        assert torch.equal(logits(model), alone(here, adapter, number))


def test_weights_that_are_missing_are_refused(here: "Place", tmp_path: Path) -> None:
    """An adapter whose weights do not fill what its config promises is not served half initialised."""
    folder = tmp_path / "half"
    save_adapter(folder, here.base, ["q_proj"], seed=8)
    config = (folder / "adapter_config.json").read_text()
    (folder / "adapter_config.json").write_text(config.replace('"q_proj"', '"q_proj", "v_proj"'))
    number = publish(here.repos["acme/ner-en"], folder, here.base, here.commit)
    model = bare(here.base)
    before = state(model)
    for names in ({"ner": "acme/ner-en@v3", "b": f"acme/ner-en@v{number}"}, {"b": f"acme/ner-en@v{number}"}):
        with pytest.raises(adapterd.AttachError, match=r"'b' in .* cannot be loaded: .*v_proj.lora_A"):
            adapterd.attach(model, names)
        assert state(model) == before


def test_a_peft_model_gets_them_in_addition(here: "Place") -> None:
    """A PeftModel stays itself, keeps what it had and which one is active."""
    model = peft.PeftModel.from_pretrained(bare(here.base), str(here.trained["acme/sentiment-es", 1]), "mine")
    before = logits(model)
    assert adapterd.attach(model, {"ner": "acme/ner-en@v3"}) is model
    assert model.active_adapter == "mine"
    assert torch.equal(logits(model), before)
    model.set_adapter("ner")
    assert torch.equal(logits(model), alone(here, "acme/ner-en", 3))


def test_what_was_pulled_is_not_pulled_again(here: "Place", tmp_path: Path) -> None:
    """The versions lie verified in the cache; what was altered there is replaced."""
    cache = tmp_path / "cache"
    adapterd.attach(bare(here.base), BOTH, cache=cache)
    weights = next(cache.glob("acme/ner-en/v3-*/adapter_model.safetensors"))
    inode = weights.stat().st_ino
    adapterd.attach(bare(here.base), BOTH, cache=cache)
    assert weights.stat().st_ino == inode
    weights.write_bytes(b"something else")
    model = adapterd.attach(bare(here.base), {"ner": "acme/ner-en@v3"}, cache=cache)
    assert torch.equal(logits(model), alone(here, "acme/ner-en", 3))


@pytest.mark.parametrize("name", ["acme/ner-en@v3", "acme/ner-en@stable", "COMMIT"])
def test_while_the_hub_is_away_the_cache_serves(here: "Place", tmp_path: Path, name: str) -> None:
    """A program restarts with what a name last meant, verified, and with a warning; never with what was altered."""
    cache = tmp_path / "cache"
    name = f"acme/ner-en@{here.repos['acme/ner-en'].commits[3]}" if name == "COMMIT" else name
    number = 2 if name.endswith("stable") else 3
    adapterd.attach(bare(here.base), {"ner": name}, cache=cache)
    with pytest.warns(UserWarning, match=rf"acme/ner-en@v{number} is taken from"):
        model = adapterd.attach(bare(here.base), {"ner": name}, cache=cache, endpoint=AWAY)
    assert torch.equal(logits(model), alone(here, "acme/ner-en", number))
    with pytest.raises(adapterd.Transient):
        adapterd.attach(bare(here.base), {"ner": "acme/ner-en@v1"}, cache=cache, endpoint=AWAY)
    next(cache.glob("acme/ner-en/v*-*/adapter_model.safetensors")).write_bytes(b"something else")
    with pytest.raises(adapterd.Transient):
        adapterd.attach(bare(here.base), {"ner": name}, cache=cache, endpoint=AWAY)


def test_another_base_is_refused(here: "Place", tmp_path: Path) -> None:
    """A model with the same shapes and other weights is refused before anything is loaded, with what was compared."""
    model = bare(here.other)
    before = state(model)
    with pytest.raises(adapterd.BaseMismatchError, match=r"v2 belongs to acme/base at .*compared: config and weights"):
        adapterd.attach(model, BOTH, cache=tmp_path / "cache")
    assert state(model) == before
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_another_base_is_taken_on_the_callers_word(here: "Place") -> None:
    """With allow_base=True the caller answers for the base; PEFT still compares the shapes."""
    model = adapterd.attach(bare(here.other), BOTH, allow_base=True)
    assert not torch.equal(logits(model), logits(bare(here.other)))


def test_the_bases_own_folder_is_recognised(here: "Place", tmp_path: Path) -> None:
    """A copy of the base in any folder is the base: its files have the fingerprint that the manifest names."""
    copied = tmp_path / "models" / "copy"
    bare(here.base).save_pretrained(tmp_path / "unused")
    copied.parent.mkdir()
    copied.symlink_to(here.base)
    assert adapterd.attach(bare(copied), {"ner": "acme/ner-en@v3"}).active_adapter == "ner"


@pytest.mark.parametrize("wrapped", [False, True])
def test_all_or_nothing(here: "Place", tmp_path: Path, wrapped: bool) -> None:  # noqa: FBT001 - a case of the table
    """If the second cannot be loaded, the first is taken off again: the model is as it was, and answers so."""
    folder = tmp_path / "wide"
    save_adapter(folder, here.base, ["q_proj"], seed=7)
    config = (folder / "adapter_config.json").read_text()
    (folder / "adapter_config.json").write_text(config.replace('"r": 4', '"r": 6'))
    number = publish(here.repos["acme/ner-en"], folder, here.base, here.commit)
    model = bare(here.base).train()
    if wrapped:
        model = peft.PeftModel.from_pretrained(model, str(here.trained["acme/sentiment-es", 1]), "mine").train()
    before, answers = state(model), logits(model)
    with pytest.raises(adapterd.AttachError, match=r"'ner' in .* cannot be loaded: .*size mismatch"):
        adapterd.attach(model, {"spanish": "acme/sentiment-es@stable", "ner": f"acme/ner-en@v{number}"})
    with pytest.raises(adapterd.AttachError, match=r"the model is as it was before"):
        adapterd.attach(model, {"ner": f"acme/ner-en@v{number}"})
    assert state(model) == before
    assert torch.equal(logits(model), answers)
    again = adapterd.attach(model, BOTH)
    again.set_adapter("ner")
    assert torch.equal(logits(again.eval()), alone(here, "acme/ner-en", 3))


@pytest.mark.parametrize(("name", "says"), [("mine", "already"), ("a.b", "without a dot"), ("", "without a dot")])
def test_names_that_cannot_be(here: "Place", name: str, says: str) -> None:
    """A name that is taken, or that torch cannot keep, is refused before anything is pulled."""
    model = peft.PeftModel.from_pretrained(bare(here.base), str(here.trained["acme/sentiment-es", 1]), "mine")
    with pytest.raises(adapterd.AttachError, match=says):
        adapterd.attach(model, {name: "acme/ner-en@v3"})


def test_a_model_with_adapters_of_transformers_own_is_refused(here: "Place") -> None:
    """What transformers itself loaded into a model would be mixed up with what PEFT loads."""
    model = bare(here.base)
    model.load_adapter(str(here.trained["acme/ner-en", 1]))
    with pytest.raises(adapterd.AttachError, match="load the base anew"):
        adapterd.attach(model, BOTH)


def test_a_yanked_version_warns(here: "Place", tmp_path: Path) -> None:
    """An exact pin of a yanked version still works, with a warning that says why."""
    repo = here.repos["acme/ner-en"]
    number = publish(repo, here.trained["acme/ner-en", 1], here.base, here.commit)
    repo.standing({"schema": 1, "yanks": [{"number": number, "reason": "wrong data"}]})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        adapterd.pull(f"acme/ner-en@v{number}", tmp_path / "ner")
    assert [str(one.message) for one in said] == [f"acme/ner-en@v{number} was yanked: wrong data"]
