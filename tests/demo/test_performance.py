"""The demo itself, with few training steps: real trainings, daemon, Hub and deployer, each a process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapterd.core.version import Stage
from adapterd.registry import open_reader

DEMO = Path(__file__).resolve().parents[2] / "demo" / "demo.py"
LONGEST = 400


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The home after one performance without a terminal, and what the process said."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(DEMO), "--quick", "--home", str(folder / "home"), "--record", str(folder / "it.svg")]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LONGEST
    )
    return folder, done


def test_everything_comes_as_it_should(performed: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    """Everything is checked, nothing failed, and without a terminal the demo ends at once with 0."""
    _, done = performed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is as it should be" in done.stdout
    assert "FAILED" not in done.stdout
    assert done.stderr == ""


def test_good_adapters_are_published_and_broken_ones_refused(
    performed: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    """The registry holds every checkpoint of one root, the final of the other, and a reason for each refusal."""
    folder, _ = performed
    with open_reader(folder / "home" / "state" / "registry.db") as reader:
        published = sorted(version.label for version in reader.versions(stage=Stage.PUBLISHED))
        refused = {version.run: version.reason for version in reader.versions(stage=Stage.REJECTED)}
        main = {channel.adapter: channel.number for channel in reader.channels() if channel.channel == "main"}
    assert published == ["demo/recipes-lora@v1", *(f"demo/support-lora@v{number}" for number in (1, 2, 3))]
    assert refused == {"saved-too-early": "no_effect", "saved-compiled": "key_prefix"}
    assert main == {"demo/recipes-lora": 1, "demo/support-lora": 3}


def test_what_is_loaded_by_tag_is_what_was_trained(
    performed: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    """PEFT loads each final from the Hub by its tag, and its logits are those of the training host's folder."""
    folder, _ = performed
    found = json.loads((folder / "home" / "reports" / "deployer.json").read_text())
    finals = {version["tag"]: version for version in found["versions"] if "equal" in version}
    assert {tag: version["distance"] for tag, version in finals.items()} == {"v1": 0.0, "v3": 0.0}
    assert all(version["equal"] and version["effect"] > 0 for version in finals.values())


def test_the_picture_shows_the_line_and_loads_nothing(
    performed: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    """The recorded SVG names the versions and reasons, no path of this machine, and no font of another host."""
    folder, _ = performed
    drawn = (folder / "it.svg").read_text()
    assert all(word in drawn for word in ("published", "no_effect", "key_prefix"))
    assert "@font-face" not in drawn
    assert str(folder) not in drawn


def test_no_process_is_left_behind(performed: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    """Nothing that was started for the home still runs."""
    folder, _ = performed
    left = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            left.append(command)
    assert left == []
