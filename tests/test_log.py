"""What the log promises: two forms, one line an event, and no secret in either."""

import ast
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from adapterd import log

TOKEN = "hf_" + "aB3" * 11 + "z"
PLANTED = "pl4nted/se\"cret+'w0rd"
SOURCE = Path(__file__).parent.parent / "src" / "adapterd"
EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Terminal(io.StringIO):
    """A stream that says that a person is looking."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    """Put the process-wide logging back after each test."""
    root, ours = logging.getLogger(), logging.getLogger("adapterd")
    before = (root.handlers[:], root.level, ours.level)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()


@pytest.fixture(params=["json", "console"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    """Give a stream that the log is configured to write to, once in each form."""
    out = io.StringIO()
    log.configure("debug", request.param, out)
    return out


def lines(out: io.StringIO) -> list[dict[str, object]]:
    """Parse what was written as JSON lines."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_stream_that_is_no_terminal_gets_json_lines() -> None:
    """Without a terminal an event is one JSON object, with its schema, time, level, logger, name and fields."""
    out = io.StringIO()
    log.configure("info", "auto", out)
    log.get_logger("adapterd.reconcile").info("version_published", adapter="acme/support", number=7)
    (line,) = lines(out)
    assert list(line)[:5] == ["schema", "timestamp", "level", "logger", "event"]
    assert line["schema"] == 1
    assert (line["level"], line["logger"], line["event"]) == ("info", "adapterd.reconcile", "version_published")
    assert (line["adapter"], line["number"]) == ("acme/support", 7)
    written = datetime.fromisoformat(str(line["timestamp"]))
    assert written.utcoffset() == timedelta(0)


def test_a_terminal_gets_a_line_for_people() -> None:
    """On a terminal the same event is one readable line, no JSON."""
    out = Terminal()
    log.configure("info", "auto", out)
    log.get_logger("adapterd.reconcile").info("version_published", adapter="acme/support")
    assert "version_published" in out.getvalue()
    assert not out.getvalue().startswith("{")
    assert out.getvalue().count("\n") == 1


def test_the_form_can_be_chosen_whatever_the_stream() -> None:
    """JSON can be had on a terminal and the console in a file, without colours there."""
    terminal, file = Terminal(), io.StringIO()
    log.configure("info", "json", terminal)
    log.get_logger("adapterd.daemon").info("started")
    log.configure("info", "console", file)
    log.get_logger("adapterd.daemon").info("started")
    assert lines(terminal)[0]["event"] == "started"
    assert "started" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_events_below_the_level_are_left_out() -> None:
    """The level holds for our events, and a second call of configure replaces the first."""
    out = io.StringIO()
    log.configure("debug", "json", io.StringIO())
    log.configure("warning", "json", out)
    logger = log.get_logger("adapterd.daemon")
    logger.info("started")
    logger.warning("watch_limit_reached")
    assert [line["event"] for line in lines(out)] == ["watch_limit_reached"]


def test_a_module_run_as_main_logs_under_our_name() -> None:
    """A logger whose name is not ours gets our prefix, so that our level holds for it."""
    out = io.StringIO()
    log.configure("info", "json", out)
    log.get_logger("__main__").info("started")
    assert lines(out)[0]["logger"] == "adapterd.main"


@pytest.mark.parametrize(
    "library", ["watchdog.observers", "apscheduler.executors.default", "alembic.runtime.migration", "uvicorn.error"]
)
def test_other_libraries_use_the_same_form_from_warning_on(stream: io.StringIO, library: str) -> None:
    """A library's warning is rendered and redacted like ours; what it merely mentions is left out."""
    logging.getLogger(library).info("a detail")
    logging.getLogger(library).warning("queue overflow at %s", f"https://hub.example/x?token={TOKEN}")
    assert "a detail" not in stream.getvalue()
    assert "queue overflow" in stream.getvalue()
    assert library in stream.getvalue()
    assert TOKEN not in stream.getvalue()


def test_the_hub_client_writes_once_and_only_through_us(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that huggingface_hub hangs on its own logger, even after us, writes nothing past the redactor."""
    # The Hub client raises the level once it is in use; here it is as after the import.
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "level", logging.WARNING)
    logging.getLogger("huggingface_hub.file_download").setLevel(logging.NOTSET)
    logging.getLogger("huggingface_hub").addHandler(logging.StreamHandler())
    logging.getLogger("huggingface_hub.file_download").warning("retrying with %s", TOKEN)
    assert stream.getvalue().count("retrying with hf_***") == 1
    assert capsys.readouterr().err == ""


def test_python_warnings_become_events(stream: io.StringIO) -> None:
    """A warning does not break the stream of lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"deprecated {TOKEN}", UserWarning, stacklevel=1)
    assert "py.warnings" in stream.getvalue()
    assert TOKEN not in stream.getvalue()


class Holder:
    """An object that shows what it holds."""

    def __init__(self, held: str) -> None:
        """Hold it."""
        self.held = held

    def __repr__(self) -> str:
        """Show it."""
        return f"Holder({self.held})"


class Rude:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        """Refuse."""
        raise RuntimeError(TOKEN)


def test_a_secret_is_found_wherever_it_is_planted(stream: io.StringIO) -> None:
    """Nested dicts, keys, lists, sets, bytes, paths, objects, exceptions, names of secrets and bound context."""
    log.hide(PLANTED)
    nested: dict[str, object] = {"a": [{"b": (TOKEN, {PLANTED})}], TOKEN: 1}
    log.get_logger("adapterd.x").bind(bound=PLANTED).warning(
        "planted",
        nested=nested,
        data=TOKEN.encode(),
        path=Path("/x") / TOKEN,
        holder=Holder(PLANTED),
        rude=Rude(),
        error=ValueError(TOKEN),
        headers={"Authorization": "Basic YWxhZGRpbg=="},
        hub_token="sesame",
        password=12345,
        url="https://alice:sesame@hub.example/x?sesame=1",
    )
    written = stream.getvalue()
    for secret in (TOKEN, "pl4nted", "YWxhZGRpbg", "sesame", "12345", "alice"):
        assert secret not in written
    assert "cannot be shown: RuntimeError" in written


def fail_with_secrets() -> None:
    """Fail with secrets in locals, in the message, in a note and in the cause."""
    local_token = TOKEN
    local_config = {"deep": {"secret": PLANTED}, "unseen": "only-a-local"}
    try:
        int(local_token)
    except ValueError as cause:
        error = RuntimeError(f"push to https://bob:sesame@hub.example/x?y={PLANTED} failed", local_config["deep"])
        error.add_note(f"note {PLANTED}")
        raise ExceptionGroup("several", [error]) from cause


def test_an_exception_shows_its_trace_and_no_secret(stream: io.StringIO) -> None:
    """Traceback, cause, notes and groups are logged; secrets in their texts and the locals of frames are not."""
    log.hide(PLANTED)
    try:
        fail_with_secrets()
    except ExceptionGroup:
        log.get_logger("adapterd.reconcile").exception("step_failed")
        logging.getLogger("apscheduler").exception("job failed")
    written = stream.getvalue()
    assert written.count("fail_with_secrets") >= 2
    for expected in ("RuntimeError", "ValueError", "note ***", "step_failed", "job failed"):
        assert expected in written
    for secret in (TOKEN, "pl4nted", "sesame"):
        assert secret not in written
    assert "only-a-local" not in written


def test_a_traceback_keeps_its_lines_on_the_console() -> None:
    """On the console an exception is the traceback that Python prints."""
    out = io.StringIO()
    log.configure("info", "console", out)
    try:
        fail_with_secrets()
    except ExceptionGroup:
        log.get_logger("adapterd.reconcile").exception("step_failed")
    assert "Traceback (most recent call last):\n" in out.getvalue()


def test_a_hostile_name_cannot_steer_the_terminal_or_fake_a_line() -> None:
    """Escape codes, line breaks and undecodable bytes in values and messages are shown escaped, on one line."""
    out = io.StringIO()
    log.configure("info", "console", out)
    name = "run\x1b[2J\nfake_event\udcff"
    log.get_logger("adapterd.x").info("source_gone", path=name)
    logging.getLogger("other").warning("odd name %s", name)
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 2
    out.getvalue().encode()  # raises on a lone surrogate


def test_json_lines_hold_what_json_can_hold() -> None:
    """Odd values stay readable by any JSON parser: not-a-number, bytes, a set, a list within itself, odd names."""
    out = io.StringIO()
    log.configure("info", "json", out)
    knot: list[object] = []
    knot.append(knot)
    log.get_logger("adapterd.x").info("odd", nan=float("nan"), raw=b"\xff", some={1}, knot=knot, name="a\nb\udcff")
    (line,) = [json.loads(text, parse_constant=pytest.fail) for text in out.getvalue().splitlines()]
    assert (line["nan"], line["raw"], line["some"]) == ("nan", "\\xff", [1])
    assert line["name"] == "a\nb\udcff"
    assert "..." in str(line["knot"])


def test_a_stream_that_broke_stops_nothing_and_leaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that cannot be written is dropped; it is not printed elsewhere, where nothing redacts it."""
    out = io.StringIO()
    log.configure("info", "json", out)
    out.close()
    log.get_logger("adapterd.x").info("unseen", token=TOKEN)
    logging.getLogger("other").error("unseen %s", TOKEN)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_every_event_in_the_source_is_a_constant() -> None:
    """An event is a snake_case literal, so that it can be searched and counted; what varies stands in fields."""
    methods = {"debug", "info", "warning", "error", "critical", "exception"}
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if "get_logger" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods):
                continue
            owner = ast.unparse(node.func.value).lower()
            if not owner.rpartition(".")[2].strip("_").startswith("log"):
                continue
            event = node.args[0] if node.args else None
            if not (isinstance(event, ast.Constant) and EVENT.fullmatch(str(event.value)) and len(node.args) == 1):
                wrong.append(f"{path.relative_to(SOURCE)}: {ast.unparse(node)[:80]}")
    assert wrong == []
