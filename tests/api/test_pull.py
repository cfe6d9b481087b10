"""adapterd.resolve and adapterd.pull, as Python code calls them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

import adapterd

if TYPE_CHECKING:
    from api.conftest import Place

WEIGHTS = "adapter_model.safetensors"


def test_pulling_again_exchanges_the_version_and_keeps_the_former(here: "Place", tmp_path: Path) -> None:
    """The directory always holds one whole version; going back needs no download, since the former one stayed."""
    target = tmp_path / "serve" / "sentiment-es"
    for number in (1, 2, 3, 1):
        assert adapterd.pull(f"acme/sentiment-es@v{number}", target) == target
        assert (target / WEIGHTS).read_bytes() == (here.trained["acme/sentiment-es", number] / WEIGHTS).read_bytes()
    adapterd.pull("acme/sentiment-es@v3", target, keep=0)
    assert {path.name for path in target.parent.rglob(WEIGHTS)} == {WEIGHTS}
    assert len(list(target.parent.rglob(WEIGHTS))) == 1


@pytest.mark.parametrize("layout", ["vllm", "nim"])
def test_engines_find_each_version_by_its_serving_name(
    here: "Place", tmp_path: Path, layout: Literal["vllm", "nim"]
) -> None:
    """In these layouts the versions lie side by side, and the one that was asked for always stays."""
    found = adapterd.resolve("acme/ner-en@v1")
    places = [adapterd.pull(f"acme/ner-en@v{n}", tmp_path / "all", layout=layout, keep=1) for n in (3, 2, 1)]
    assert places[2] == tmp_path / "all" / found.serving_name
    assert (places[2] / WEIGHTS).read_bytes() == (here.trained["acme/ner-en", 1] / WEIGHTS).read_bytes()
    assert [place.exists() for place in places] == [True, False, True]


@pytest.mark.usefixtures("here")
def test_errors_are_public_and_say_what_to_do(tmp_path: Path) -> None:
    """Each is an AdapterdError with a hint; what is no reference at all is a ValueError."""
    with pytest.raises(adapterd.NotFound) as missing:
        adapterd.resolve("acme/ner-en@v99")
    assert isinstance(missing.value, adapterd.AdapterdError)
    assert missing.value.hint.startswith("its newest version is v")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(adapterd.OccupiedError):
        adapterd.pull("acme/ner-en@v1", tmp_path)
    with pytest.raises(adapterd.Transient):
        adapterd.resolve("acme/ner-en", endpoint="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="not of the form namespace/name"):
        adapterd.resolve("ner-en")


def test_every_public_name_is_there() -> None:
    """What the package lists it has, and nothing else is made up."""
    assert all(getattr(adapterd, name) is not None for name in adapterd.__all__)
    assert set(adapterd.__all__) <= set(dir(adapterd))
    with pytest.raises(AttributeError, match="no attribute 'resolv'"):
        adapterd.resolv  # type: ignore[attr-defined] # noqa: B018 - that is the point
