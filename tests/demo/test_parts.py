"""The demo's parts: texts, home, child processes, rows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from adapterd.config import load
from walkthrough import home as homes
from walkthrough import texts, view
from walkthrough.children import ChildError, Children
from walkthrough.rows import Row

PATIENCE = 30.0
SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]
PUBLISHED = Row(
    "assistants/support-lora/checkpoint-120", "support-lora", "published", "v3", "on main", before=3.5, after=2.25
)


@pytest.mark.parametrize("file", sorted(texts.FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_what_is_held_out_is_never_trained_on(file: Path) -> None:
    """Every bundled text gives several held-out paragraphs, none of which is in the training part."""
    found = texts.paragraphs(file)
    learnt, held_out = texts.split(found)
    assert sorted([*learnt, *held_out]) == sorted(found)
    assert not set(learnt) & set(held_out)
    assert len(held_out) >= 4


def test_the_home_is_wiped_and_taken_by_one_alone(tmp_path: Path) -> None:
    """What lay there is gone, and a second performance in the same home is refused while the first runs."""
    folder = tmp_path / "home"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "file").write_text("x")
    with homes.opened(folder) as home:
        assert not (folder / "old").exists()
        assert home.logs.is_dir()
        with pytest.raises(homes.BusyError), homes.opened(folder):
            pass
    with homes.opened(folder):
        pass


def test_the_configuration_is_one_that_adapterd_takes(tmp_path: Path) -> None:
    """The file that is written names both roots, the base and the probe texts, whatever characters they hold."""
    home = homes.Home(tmp_path)
    text = homes.configuration(
        home,
        endpoint="http://127.0.0.1:1234",
        base=homes.Base("demo/tiny", tmp_path / "base: one"),
        roots={"assistants": "all", "kitchen": "final"},
        probe_texts=['She said: "bread" # and é'],
        run_folder=tmp_path / "run",
        port=1235,
    )
    home.config.write_text(text, encoding="utf-8")
    config = load(home.config)
    assert [(Path(root.path).name, root.checkpoints) for root in config.roots] == [
        ("assistants", "all"),
        ("kitchen", "final"),
    ]
    assert config.base_models[0].path == tmp_path / "base: one"
    assert config.validation.probe_texts == ('She said: "bread" # and é',)


def test_a_control_socket_finds_room_below_a_long_path(tmp_path: Path) -> None:
    """Where the home's own path is too long for the kernel, the runtime folder lies elsewhere, and is removed."""
    short, long = homes.Home(Path("/h")), homes.Home(tmp_path / ("x" * 120))
    with homes.runtime(short) as folder:
        assert folder == Path("/h/run")
    with homes.runtime(long) as folder:
        assert folder.is_dir()
        assert len(str(folder)) <= homes.SOCKET_ROOM
    assert not folder.exists()


def test_children_see_neither_token_nor_caches_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child's environment has a Hub cache of its own, and nothing of the caller's Hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    monkeypatch.setenv("HF_ENDPOINT", "http://elsewhere.invalid")
    seen = homes.Home(tmp_path).environ()
    assert "HF_TOKEN" not in seen
    assert "HF_ENDPOINT" not in seen
    assert Path(seen["HF_HOME"]).is_relative_to(tmp_path)


def test_children_are_ended_by_their_own_id(tmp_path: Path) -> None:
    """Leaving the block ends every child that still runs, also after an exception."""
    children = Children(tmp_path)
    with pytest.raises(KeyboardInterrupt), children:
        _start_and_be_interrupted(children)
    assert children.stop() == {}
    children.start("three", SLEEP, os.environ)
    assert children.stop() == {"three": -signal.SIGTERM}


def _start_and_be_interrupted(children: Children) -> None:
    children.start("one", SLEEP, os.environ)
    children.start("two", SLEEP, os.environ)
    raise KeyboardInterrupt


def test_a_child_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The error names the child and its exit code, and shows the end of its log."""
    with Children(tmp_path) as children:
        children.start("it", [sys.executable, "-c", "print('last words'); raise SystemExit(7)"], os.environ)
        with pytest.raises(ChildError, match=r"it ended with exit code 7:\n  last words"):
            children.wait("it", time.monotonic() + PATIENCE)
        with pytest.raises(ChildError, match="it has ended"):
            children.demand_running("it")


def test_standard_output_of_a_question_stands_alone(tmp_path: Path) -> None:
    """What a child writes to standard error does not mix with its answer."""
    script = "import sys; print('answer'); print('noise', file=sys.stderr)"
    with Children(tmp_path) as children:
        answer = children.ask("it", [sys.executable, "-c", script], os.environ, time.monotonic() + PATIENCE)
    assert answer == "answer\n"


@pytest.mark.parametrize("width", [80, view.WIDTH])
def test_the_table_keeps_every_column(width: int) -> None:
    """Stage, tag, reason and both losses are whole on a terminal of 80 columns and on a wide one."""
    console = Console(width=width, file=Path(os.devnull).open("w"), record=True)  # noqa: SIM115 - the console keeps it
    console.print(view.table([PUBLISHED], width))
    drawn = console.export_text()
    console.file.close()
    assert all(word in drawn for word in ("checkpoint-120", "published", "v3", "on main", "3.500 \u2192 2.250"))


def test_without_a_terminal_each_change_is_one_line() -> None:
    """A row is told when it changes, and not again."""
    console = Console(file=Path(os.devnull).open("w"), record=True, width=200)  # noqa: SIM115 - the same
    shown = view.View(console)
    with shown.following():
        shown.follow([PUBLISHED], "", 1.0)
        shown.follow([PUBLISHED], "", 2.0)
    lines = console.export_text().splitlines()
    console.file.close()
    assert len(lines) == 1
    assert lines[0].split() == [
        "1.0s",
        PUBLISHED.directory,
        "published",
        "v3",
        "on",
        "main",
        *["loss", "3.500", "→", "2.250"],
    ]


def test_the_scripts_that_train_know_nothing_of_adapterd() -> None:
    """No script that a training host would run imports it."""
    for name in ("make_base.py", "train_adapter.py", "break_adapter.py", "load_by_tag.py"):
        text = (texts.FOLDER.parent / name).read_text(encoding="utf-8")
        assert "import adapterd" not in text
        assert "from adapterd" not in text


def test_the_demo_says_how_it_is_used() -> None:
    """`--help` names the options, without a training library having been imported."""
    script = texts.FOLDER.parent / "demo.py"
    done = subprocess.run([sys.executable, str(script), "--help"], check=True, capture_output=True, text=True)
    assert "--base" in done.stdout
