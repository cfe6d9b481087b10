"""Names: paths to runs and adapters, adapters to repos, references to versions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import naming
from adapterd.core.naming import NameRefusedError, Place

HUB_TAKES = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")


@pytest.mark.parametrize(
    ("path", "runs", "place"),
    [
        (".", (), Place(".", "", None)),
        ("run", (), Place("run", "", None)),
        ("checkpoint-5", (".",), Place(".", "", 5)),
        ("run/checkpoint-5", ("run",), Place("run", "", 5)),
        ("team/run/checkpoint-5", ("team/run",), Place("team/run", "", 5)),
        ("run/policy", ("run",), Place("run", "policy", None)),
        ("team/run", (), Place("team/run", "", None)),
        ("run/checkpoint-5/policy", ("run",), Place("run", "policy", 5)),
        ("run/checkpoint-5/a/b", ("run",), Place("run", "a/b", 5)),
        ("run/checkpoint-x", ("run",), Place("run", "checkpoint-x", None)),
    ],
)
def test_layouts(path: str, runs: tuple[str, ...], place: Place) -> None:
    """Run, checkpoint and named adapter are read from the path, with what is known of runs."""
    assert naming.place(path, runs.__contains__) == place


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("support-2026-01-31", "support"),
        ("support_20260131-235959", "support"),
        ("2026-01-31_23-59-59-support", "support"),
        ("support-2026-01-31T23:59:59Z", "support"),
        ("support 2026-01-31 10:11:12", "support"),
        ("support.31-01-2026", "support"),
        ("Jan31_23-59-59_gpu7", "gpu7"),
        ("support-slurm-12345_7", "support"),
        ("support-Job4711", "support"),
        ("support-1767225600", "support"),
        ("20260131T235959Z", ""),
        ("qwen2.5-7b-lora", "qwen2.5-7b-lora"),
        ("llama-3-8b-r16", "llama-3-8b-r16"),
        ("support-v2", "support-v2"),
        ("run-42", "run-42"),
        ("gsm8k", "gsm8k"),
    ],
)
def test_stamps_are_stripped(name: str, plain: str) -> None:
    """Dates, times and job ids go; sizes and version numbers of a model stay."""
    assert naming.strip_stamps(name) == plain


@given(
    st.lists(
        st.sampled_from(
            ["support", "7b", "20260131", "23-59-59", "12", "30", "job7", "2026-01-31", "-", "_", ".", "T"]
        ),
        max_size=8,
    ).map("-".join)
)
def test_stripping_twice_strips_no_more(name: str) -> None:
    """What is left of a name holds no stamp, also where two halves came together."""
    once = naming.strip_stamps(name)
    assert naming.strip_stamps(once) == once


@pytest.mark.parametrize(
    ("template", "place", "name"),
    [
        ("{run}", Place("support", "", None), "support"),
        ("{run}", Place("team/support-2026-01-31", "", 5), "support"),
        ("{run}-{name}", Place("support", "policy", None), "support-policy"),
        ("{run}-{name}", Place("support", "a/b", 5), "support-a-b"),
        ("{parent}-{run}", Place("team/support", "", None), "team-support"),
        ("{parent}", Place("support/20260131", "", None), "support"),
        ("{root}-{base}", Place("x", "", None), "support-root-tiny-base"),
        ("{user}-{run}", Place("support", "", None), "alice-support"),
        ("{run}", Place(".", "", None), "support-root"),
        ("{run}", Place("my support (new)", "", None), "my-support-new"),
    ],
)
def test_templates(template: str, place: Place, name: str) -> None:
    """A template's variables come from the place, the root, the base model and the user."""
    assert naming.adapter_name(template, place, "/data/support-root/", "a/tiny-base", "alice") == name


@pytest.mark.parametrize(
    "run",
    [
        "outputs",
        "Checkpoint",
        "lora_model",
        "results",
        "out",
        "20260131-235959",
        "outputs-20260131",
        "final-model",
        "7",
        "-",
        "日本",
    ],
)
def test_generic_names_are_refused(run: str) -> None:
    """A name that says nothing stalls instead of making a meaningless repo."""
    with pytest.raises(NameRefusedError) as refused:
        naming.adapter_name("{run}", Place(run, "", None), "/train", "", "alice")
    assert refused.value.code == "generic_name"


@given(
    st.sampled_from(["{run}", "{run}-{name}", "{parent}.{run}", "{user}_{base}", "{root}"]),
    st.text(max_size=120),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_name_is_one_that_the_hub_takes_or_is_refused(template: str, run: str, name: str, base: str) -> None:
    """Whatever folders are called, a rendered name is one for a repo, or refused."""
    place = Place(run.replace("/", "") or ".", name.replace("/", ""), None)
    try:
        rendered = naming.adapter_name(template, place, "/train/support", base, "alice")
    except NameRefusedError:
        return
    assert HUB_TAKES.fullmatch(rendered)
    assert not rendered.endswith((".git", ".ipynb"))


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "a..b", "a b", "a.git", "a/b", "ä", "a" * 97])
def test_names_that_the_hub_refuses(name: str) -> None:
    """A label's name goes to the Hub as it is, or not at all."""
    with pytest.raises(NameRefusedError) as refused:
        naming.checked_name(name)
    assert refused.value.code == "bad_name"


@pytest.mark.parametrize(
    ("tag", "number"),
    [("v1", 1), ("v12", 12), ("v0", None), ("v01", None), ("V1", None), ("v1\u0663", None), ("v1-rc", None)],
)
def test_version_tags(tag: str, number: int | None) -> None:
    """`vN` is a version, with plain digits and no leading zero."""
    assert naming.tag_number(tag) == number


@pytest.mark.parametrize(
    ("text", "hub_id"),
    [
        ("org/name", True),
        ("name", False),
        ("/org/name", False),
        ("org/name/x", False),
        ("ü/ä", False),
        ("a/b--c", False),
    ],
)
def test_hub_ids(text: str, *, hub_id: bool) -> None:
    """A Hub id is `org/name` in plain letters."""
    assert naming.is_hub_id(text) is hub_id


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("main", True),
        ("stable", True),
        ("Prod_1.x", True),
        ("versions", False),
        ("Standing", False),
        ("HEAD", False),
        ("v7", False),
        ("v007", False),
        ("deadbeef", False),
        ("a..b", False),
        ("a.lock", False),
        ("a/b", False),
        ("", False),
    ],
)
def test_channel_names(name: str, *, allowed: bool) -> None:
    """A channel is a plain branch name that cannot be taken for a version, a commit or a branch of our own."""
    assert (naming.channel_fault(name) == "") is allowed


def test_references() -> None:
    """What stands behind the @ is a version, a channel, a commit or an identity; nothing is `main`."""
    assert naming.parse_reference("a/b").channel == "main"
    assert naming.parse_reference("a/b@v7").number == 7
    assert naming.parse_reference("a/b@stable").channel == "stable"
    assert naming.parse_reference("a/b@" + "0" * 40).commit == "0" * 40
    assert naming.parse_reference("a/b@id:0123abcd").identity == "0123abcd"
    for text in ("b", "a/b@", "a/b@id:0123", "a/b@versions", "a/b@v0"):
        with pytest.raises(ValueError, match="'"):
            naming.parse_reference(text)


def test_serving_names_are_unique_to_a_version() -> None:
    """Two versions never share a name under which an engine caches."""
    names = {naming.serving_name("a/b", n, digit * 64) for n in (1, 2) for digit in "ab"}
    assert len(names) == 4


def test_newest_checkpoints() -> None:
    """Of each run and named adapter, the checkpoint with the highest step; finals are none."""
    paths = ["r/checkpoint-9", "r/checkpoint-10", "r/checkpoint-10/policy", "s/checkpoint-1", "s"]
    places = [(path, naming.place(path, {"r", "s"}.__contains__)) for path in paths]
    assert naming.newest_checkpoints(places) == {
        ("r", ""): "r/checkpoint-10",
        ("r", "policy"): "r/checkpoint-10/policy",
        ("s", ""): "s/checkpoint-1",
    }
