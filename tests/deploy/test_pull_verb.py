"""pull as a deployer types it: layouts, links, former versions, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from adapterd.cli.exits import Exit, code_of
from adapterd.deploy import Layout, Shelf

if TYPE_CHECKING:
    from deploy.conftest import Repo

AWAY = "http://127.0.0.1:9"
Type = Callable[..., Result]


def code(done: Result) -> int:
    """The exit code as a shell would have it."""
    error = done.exception
    return done.exit_code if error is None or isinstance(error, SystemExit) else code_of(error)


def test_a_link_follows_a_channel(published: "Repo", here: Type, tmp_path: Path) -> None:
    """Two channels of one adapter lie side by side for vLLM, each under its serving name and its link."""
    names = {number: published.manifests[number]["serving_name"] for number in (1, 2)}
    for channel, number in (("main", 1), ("candidate", 2)):
        at = f"{published.adapter}@{channel}"
        done = here("pull", at, "it", "--layout", "vllm", "--link", channel, "--keep", "0", "--json")
        assert code(done) == Exit.DONE, done.output
        found = json.loads(done.stdout)
        assert (found["path"], found["layout"], found["offline"]) == (
            str(tmp_path / "it" / names[number]),
            "vllm",
            False,
        )
    shelf = Shelf(tmp_path / "it", Layout.VLLM)
    assert shelf.links() == {"candidate": names[2], "main": names[1]}
    assert shelf.there().keys() == {*names.values()}


@pytest.mark.parametrize(("keep", "left"), [((), {1, 2}), (("--keep", "0"), {1})])
def test_the_former_version_stays_unless_it_shall_not(
    published: "Repo", here: Type, tmp_path: Path, keep: tuple[str, ...], left: set[int]
) -> None:
    """Another version of the same adapter takes the directory; the former one waits beside it, or goes."""
    for number in (2, 1):
        assert code(here("pull", f"{published.adapter}@v{number}", "it", *keep)) == Exit.DONE
    assert json.loads((tmp_path / "it" / "adapterd.json").read_bytes())["number"] == 1
    assert {held.number for held in Shelf(tmp_path / "it", Layout.PLAIN).there().values()} == left


def test_without_the_hub_what_lies_there_is_good(published: "Repo", here: Type) -> None:
    """It ends well with a warning; what does not lie there is exit 75."""
    assert code(here("pull", f"{published.adapter}@candidate", "it")) == Exit.DONE
    away = ("--endpoint", AWAY)
    for at in ("@candidate", "@v2"):
        done = here("pull", f"{published.adapter}{at}", "it", *away)
        assert code(done) == Exit.DONE, done.output
        assert done.stderr.index("warning: ") < done.stderr.index("nothing to download")
        assert done.stderr.count("warning: ") == 1
        assert done.stdout.startswith(f"{published.adapter}@v2 lies verified in ")
    for at, place in (("@main", "it"), ("@v1", "it"), ("@v2", "elsewhere")):
        assert code(here("pull", f"{published.adapter}{at}", place, *away)) == Exit.WAITING


def test_what_does_not_fit_is_a_wrong_command_line(published: "Repo", here: Type) -> None:
    """A link in a layout without links, a layout that is none, a negative number."""
    for more in (("--link", "x"), ("--link", "x", "--layout", "nim"), ("--layout", "tgi"), ("--keep", "-1")):
        assert code(here("pull", f"{published.adapter}@v1", "it", *more)) == Exit.USAGE
