"""vLLM and SGLang are asked in their own words, and their refusals are understood."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from adapterd.deploy.engines import CommandEngine, EngineRefusedError, Order, ServingEngine
from adapterd.ports import Denied, Transient
from helpers.engines import BASE, KEY, RecordedEngine, serving

NAME = "acme-sql@v1-aaaaaaa"


@pytest.fixture(params=["vllm", "sglang"])
def engine(request: pytest.FixtureRequest) -> Iterator[RecordedEngine]:
    """An engine of each kind."""
    with serving(request.param) as running:
        yield running


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """A version that lies in a folder."""
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    return Order("acme/sql", "sql", NAME, folder)


def test_a_version_is_loaded_listed_and_unloaded(engine: RecordedEngine, order: Order) -> None:
    """What kind of engine it is follows from its list of models; each act may be asked for twice."""
    client = ServingEngine(f"{engine.url}/v1")
    for _ in range(2):
        client.load(order)
        assert client.listed() == {BASE: BASE, NAME: str(order.folder)}
    for _ in range(2):
        client.unload(order)
        assert client.listed() == {BASE: BASE}


def test_an_engine_may_see_another_file_system(engine: RecordedEngine, order: Order, tmp_path: Path) -> None:
    """The folder is named as the engine calls it, and read back as this host does."""
    there = tmp_path.with_name(f"{tmp_path.name}-there")
    there.symlink_to(tmp_path)
    client = ServingEngine(engine.url, folders=(tmp_path, there))
    client.load(order)
    assert engine.loaded == {NAME: str(there / NAME)}
    assert client.listed()[NAME] == str(order.folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"max_rank": 4}, "rank", id="rank too high"),
        pytest.param({"fails": "modules_to_save is not supported"}, "modules_to_save", id="load failure"),
    ],
)
def test_a_refusal_says_what_the_engine_said(
    engine: RecordedEngine, order: Order, settings: Mapping[str, object], words: str
) -> None:
    """It is no failure of the network, and its hint says what to do."""
    for name, value in settings.items():
        setattr(engine, name, value)
    with pytest.raises(EngineRefusedError, match=words) as raised:
        ServingEngine(engine.url).load(order)
    assert raised.value.hint


def test_a_folder_that_the_engine_does_not_see_is_said_so(engine: RecordedEngine, tmp_path: Path) -> None:
    """The usual mistake with containers."""
    with pytest.raises(EngineRefusedError) as raised:
        ServingEngine(engine.url).load(Order("acme/sql", "sql", NAME, tmp_path / "absent"))
    assert "let the engine see" in raised.value.hint


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_an_engine_that_takes_no_adapters_at_run_time_is_said_so(kind: str, order: Order) -> None:
    """Of the two, vLLM has no such address without its variable; SGLang says what is missing."""
    with serving(kind, runtime=False) as engine, pytest.raises(EngineRefusedError) as raised:
        ServingEngine(engine.url).load(order)
    assert "enable-lora" in str(raised.value)


def test_an_engine_that_is_away_or_starting_is_waited_for(engine: RecordedEngine, order: Order) -> None:
    """Neither is a refusal."""
    client = ServingEngine(engine.url)
    engine.starting = True
    with pytest.raises(Transient, match="not ready"):
        client.load(order)
    engine.stop()
    with pytest.raises(Transient, match="does not answer"):
        client.listed()


def test_a_key_is_sent_and_a_wrong_one_is_said_so(engine: RecordedEngine, order: Order) -> None:
    """The key goes along as a bearer token."""
    engine.key = KEY
    with pytest.raises(Denied, match="refuses the key"):
        ServingEngine(engine.url).listed()
    ServingEngine(engine.url, api_key=lambda: KEY).load(order)
    assert NAME in engine.loaded


def test_sglangs_unfinished_unload_is_finished_first(order: Order) -> None:
    """A name whose unload was cut off can be loaded again."""
    with serving("sglang", unfinished={NAME}) as engine:
        ServingEngine(engine.url).load(order)
        assert [what for what, _ in engine.calls] == ["load", "unload", "load"]
        assert NAME in engine.loaded


def test_what_is_no_engine_is_refused(engine: RecordedEngine) -> None:
    """A server that lists no models is none."""
    with pytest.raises(EngineRefusedError, match="lists no models"):
        ServingEngine(f"{engine.url}/elsewhere").listed()


def test_a_command_is_told_old_and_new(order: Order, tmp_path: Path) -> None:
    """It gets the event as its last argument and the names in variables, and no token; its yes is remembered."""
    script = tmp_path / "tell.py"
    wanted = "{k: v for k, v in os.environ.items() if k.startswith('ADAPTERD_') or k == 'HF_TOKEN'}"
    script.write_text(
        f"import json, os, sys\nprint(sys.argv[1:], json.dumps({wanted}), file=open('{tmp_path}/said', 'a'))"
    )
    kept: dict[str, str] = {}

    def keep(told: Mapping[str, str]) -> None:
        kept.clear()
        kept.update(told)

    engine = CommandEngine([sys.executable, str(script), "-x"], lambda: dict(kept), keep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_secret")
        engine.load(order)
        assert engine.listed() == {NAME: str(order.folder)}
        engine.unload(order)
    assert kept == {}
    first, second = (tmp_path / "said").read_text().splitlines()
    assert first.startswith("['-x', 'load']")
    assert json.loads(first.partition("] ")[2]) == {
        "ADAPTERD_EVENT": "load",
        "ADAPTERD_ADAPTER": "acme/sql",
        "ADAPTERD_NAME": "sql",
        "ADAPTERD_NEW": NAME,
        "ADAPTERD_NEW_PATH": str(order.folder),
        "ADAPTERD_OLD": "",
        "ADAPTERD_OLD_PATH": "",
    }
    assert json.loads(second.partition("] ")[2])["ADAPTERD_OLD"] == NAME


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param("print('no'); exit(1)", EngineRefusedError, id="no"),
        pytest.param("exit(75)", Transient, id="later"),
    ],
)
def test_a_command_may_say_no_or_later(order: Order, code: str, error: type[Exception]) -> None:
    """Nothing is remembered of what it did not do."""
    engine = CommandEngine([sys.executable, "-c", code], dict, lambda _: pytest.fail("it said no"))
    with pytest.raises(error):
        engine.load(order)


def test_a_command_that_hangs_or_is_missing_is_told(order: Order) -> None:
    """It is killed at its deadline; one that is not there is a mistake of the configuration."""
    hanging = CommandEngine([sys.executable, "-c", "import time; time.sleep(60)"], dict, lambda _: None, deadline=0.2)
    with pytest.raises(Transient, match="did not end"):
        hanging.load(order)
    with pytest.raises(EngineRefusedError, match="cannot be started"):
        CommandEngine(["/nonexistent/program"], dict, lambda _: None).load(order)
