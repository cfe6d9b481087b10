"""validate --golden: a pulled version is compared with what its manifest recorded of it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import app
from adapterd.cli.verbs.comparing import compare
from adapterd.core import golden
from adapterd.core.golden import Golden, Prompt, Reply
from adapterd.core.reasons import reason
from adapterd.ports import DeviceBusy, DeviceTooSmall, ProbeResult, WorkerDied
from helpers.hosts import GivenValidator

Pulled = Callable[..., Path]
BASE = Reply((1, 2), (2.0, 1.0), (-0.3, -1.3), (1,) * 8)
OWN = Reply((2, 3), (4.0, 1.0), (-0.1, -3.1), (2,) * 8)
VERSIONS = {"peft": "0.21.2", "torch": "2.13.0", "transformers": "5.23.0"}
HOW = ("cpu", "auto", "1m")


def outputs(own: Reply) -> dict[str, Any]:
    """Golden outputs of a version whose adapter says this."""
    made = Golden("CAUSAL_LM", (Prompt((1, 2)),), (own,), (BASE,), "cpu", "bfloat16", 0.1, VERSIONS)
    found = golden.document(made)
    assert found is not None
    return found


def observing(own: Reply | None, **changes: Any) -> GivenValidator:  # noqa: ANN401 - fields of the result
    """A worker that observes these outputs of the adapter."""
    result = ProbeResult((), {}, "cpu", "bfloat16", VERSIONS, "f" * 64, golden=outputs(own) if own else None)
    return GivenValidator(result=replace(result, **changes))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder for --base; the worker here does not look into it."""
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


@pytest.fixture
def pulled(tmp_path: Path) -> Pulled:
    """Write a version as pull does: payload, and a manifest that lists it."""

    def write(name: str = "it", **changes: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        payload = {"adapter_config.json": b'{"peft_type": "LORA"}', "adapter_model.safetensors": b"weights"}
        for path, data in payload.items():
            (folder / path).write_bytes(data)
        manifest: Mapping[str, Any] = {
            "schema": 1,
            "adapter": "acme/support",
            "number": 3,
            "identity": {"digest": "a" * 64},
            "base": {"id": "", "revision": "local", "fingerprint": "f" * 64},
            "serving_name": "acme-support@v3-aaaaaaa",
            "files": {p: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for p, d in payload.items()},
            "golden": outputs(OWN),
        }
        (folder / "adapterd.json").write_text(json.dumps({**manifest, **changes}))
        return folder

    return write


@pytest.mark.parametrize(
    ("own", "answer", "code", "why"),
    [
        (OWN, "adapter", 0, "the outputs are 0 from the adapter's and"),
        (BASE, "base", 3, "and 0 from the base's"),
        (Reply((9, 8), (1.0, 0.5), (-9.0, -9.5), (9,) * 8), "inconclusive", 4, "like neither"),
    ],
)
def test_the_answer_stands_first_with_its_exit_code(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str], own: Reply, answer: str, code: int, why: str
) -> None:
    """Adapter is 0, base is a failed verification, inconclusive is for a person; a sentence has the distances."""
    folder, worker = pulled(), observing(own)
    assert compare([folder], str(base), HOW, as_json=False, worker=worker) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: {answer}"
    assert why in lines[1]
    assert "  on cpu bfloat16" in lines
    assert any(line.startswith("  Try: ") for line in lines) == (code != 0)


def test_a_line_of_json_has_all_of_it(pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Directory, answer, why, distances, tokens that came again, device, type and libraries."""
    folder = pulled()
    compare([folder], str(base), HOW, as_json=True, worker=observing(OWN))
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["dir"], found["answer"], found["hint"]) == (1, str(folder), "adapter", None)
    assert found["distances"].keys() == {"adapter", "base", "apart", "near", "tolerance", "base_here"}
    assert found["greedy"] == {"tokens": 8, "of": 8}
    assert (found["device"], found["dtype"], found["versions"]) == ("cpu", "bfloat16", VERSIONS)


def test_the_worker_is_asked_as_it_was_recorded(pulled: Pulled, base: Path) -> None:
    """It gets the recorded outputs, the base, and the recorded type unless another is asked for."""
    folder, worker = pulled(), observing(OWN)
    compare([folder], str(base), HOW, as_json=True, worker=worker)
    compare([folder], str(base), ("cpu", "float32", "1m"), as_json=True, worker=worker)
    first, second = worker.asked
    assert (first.snapshot, first.base.path, first.golden) == (str(folder), str(base), outputs(OWN))
    assert (first.dtype, second.dtype) == ("bfloat16", "float32")


@pytest.mark.parametrize("path", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_file_that_was_altered_is_named_and_nothing_is_loaded(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    """What is not the version needs no comparing: exit 3 with the file's name."""
    folder, worker = pulled(), observing(OWN)
    (folder / path).write_bytes(b"altered")
    assert compare([folder], str(base), HOW, as_json=False, worker=worker) == 3
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f"{folder}: not compared"
    assert f"is not acme/support@v3: {path} has " in second
    assert worker.asked == []


def test_a_file_beside_the_payload_that_a_loader_reads_is_named(pulled: Pulled, base: Path) -> None:
    """Weights that no manifest lists would be loaded, too."""
    folder, worker = pulled(), observing(OWN)
    (folder / "adapter_model.bin").write_bytes(b"pickle")
    assert compare([folder], str(base), HOW, as_json=True, worker=worker) == 3
    assert worker.asked == []


@pytest.mark.parametrize(
    ("changes", "why", "code"),
    [
        ({"golden": None}, "holds no golden outputs", 4),
        ({"golden": {"schema": 2}}, "golden outputs have schema 2; this adapterd knows 1", 4),
        ({"golden": "x"}, "the golden outputs", 4),
        ({"schema": 2}, "has schema 2; this adapterd knows 1", 4),
        ({"files": {}}, "lists no files", 3),
    ],
)
def test_a_manifest_that_cannot_be_compared_with_says_so(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str], changes: Mapping[str, Any], why: str, code: int
) -> None:
    """None of it reaches the worker; there is a hint for each."""
    folder, worker = pulled(**changes), observing(OWN)
    assert compare([folder], str(base), HOW, as_json=True, worker=worker) == code
    found = json.loads(capsys.readouterr().out)
    assert why in found["why"]
    assert found["hint"]
    assert found["answer"] in (None, "inconclusive")
    assert worker.asked == []


def test_a_base_that_is_not_on_the_hub_must_be_named(pulled: Pulled, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder is known to the one who asks alone."""
    assert compare([pulled()], "", HOW, as_json=False, worker=observing(OWN)) == 4
    assert "Try: name its folder with --base" in capsys.readouterr().out


def test_what_differs_from_the_recording_is_told(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another base model, or another library, explains an answer, and decides none."""
    worker = observing(BASE, base_fingerprint="e" * 64, versions=VERSIONS | {"peft": "0.19.0"})
    assert compare([pulled()], str(base), HOW, as_json=True, worker=worker) == 3
    why = json.loads(capsys.readouterr().out)["why"]
    assert "the base model here has the fingerprint eeeeeeeeeeee, the recorded one ffffffffffff" in why
    assert "recorded with peft 0.21.2, here 0.19.0" in why


@pytest.mark.parametrize(
    ("worker", "code", "why"),
    [
        (observing(None, findings=(reason("load_failed", "it cannot be loaded"),)), 4, "it cannot be loaded"),
        (observing(None), 4, "no outputs could be made here"),
        (GivenValidator(raises=WorkerDied("the worker died", "x", cause="worker_timeout")), 4, "the worker died"),
        (GivenValidator(raises=DeviceBusy("no device has room", "wait")), 75, "no device has room"),
        (GivenValidator(raises=DeviceTooSmall("no device can hold it")), 4, "no device can hold it"),
    ],
)
def test_without_outputs_there_is_no_answer(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str], worker: GivenValidator, code: int, why: str
) -> None:
    """A worker that dies, or finds a fault, has not said that it is the base."""
    assert compare([pulled()], str(base), HOW, as_json=True, worker=worker) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"], found["why"]) == ("inconclusive", why)


def test_the_worst_of_several_gives_the_exit_code(
    pulled: Pulled, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was altered does not keep the others from being compared."""
    one, other = pulled("one"), pulled("other")
    (one / "adapter_config.json").write_bytes(b"{}")
    assert compare([one, other], str(base), HOW, as_json=True, worker=observing(OWN)) == 3
    answers = [json.loads(line)["answer"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [None, "adapter"]


def test_a_directory_that_was_not_pulled_is_not_found(tmp_path: Path) -> None:
    """Without a manifest there is nothing to compare with: exit 5, and the hint says what brings one."""
    (tmp_path / "bare").mkdir()
    done = CliRunner().invoke(app, ["validate", "--golden", str(tmp_path / "bare")], catch_exceptions=False)
    assert done.exit_code == 5
    assert "Try: `adapterd pull ADAPTER@vN DIR`" in done.stdout
