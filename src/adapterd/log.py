"""The one home of structlog: a console for people, JSON lines otherwise, and no secret in either.

An event is a constant string (``version_published``); what varies stands in its fields. Every value of every
event, nested ones, exception texts and the records of other libraries too, passes one redactor before it is rendered.
"""

import logging
import math
import os
import re
import sys
import threading
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from json import dumps
from typing import Literal, TextIO
from urllib.parse import quote, quote_plus

# structlog imports rich where it is installed, for tracebacks that are never shown here: 4 MiB of a daemon's memory.
_RICH_IS_ABSENT = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type] # import's word for absent
import structlog  # noqa: E402 - after that
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger  # noqa: E402 - the same

if _RICH_IS_ABSENT:
    del sys.modules["rich"]

Format = Literal["auto", "console", "json"]

_SCHEMA = 1
_MASK = "***"
_DEEPEST = 12  # a value nested deeper, or in itself, is cut here
_MULTILINE = frozenset({"exception", "stack"})
_SUSPECT = r"(?:token|password|passwd|secret|api[-_]?key)"
_SECRET_KEY = re.compile(rf"(?i)(?:proxy[-_])?authorization|(?:set[-_])?cookie|[\w-]*{_SUSPECT}")
# Each keeps what tells a reader which kind of secret stood there. Repeats that could begin anywhere are bounded:
# texts come from adapters and libraries, and none may be slow to redact.
_PATTERNS = (
    # A header in a repr or in JSON, where the quote around the value bounds it.
    (re.compile(r"(?i)(authorization\\?[\"']\s*[:,]\s*b?\\?([\"'])).*?(?=\\?\2|$)", re.MULTILINE), rf"\1{_MASK}"),
    # A header as it stands on the wire: everything to the end of the line is its value.
    (re.compile(r"(?i)(authorization[ \t]{0,8}[:=])[^\r\n]+"), rf"\1 {_MASK}"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    (re.compile(r"hf_(?:[A-Za-z0-9]{34,}|(?:jwt|oauth)_[\w.~+/=-]+)"), f"hf_{_MASK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/?#\"'<>]*@"), rf"\1{_MASK}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://[^\s?\"'<>]{0,512})\?[^\s\"'<>]*"), rf"\1?{_MASK}"),
    # The same without a host, as urllib3 and access logs write it.
    (re.compile(r"(?<![\w/])(/[^\s?\"'<>]{0,512})\?[^\s\"'<>]+"), rf"\1?{_MASK}"),
    (re.compile(rf"(?i)((?:{_SUSPECT}|signature)=)[^\s&,;)\"']+"), rf"\1{_MASK}"),
    (
        re.compile(rf"(?i)([\"'][\w-]{{0,40}}{_SUSPECT}\\?[\"']\s*[:,]\s*b?([\"'])).*?(?=\2|$)", re.MULTILINE),
        rf"\1{_MASK}",
    ),
)


class Redactor:
    """Replaces secrets: the exact ones it was told, and what looks like one."""

    def __init__(self) -> None:
        """Know no exact secret yet."""
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        self._exact: re.Pattern[str] | None = None

    def hide(self, secret: str) -> None:
        """Replace this secret from now on, also where it was quoted for a URL, for JSON or by ``repr``."""
        plain = secret.strip()  # a token file ends in a newline
        if not plain:
            return
        forms = {plain, repr(plain)[1:-1], dumps(plain)[1:-1], quote(plain, safe=""), quote_plus(plain)}
        with self._lock:
            self._forms |= forms
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._exact = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Give the text without secrets; doing it twice changes nothing."""
        if self._exact is not None:
            text = self._exact.sub(_MASK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: object, depth: int = 0) -> object:
        """Give a value made of plain JSON types, without secrets; what is no plain type is shown by its ``repr``."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)  # JSON knows no NaN
        if isinstance(value, Mapping | list | tuple | AbstractSet):
            if depth >= _DEEPEST:
                return "..."
            if isinstance(value, Mapping):
                return {self.text(str(key)): self._field(str(key), item, depth + 1) for key, item in value.items()}
            return [self.value(item, depth + 1) for item in value]
        return self.text(_spelled(value))

    def _field(self, key: str, value: object, depth: int) -> object:
        """Redact one entry of a mapping: wholly where its name says that it is a secret."""
        if _SECRET_KEY.fullmatch(key) and value is not None and not isinstance(value, bool):
            return _MASK
        return self.value(value, depth)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Redact an event, as a structlog processor; structlog's own bookkeeping passes by."""
        kept = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
        return {str(key): self._field(str(key), value, 0) for key, value in event.items()} | kept


def _spelled(value: object) -> str:
    """Spell a value out; one that cannot be spelled must not cost the log line."""
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "backslashreplace")
        return str(value) if isinstance(value, str | os.PathLike) else repr(value)
    except Exception as error:  # noqa: BLE001 - the __repr__ of a stranger may raise anything
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _printable(text: str, allowed: str) -> str:
    """Escape control characters, and lone surrogates, which no stream can encode."""
    return "".join(
        char if char.isprintable() or char in allowed else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _for_terminal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep hostile file names from steering the terminal or writing a log line of their own."""
    return {
        key: _printable(value, "\n\t" if key in _MULTILINE else "") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render one JSON line, beginning with what every line has, so that raw lines are readable too."""
    head = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event") if key in event}
    return dumps({"schema": _SCHEMA, **head, **event})


class _Handler(logging.StreamHandler[TextIO]):
    """Writes rendered lines. One that cannot be written is dropped: the stock handler would print it unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Drop the line; a full disk or a closed pipe is no reason to stop."""


class _RoutedLogger(logging.Logger):
    """A library's logger that takes no handler of its own: everything goes to ours, once and redacted."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the name is logging's
        """Refuse the handler."""


_REDACTOR = Redactor()
hide = _REDACTOR.hide
redact = _REDACTOR.text


def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of one of our modules (``get_logger(__name__)``)."""
    ours = name if name == "adapterd" or name.startswith("adapterd.") else f"adapterd.{name.strip('_')}"
    logger: FilteringBoundLogger = structlog.get_logger(ours)
    return logger


def configure(level: str = "info", fmt: Format = "auto", stream: TextIO | None = None) -> None:
    """Send our events from ``level`` on, and other libraries' from WARNING on, to the stream (standard error).

    May be called again, as after a reload. ``auto`` is the console on a terminal and JSON elsewhere. Whoever
    starts uvicorn gives it ``log_config=None``, so that its records come here too.
    """
    target = sys.stderr if stream is None else stream
    terminal = target.isatty()
    console = fmt == "console" or (fmt == "auto" and terminal)
    chain = _chain(console=console)
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_console(colors=terminal and "NO_COLOR" not in os.environ) if console else [_as_json]),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not isinstance(kept, _Handler)] + [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # huggingface_hub hangs a handler on its logger when it is imported, which may be after this.
    routed = logging.getLogger("huggingface_hub")
    routed.__class__ = _RoutedLogger
    routed.handlers.clear()
    logging.getLogger("adapterd").setLevel(level.upper())
    structlog.configure(
        # Redacted before it leaves structlog: a handler that somebody else hangs on the root logger sees no secret.
        processors=[
            structlog.stdlib.filter_by_level,
            *chain,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _chain(*, console: bool) -> list[Processor]:
    """Build what happens to every event, ours or a library's, before it is rendered."""
    if console:
        exceptions: Processor = structlog.processors.format_exc_info
    else:
        # Locals hold tokens, so neither form shows them.
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = structlog.processors.ExceptionRenderer(transformer)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        exceptions,
        _REDACTOR,
    ]


def _console(*, colors: bool) -> list[Processor]:
    """Build the last steps for a person's eyes."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )
    return [_for_terminal, renderer]
