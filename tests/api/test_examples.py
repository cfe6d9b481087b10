"""The examples that users read are run: in docstrings and on the recipes page; and its command lines are ours."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from adapterd.cli.app import app

RECIPES = Path(__file__).parents[2] / "docs" / "deploying.md"
LINES = re.findall(r"(?:^|\$\()(adapterd [a-z][^|)>\n]*)", RECIPES.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_example_runs(shell: dict[str, str]) -> None:
    """Each `>>>` in the docstrings and on the page gives what is written below it, on a real Hub."""
    command = [sys.executable, str(Path(__file__).with_name("examples.py")), str(RECIPES)]
    done = subprocess.run(command, env=shell, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_every_command_line_is_one_of_ours(line: str) -> None:
    """Each `adapterd ...` on the page is a verb with options that it has."""
    command = typer.main.get_command(app)
    verb, *arguments = shlex.split(line)[1:]
    context = command.make_context("adapterd", [verb, *arguments], resilient_parsing=True)
    found = command.get_command(context, verb)  # type: ignore[attr-defined] # a group
    assert found is not None
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known
