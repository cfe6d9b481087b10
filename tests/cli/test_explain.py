"""show PATH explains any directory, without daemon, configuration and registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.verbs.explaining import explain

if TYPE_CHECKING:
    from cli.conftest import Make, Type

C, W, P = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({C: True, W: True}, "adapter", "adapter_config.json and adapter_model.safetensors"),
        ({C: True}, "half_written", "adapter_model.safetensors is not"),
        ({W: True}, "half_written", "adapter_config.json is not"),
        ({C: True, W: b"\x10"}, "bad_weights", "the file has 1 bytes"),
        ({C: b"{", W: True}, "bad_config", "is not JSON"),
        ({C: True, "adapter_model.bin": b"pickle"}, "pickle_only", "adapter_model.bin"),
        ({"model.safetensors": b"", "config.json": b""}, "full_model", "model.safetensors holds a full model"),
        ({"model-00001-of-00002.safetensors": b""}, "full_model", "model-00001"),
        ({"pytorch_model_fsdp_0/__0_0.distcp": b""}, "sharded_state", "pytorch_model_fsdp_0"),
        ({"global_step10/mp_rank_00_model_states.pt": b""}, "sharded_state", "global_step10"),
        ({"notes.txt": b""}, "no_adapter", "neither"),
    ],
)
def test_every_kind_of_directory_is_told(
    make: "Make", files: Mapping[str, bytes | bool], code: str, words: str
) -> None:
    """An adapter, a full model, FSDP and DeepSpeed shards, half-written, damaged and pickled ones, and none at all."""
    found = explain(make("it", files))
    assert found["code"] == code
    assert words in found["message"]
    assert bool(found["hint"]) is (code != "adapter")


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({C: True, P: b"\x80\x02}"}, "adapter", "adapter_model.bin, of which the snapshot has a copy as"),
        ({C: True, P: b"PK\x03\x04"}, "bad_weights", "cut off"),
        ({P: b"\x80\x02}"}, "half_written", "adapter_config.json is not"),
        ({C: True, P: b"", W: True}, "adapter", "adapter_config.json and adapter_model.safetensors"),
    ],
)
def test_where_pickles_are_converted_they_are_told_as_weights(
    make: "Make", files: Mapping[str, bytes | bool], code: str, words: str
) -> None:
    """One beside safetensors counts for nothing there, either."""
    found = explain(make("it", files), pickles=True)
    assert found["code"] == code
    assert words in found["message"]
    assert (P in found["files"]) is (W not in files)
    assert found["left_out"] == ([P] if W in files else [])


def test_the_configuration_says_whether_a_pickle_is_an_adapter(make: "Make", config: Path) -> None:
    """`show` tells what becomes of it here."""
    folder = make("it", {C: True, P: b"\x80\x02}"})
    for setting, words in (("false", "no adapter directory to publish: pickle_only"), ("true", "an adapter directory")):
        with config.open("a") as file:
            file.write(f"validation: {{convert_pickle: {setting}}}\n")
        said = CliRunner().invoke(app, ["show", str(folder), "--config", str(config)]).stdout
        config.write_text(config.read_text().replace(f"validation: {{convert_pickle: {setting}}}\n", ""))
        assert words in said


def test_a_link_in_the_place_of_weights_is_told(make: "Make") -> None:
    """Links are never copied, so the directory is refused."""
    folder = make("it", {C: True})
    (folder / W).symlink_to("/dev/null")
    assert explain(folder)["code"] == "not_regular"


def test_a_run_folder_names_what_lies_below(make: "Make") -> None:
    """A folder above adapter directories is none itself, and lists them."""
    folder = make("run-1", {f"checkpoint-5/{C}": True, f"checkpoint-5/{W}": True, f"checkpoint-9/{C}": True})
    assert explain(folder)["below"] == [
        {"path": "checkpoint-5", "code": "adapter"},
        {"path": "checkpoint-9", "code": "half_written"},
    ]


def test_the_command_line_explains_without_anything(adapterd: "Type", whole: Path, config: Path) -> None:
    """No configuration is needed; what is copied, what never is, and the config's facts are told."""
    done = adapterd("show", str(whole), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["schema"], found["code"]) == (1, "adapter")
    assert found["config"] == {
        "peft_type": "LORA",
        "task": "CAUSAL_LM",
        "rank": 8,
        "base": "acme/base",
        "revision": None,
    }
    assert set(found["files"]) == {C, W}
    assert found["left_out"] == ["training_args.bin"]
    assert found["observation"] is None
    said = CliRunner().invoke(app, ["show", str(whole), "--config", str(config)]).stdout
    assert "an adapter directory" in said
    assert "never copied: training_args.bin" in said
