"""What is wrong with one directory or root holds up no other."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapterd.draining import SAY_EVERY, Draining
from adapterd.health import Health
from adapterd.lanes import Exports, Intake, coming, unfinished
from adapterd.ports import Draft, Observation
from adapterd.steps.host import Host
from helpers.adapters import write_adapter
from steps.conftest import PATIENCE, Site


class Faulty:
    """A registry with a fault at one adapter, and at one root."""

    def __init__(self, registry: object, *, adapter: str = "", root: str = "") -> None:
        """Stand in for `registry`."""
        self._registry, self._adapter, self._root = registry, adapter, root

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the registry has
        """Give the registry's own."""
        return getattr(self._registry, name)

    def intake(self, draft: Draft, at: float) -> object:
        """Fail at the one adapter."""
        if draft.adapter == self._adapter:
            raise ZeroDivisionError
        return self.__getattr__("intake")(draft, at)

    def observations(self, root: str | None = None, **chosen: object) -> list[Observation]:
        """Fail at the one root."""
        if root is not None and root == self._root:
            raise ZeroDivisionError
        found: list[Observation] = self.__getattr__("observations")(root, **chosen)
        return found


def _turn(host: Host) -> Health:
    health = Health("", "", 0.0, host.monotonic)
    Intake(lambda: host, health).turn()
    return health


def test_a_fault_at_one_directory_stalls_that_one_and_the_next_is_taken(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line is said with the directory's name, once; it is tried again with each scan."""
    for run in ("broken", "sound"):
        write_adapter(site.root / run / "checkpoint-5", seed=len(run))
    host = replace(site.host, registry=Faulty(site.registry, adapter="acme/broken"))  # type: ignore[arg-type]  # stands in
    _turn(host)
    assert site.states() == {"broken/checkpoint-5": "stalled:bug", "sound/checkpoint-5": "settled"}
    assert [v.adapter for v in site.registry.versions()] == ["acme/sound"]
    said = capfd.readouterr()
    assert "broken/checkpoint-5" in said.out + said.err
    site.rest()
    assert site.states()["broken/checkpoint-5"] == "settled"


def test_a_fault_at_one_root_is_shown_there_and_the_next_root_is_scanned(site: Site) -> None:
    """Every other root is worked as ever."""
    second = site.tmp / "second"
    write_adapter(second / "support" / "checkpoint-5")
    config = site.host.config
    roots = [config.roots[0], config.roots[0].model_copy(update={"path": second, "backlog": "all"})]
    config = config.model_copy(update={"roots": tuple(roots)})
    faulty = Faulty(site.registry, root=str(site.root))
    health = _turn(replace(site.host, config=config, registry=faulty))  # type: ignore[arg-type]  # stands in
    assert health.roots[str(site.root)].problem == "bug"
    assert [v.adapter for v in site.registry.versions()] == ["acme/support"]


def test_a_file_whose_name_is_no_text_holds_nothing_up(site: Site) -> None:
    """A part of a sharded state may have any name; the directory is said to be unfinished, and the next is taken."""
    odd = site.root / "alpha"
    write_adapter(odd / "checkpoint-5")
    (odd / "checkpoint-5" / "adapter_config.json").unlink()
    Path(os.fsdecode(os.fsencode(odd / "checkpoint-5") + b"/\xff_model_states.pt")).touch()
    write_adapter(site.root / "beta" / "checkpoint-5")
    _turn(site.host)
    assert site.states() == {"alpha/checkpoint-5": "waiting:half_written", "beta/checkpoint-5": "settled"}


def test_a_directory_that_went_before_its_snapshot_is_said(
    make_site: Callable[..., Site], capfd: pytest.CaptureFixture[str]
) -> None:
    """A person hears of each that was missed, by its name."""
    site = make_site(checkpoints="all").empty()
    folder = write_adapter(site.root / "support")
    _turn(site.host)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    capfd.readouterr()
    _turn(site.host)
    assert site.states() == {"support": "source_gone"}
    said = capfd.readouterr()
    assert "support" in said.out + said.err


def test_a_folder_that_may_not_be_read_is_said_once(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever lies in it is missed, so a person hears of it."""
    if os.geteuid() == 0:
        pytest.skip("the superuser reads everything")
    hidden = site.root / "private"
    write_adapter(hidden / "checkpoint-5")
    hidden.chmod(0)
    host = site.host
    intake = Intake(lambda: host, Health("", "", 0.0, host.monotonic))
    try:
        intake.turn()
        assert "private" in "".join(capfd.readouterr())
        intake.turn()
        assert "private" not in "".join(capfd.readouterr())
    finally:
        hidden.chmod(0o700)


def test_what_a_job_left_half_written_does_not_keep_a_drain_waiting(site: Site) -> None:
    """Weights without a config, from a job that was killed: after the patience there is nothing to wait for."""
    (write_adapter(site.root / "support") / "adapter_config.json").unlink()
    site.turn()
    assert unfinished(site.host) == [f"{site.root}/support"]
    site.clock.now += PATIENCE + 1
    site.turn()
    assert unfinished(site.host) == []
    assert site.states() == {"support": "refused:abandoned"}


def test_what_waited_before_a_command_does_not_keep_its_drain_waiting(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only what the command touched is waited for, and that is said by name."""
    write_adapter(site.root / "other")
    site.turn()
    health = Health("", "", 0.0, site.clock)
    draining = Draining(lambda: site.host, health, lambda: None, coming(site.host))
    assert not draining.done(), "no scan since the command ended"
    health.scans_done = 1
    assert draining.done()
    write_adapter(site.root / "support")
    site.turn()
    capfd.readouterr()
    assert [draining.done(), draining.done()] == [False, False]
    said = "".join(capfd.readouterr())
    assert said.count("draining") == 1
    assert "/support" in said
    assert "/other" not in said
    write_adapter(site.root / "other", seed=9)
    site.turn()
    site.clock.now += SAY_EVERY
    assert not draining.done()
    assert "/other" in "".join(capfd.readouterr())


def test_a_root_that_is_gone_does_not_keep_a_drain_waiting(site: Site) -> None:
    """What waited there cannot come to rest while the root is not there."""
    write_adapter(site.root / "support")
    site.turn()
    assert unfinished(site.host) == [f"{site.root}/support"]
    site.root.rename(site.tmp / "away")
    site.turn()
    assert unfinished(site.host) == []


def test_an_index_that_cannot_be_written_is_shown_and_holds_nothing_up(site: Site) -> None:
    """Its folder is not there: the problem stands in the status until it can be written."""
    host = replace(site.host, index=site.tmp / "nowhere" / "index.json")
    health = Health("", "", 0.0, host.monotonic)
    exports = Exports(lambda: host, health)
    exports.turn()
    assert "index_unwritable" in health.problems
    host.index.parent.mkdir()
    exports.turn()
    assert not health.problems
    assert host.index.exists()
