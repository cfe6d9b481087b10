"""Is a model in memory the base that a version was validated in? A table of what a model can say of itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd import deploy
from adapterd.core.naming import parse_reference
from adapterd.hub.client import HubClient
from adapterd.samebase import difference, loaded

if TYPE_CHECKING:
    from api.conftest import Place

TOKEN = "hf_" + "a" * 34
OTHER = "0" * 40


@dataclass
class Config:
    """The part of a model's configuration that says where it came from."""

    _commit_hash: str | None = None


@dataclass
class Model:
    """What a loaded model says of where it came from."""

    name_or_path: str
    config: Config


@pytest.fixture(scope="module")
def hub(place: "Place") -> Iterator[HubClient]:
    """A client whose cache of models holds the base."""
    cache = place.base.parents[2]
    client = HubClient(place.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0, cache_dir=cache)
    yield client
    client.close()


@pytest.fixture(scope="module")
def manifest(hub: HubClient) -> deploy.Manifest:
    """Of a version that was validated in `acme/base`."""
    found = deploy.resolve(hub, parse_reference("acme/sentiment-es@v1"))
    return deploy.parse_manifest(found.manifest, "acme/sentiment-es@v1")


@pytest.mark.parametrize(
    ("name", "commit", "says"),
    [
        ("BASE", None, ""),
        ("acme/base", "COMMIT", ""),
        ("Acme/Base", None, ""),
        ("acme/base", OTHER, "this model is at 000000000000 (compared: the commits)"),
        ("acme/other", None, "this model is acme/other (compared: the ids)"),
        ("", None, "nothing says what the model was loaded from"),
        ("unsloth/base-bnb-4bit", None, "this model is unsloth/base-bnb-4bit (compared: the ids)"),
        ("FOLDER", None, "(compared: config and weights)"),
    ],
)
def test_what_a_model_says(
    place: "Place",
    hub: HubClient,
    manifest: deploy.Manifest,
    tmp_path: Path,
    name: str,
    commit: str | None,
    says: str,
) -> None:
    """A folder is judged by its files, a known commit by itself, an id by itself and by what the cache holds."""
    name = {"BASE": str(place.base), "FOLDER": str(place.other)}.get(name, name)
    model = Model(name, Config(place.commit if commit == "COMMIT" else commit))
    said = difference(loaded(model, tmp_path / "digests.json"), manifest, hub)
    assert said.endswith(says)
    assert bool(said) == bool(says)


def test_a_quantised_copy_is_its_original(hub: HubClient, manifest: deploy.Manifest, tmp_path: Path) -> None:
    """A 4-bit copy of the base goes under the base's name."""
    of_llama = replace(manifest, base_id="meta-llama/Llama-3.2-1B")
    copy = loaded(Model("unsloth/llama-3.2-1b-bnb-4bit", Config()), tmp_path / "digests.json")
    assert difference(copy, of_llama, hub) == ""


def test_another_revision_in_the_cache_is_judged_by_its_files(
    hub: HubClient, manifest: deploy.Manifest, tmp_path: Path, place: "Place"
) -> None:
    """Where this host has another commit of the base than the manifest names, what counts is what its files are."""
    here = loaded(Model("acme/base", Config(place.commit)), tmp_path / "digests.json")
    same_files = replace(manifest, base_revision=OTHER)
    assert difference(here, same_files, hub) == ""
    said = difference(here, replace(same_files, base_fingerprint="f" * 64), hub)
    assert said.startswith(f"this model is at {place.commit[:12]}, and the files in ")
