"""From what a trainer wrote to the base model on this host: by its name, and by what lies there."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapterd.bases import BaseMissingError, composition, configured, hub_id, locate, recorded, variant_of
from adapterd.config import Config, parse
from adapterd.fingerprints import Digests, fingerprint
from helpers.adapters import write_adapter

ONE, OTHER = "1" * 40, "2" * 40
COPY = "unsloth/Llama-3.2-1B-Instruct-bnb-4bit"
ORIGINAL = "meta-llama/Llama-3.2-1B-Instruct"
MIRROR = "unsloth/Llama-3.2-1B-Instruct"


@dataclass
class Cache:
    """A Hub of which only the local cache matters: (id, commit) to folder; the first of an id is its newest."""

    there: dict[tuple[str, str], Path] = field(default_factory=dict)

    def __call__(self) -> "Cache":
        """Give itself: a port is asked for when it is needed."""
        return self

    def cached_model(self, model: str, revision: str | None) -> tuple[str, str] | None:
        """Folder and commit."""
        for (known, commit), folder in self.there.items():
            if known == model and revision in (None, commit):
                return str(folder), commit
        return None


@dataclass
class Place:
    """A host with base models."""

    tmp: Path
    cache: Cache = field(default_factory=Cache)
    digests: Digests = field(default_factory=Digests)
    root: str = ""
    more: str = ""

    def base(self, name: str, content: str = "weights", config: str = "{}") -> Path:
        """A base model's folder."""
        folder = self.tmp / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(config)
        (folder / "model.safetensors").write_text(content)
        return folder

    def cached(self, model: str, commit: str, content: str = "weights") -> Path:
        """A base model in the Hub's cache."""
        name = f"hub/models--{model.replace('/', '--')}/snapshots/{commit}"
        folder = self.base(name, content)
        self.cache.there[model, commit] = folder
        return folder

    def config(self, *entries: str) -> Config:
        """A configuration with these entries of `base_models`."""
        listed = "".join(f"\n- {{{entry}}}" for entry in entries) or " []"
        root = f"{{path: {self.tmp}/train{self.root}}}"
        text = f"hub: {{namespace: acme}}\nroots: [{root}]\nbase_models:{listed}\n{self.more}"
        return parse(text, "test.yaml")

    def find(self, written: str | Path, *entries: str, wanted: str = "") -> tuple[str, str, str]:
        """Id, revision and folder of what is located."""
        config = self.config(*entries)
        found = locate(
            str(written),
            wanted,
            config,
            self.cache,  # type: ignore[arg-type]  # all that is asked of it
            None,
            self.digests,
        )
        return found.id, found.revision, found.path

    def fails(self, written: str | Path, *entries: str, wanted: str = "") -> BaseMissingError:
        """Why nothing is located."""
        with pytest.raises(BaseMissingError) as raised:
            self.find(written, *entries, wanted=wanted)
        return raised.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A host."""
    return Place(tmp_path)


def test_a_path_that_nothing_names_is_known_by_its_content(place: Place) -> None:
    """A copy of a configured base is that base, at its revision, and is measured in the configured folder."""
    own = place.base("models/own")
    copy = shutil.copytree(own, place.tmp / "scratch" / "whatever")
    place.base("models/other", config='{"a": 1}')
    entries = (f"id: acme/other, path: {place.tmp}/models/other", f"id: acme/own, path: {own}, revision: '{ONE}'")
    assert place.find(copy, *entries) == ("acme/own", ONE, str(own))
    assert place.find(copy, f"id: acme/own, path: {own}") == ("acme/own", "local", str(own))


def test_a_copy_of_what_lies_in_the_hubs_cache_is_known_too(place: Place) -> None:
    """Then the commit is known as well; a wanted commit is looked for first."""
    old, new = place.cached("acme/own", ONE, "old bytes"), place.cached("acme/own", OTHER, "new bytes")
    copy = shutil.copytree(new, place.tmp / "copy")
    assert place.find(copy, "id: acme/own", wanted=OTHER) == ("acme/own", OTHER, str(new))
    assert place.find(copy, f"id: acme/own, revision: '{OTHER}'") == ("acme/own", OTHER, str(new))
    assert place.fails(copy, f"id: acme/own, revision: '{ONE}'").code == "base_unknown"
    assert place.find(shutil.copytree(old, place.tmp / "old"), "id: acme/own") == ("acme/own", ONE, str(old))


def test_a_folder_is_not_called_by_another_commit_than_its_entrys(place: Place) -> None:
    """The operator says which commit lies there; a run that wants another gets it from the cache, or waits."""
    own = place.base("models/own")
    entry = f"id: acme/own, path: {own}, revision: '{ONE}'"
    assert place.find("acme/own", entry, wanted=ONE) == ("acme/own", ONE, str(own))
    assert place.fails("acme/own", entry, wanted=OTHER).code == "base_not_at_hand"
    cached = place.cached("acme/own", OTHER)
    assert place.find("acme/own", entry, wanted=OTHER) == ("acme/own", OTHER, str(cached))
    assert place.find("acme/own", f"id: acme/own, path: {own}", wanted=OTHER) == ("acme/own", OTHER, str(own))


@pytest.mark.parametrize(
    "differs",
    [{"content": "Weights"}, {"content": "longer weights"}, {"config": '{"rope_theta": 1}'}],
    ids=["one byte", "size", "config"],
)
def test_what_is_nearly_a_configured_base_is_not(place: Place, differs: Mapping[str, str]) -> None:
    """The same name and size are no proof; the hint says what to write for a base of its own."""
    own = place.base("models/own")
    other = place.base("scratch/own", **differs)
    failure = place.fails(other, f"id: acme/own, path: {own}")
    assert failure.code == "base_unknown"
    assert f"path: {other}" in failure.hint


def test_weights_are_read_only_where_config_and_sizes_agree(place: Place) -> None:
    """Comparing with twenty bases of other sizes costs no hashing."""
    own = place.base("models/own", "other size")
    copy = place.base("copy")
    place.fails(copy, f"id: acme/own, path: {own}")
    assert place.digests.known() == {}


def test_folders_without_weights_are_alike_and_the_same_for_that(place: Place) -> None:
    """A config alone names no base."""
    own, other = place.base("models/own"), place.base("other")
    (own / "model.safetensors").unlink()
    (other / "model.safetensors").unlink()
    assert place.fails(other, f"id: acme/own, path: {own}").code == "base_unknown"


def test_a_listed_path_with_another_model_in_it_stalls(place: Place) -> None:
    """`written_as` says that the path is the entry's base; the bytes say it is not: 16 digits of both are told."""
    own, moved = place.base("models/own"), place.base("train/base", "retrained")
    entry = f"id: acme/own, path: {own}, written_as: ['{moved}']"
    failure = place.fails(moved, entry)
    assert failure.code == "base_differs"
    assert str(moved) in failure.hint
    assert place.find(moved, f"id: acme/own, path: {moved}, written_as: ['{moved}']")[2] == str(moved)
    for folder in (own, moved):
        digits = fingerprint(folder, {})
        assert digits[:16] in failure.message
        assert digits not in failure.message
    shutil.copy(own / "model.safetensors", moved / "model.safetensors")
    os.utime(moved / "model.safetensors", ns=(1, 1))
    assert place.find(moved, entry) == ("acme/own", "local", str(own))


def test_a_listed_path_is_compared_with_the_hubs_cache_at_the_wanted_commit(place: Place) -> None:
    """The cache may hold several commits: the one that is meant counts, and tells the revision."""
    place.cached("acme/own", ONE, "old bytes")
    new = place.cached("acme/own", OTHER, "new bytes")
    path = place.base("train/base", "new bytes")
    entry = f"id: acme/own, written_as: ['{path}']"
    assert place.fails(path, entry).code == "base_differs"
    assert place.find(path, entry, wanted=OTHER) == ("acme/own", OTHER, str(new))
    assert place.find(path, f"{entry}, revision: '{OTHER}'") == ("acme/own", OTHER, str(new))


def test_a_listed_path_with_nothing_to_compare_it_with_is_believed(place: Place) -> None:
    """It is the only place where the base lies, or it lies elsewhere only."""
    path = place.base("train/base")
    assert place.find(path, f"id: acme/own, written_as: ['{path}']") == ("acme/own", "local", str(path))
    own = place.base("models/own", "other bytes")
    gone = place.tmp / "gone"
    assert place.find(gone, f"id: acme/own, path: {own}, written_as: ['{gone}']") == ("acme/own", "local", str(own))


def test_a_base_without_an_id_is_published_as_local_where_that_is_allowed(place: Place) -> None:
    """Only if it is no copy of a configured one."""
    mine, own = place.base("mine", "mine"), place.base("models/own")
    place.more = "validation: {local_base: true}"
    entry = f"id: acme/own, path: {own}"
    assert place.find(mine, entry) == ("", "local", str(mine))
    assert place.find(shutil.copytree(own, place.tmp / "copy"), entry) == ("acme/own", "local", str(own))


@pytest.mark.parametrize(
    ("written", "entries", "found"),
    [
        (COPY, (), ORIGINAL),
        (COPY.lower(), (), ORIGINAL),
        (COPY, (f"id: {COPY}",), COPY),
        (COPY, (f"id: {MIRROR}",), MIRROR),
        (COPY, (f"id: {MIRROR}", f"id: {ORIGINAL}"), ORIGINAL),
        (COPY, (f"id: acme/own, written_as: ['{COPY}']",), "acme/own"),
        (f"/x/hub/models--{COPY.replace('/', '--')}/snapshots/{ONE}", (), ORIGINAL),
        ("acme/other-bnb-4bit", (), "acme/other-bnb-4bit"),
        ("/models/other-bnb-4bit", (), ""),
    ],
)
def test_a_quantised_copy_means_its_original(place: Place, written: str, entries: tuple[str, ...], found: str) -> None:
    """Unless the operator lists the copy, or another place of the whole model."""
    assert hub_id(written, place.config(*entries)) == found


def test_a_quantised_copy_is_not_loaded_as_its_original(place: Place) -> None:
    """The trainer wrote the folder of the copy in the cache: the original must be at hand of its own."""
    copy = place.cached(COPY, ONE)
    failure = place.fails(copy)
    assert (failure.code, ORIGINAL in failure.message) == ("base_not_at_hand", True)
    whole = place.cached(ORIGINAL, OTHER, "whole")
    assert place.find(copy) == place.find(COPY) == (ORIGINAL, OTHER, str(whole))


def test_a_base_is_loaded_as_its_entry_says(place: Place) -> None:
    """Type, quantization, devices, memory and code come from the entry; the composition from the root."""
    own = place.base("models/own")
    place.root = ", trained_on: [/adapters/sft, /adapters/dpo]"
    config = place.config(
        f"id: acme/own, path: {own}, dtype: float16, device_map: auto, max_memory: {{'0': 1GiB, cpu: 2GiB}},"
        " quantization: nf4-double, trust_remote_code: true"
    )
    found = locate(
        "acme/own",
        "",
        config,
        place.cache,  # type: ignore[arg-type]  # all that is asked of it
        config.roots[0],
    )
    assert found == configured("acme/own", "local", str(own), config, config.roots[0])
    assert (found.dtype, found.device_map, found.trust_remote_code) == ("float16", "auto", True)
    assert found.max_memory == {"0": 2**30, "cpu": 2**31}
    assert found.quantization["bnb_4bit_compute_dtype"] == "float16"
    assert found.trained_on == ("/adapters/sft", "/adapters/dpo")
    assert variant_of(found) == f"quantization=nf4-double device_map=auto max_memory=0:{2**30},cpu:{2**31}"
    terms: dict[str, Any] = {"base": "acme/own", "revision": "local", "dtype": "float16", "variant": variant_of(found)}
    again = recorded(terms, config.roots[0])
    assert (variant_of(again), again.quantization, again.id) == (variant_of(found), found.quantization, "acme/own")


def test_a_base_that_is_not_listed_is_loaded_as_it_is(place: Place) -> None:
    """No entry, no variant, and no code of its own."""
    place.cached("acme/own", ONE)
    config = place.config()
    found = locate("acme/own", "", config, place.cache)  # type: ignore[arg-type]  # all that is asked of it
    assert (found.dtype, variant_of(found), found.trained_on, found.trust_remote_code) == ("auto", "", (), False)


def test_a_composition_is_known_by_what_is_merged(place: Place) -> None:
    """Its digests follow config and weights, in order; notes beside them change nothing."""
    one, two = write_adapter(place.tmp / "one", seed=1), write_adapter(place.tmp / "two", seed=2)
    place.root = f", trained_on: [{one}, {two}]"
    config = place.config()
    base = configured("acme/own", ONE, "", config, config.roots[0])
    first = composition(base, place.digests)
    assert len({*first}) == 2
    (one / "README.md").write_text("other words")
    assert composition(base) == first
    write_adapter(two, seed=3)
    assert composition(base)[0] == first[0]
    assert composition(base)[1] != first[1]


@pytest.mark.parametrize("loss", [shutil.rmtree, lambda folder: (folder / "adapter_model.safetensors").unlink()])
def test_a_composition_that_is_not_there_is_told(place: Place, loss: Callable[[Path], None]) -> None:
    """Nothing is validated in half of what it was trained on."""
    one = write_adapter(place.tmp / "one")
    place.root = f", trained_on: [{one}]"
    config = place.config()
    loss(one)
    with pytest.raises(BaseMissingError) as raised:
        composition(configured("acme/own", ONE, "", config, config.roots[0]))
    assert raised.value.code == "base_not_at_hand"
    assert "trained_on" in raised.value.hint
