"""Two digests: the identity makes two saves one version, the tree names exact bytes."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import adapter as ad

FIELDS: dict[str, Any] = {
    "peft_type": "LORA",
    "base_model_name_or_path": "/models/base",
    "peft_version": "0.21.2",
    "inference_mode": True,
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj", "k_proj"],
    "modules_to_save": ["lm_head", "score"],
    "alpha_pattern": {"a": 1, "b": 2},
}
FILES = {ad.CONFIG: "c" * 64, ad.WEIGHTS: "w" * 64, "tokenizer.json": "t" * 64}
WORDS = st.text("abcdefgh_", min_size=1, max_size=6)


@given(st.lists(WORDS, min_size=1, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_sets_does_not_count(modules: list[str], shuffler: random.Random) -> None:
    """PEFT writes sets in hash order: the same modules in any order are the same version."""
    shuffled = list(modules)
    shuffler.shuffle(shuffled)
    one = {**FIELDS, "target_modules": modules, "exclude_modules": modules}
    two = {**FIELDS, "target_modules": shuffled, "exclude_modules": list(reversed(shuffled))}
    assert ad.identity_digest(one, FILES) == ad.identity_digest(two, FILES)


@given(path=st.text(max_size=30), version=st.text(max_size=10), mode=st.booleans())
def test_base_path_peft_version_and_mode_do_not_count(path: str, version: str, *, mode: bool) -> None:
    """The same training saved from another place, by another PEFT or in another mode is one version."""
    other = {**FIELDS, "base_model_name_or_path": path, "peft_version": version, "inference_mode": mode}
    bare = {key: value for key, value in FIELDS.items() if key not in ("base_model_name_or_path", "peft_version")}
    assert ad.identity_digest(other, FILES) == ad.identity_digest(FIELDS, FILES)
    assert ad.identity_digest(bare, FILES) == ad.identity_digest(FIELDS, FILES)


def test_everything_else_counts() -> None:
    """Rank, alpha, a regular expression, weights and tokenizer make another version; the config's bytes do not."""
    mine = ad.identity_digest(FIELDS, FILES)
    others = [
        ad.identity_digest({**FIELDS, "r": 16}, FILES),
        ad.identity_digest({**FIELDS, "lora_alpha": 32}, FILES),
        ad.identity_digest({**FIELDS, "target_modules": "q_proj|v_proj"}, FILES),
        ad.identity_digest({**FIELDS, "layers_to_transform": [1, 0]}, FILES),
        ad.identity_digest({**FIELDS, "layers_to_transform": [0, 1]}, FILES),
        ad.identity_digest(FIELDS, {**FILES, ad.WEIGHTS: "x" * 64}),
        ad.identity_digest(FIELDS, {**FILES, "tokenizer.json": "x" * 64}),
        ad.identity_digest(FIELDS, {ad.CONFIG: "c" * 64, ad.WEIGHTS: "w" * 64}),
    ]
    assert len({mine, *others}) == 1 + len(others)
    assert ad.identity_digest(FIELDS, {**FILES, ad.CONFIG: "d" * 64}) == mine


@given(st.dictionaries(WORDS, st.tuples(st.sampled_from(["a" * 64, "b" * 64]), st.integers(0, 9)), max_size=4))
def test_tree_names_the_exact_files(files: dict[str, tuple[str, int]]) -> None:
    """Any path, digest or size that differs gives another tree; the order does not."""
    backwards = dict(reversed(files.items()))
    assert ad.tree_digest(files) == ad.tree_digest(backwards)
    assert ad.tree_digest({**files, "more": ("c" * 64, 1)}) != ad.tree_digest(files)
    for path, (digest, size) in files.items():
        assert ad.tree_digest({**files, path: (digest, size + 1)}) != ad.tree_digest(files)


def test_repair_writes_the_hub_id_and_records_no_path() -> None:
    """The base's path becomes its Hub id, the record keeps only the path's last part, and the identity stays."""
    data = json.dumps(FIELDS).encode()
    repaired, records = ad.repair_base(data, "acme/base-7b")
    fields = json.loads(repaired)
    assert fields == {**FIELDS, "base_model_name_or_path": "acme/base-7b"}
    assert records == ({"file": ad.CONFIG, "key": "base_model_name_or_path", "was": "base", "now": "acme/base-7b"},)
    assert ad.identity_digest(fields, FILES) == ad.identity_digest(FIELDS, FILES)


def test_repair_leaves_a_right_config_alone() -> None:
    """Bytes that name the Hub id already stay as they are, to the last space."""
    data = b'{ "peft_type":"LORA",   "base_model_name_or_path": "acme/base" }'
    assert ad.repair_base(data, "acme/base") == (data, ())


@given(st.text(max_size=20))
def test_repair_twice_changes_nothing_more(base: str) -> None:
    """Repairing what was repaired gives the same bytes and no record."""
    encoded = base.encode("utf-8", "replace").decode()
    data = json.dumps({**FIELDS, "base_model_name_or_path": encoded}).encode()
    once, _ = ad.repair_base(data, "acme/base")
    assert ad.repair_base(once, "acme/base") == (once, ())
