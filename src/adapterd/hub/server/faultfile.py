"""A fault plan as a file, in YAML or JSON: checked as a whole, and read again when it changes.

It is a list under ``rules``. Each rule names a ``fault``, with that fault's own keys beside it, and which requests it
strikes: ``on`` (named actions), ``method``, ``path``, ``repo``; and when: ``nth``, ``count``, ``chance``, ``seed``,
``seconds``.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml

from adapterd.hub.server.cards import Loader
from adapterd.hub.server.faultkinds import KINDS
from adapterd.hub.server.faults import Asked, Fault, FaultPlan, Rule
from adapterd.hub.server.web.actions import ACTIONS

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_RULE_KEYS: Mapping[str, type] = {
    "method": str,
    "path": str,
    "repo": str,
    "nth": int,
    "count": int,
    "chance": float,
    "seed": int,
    "seconds": float,
}


class FaultFileError(Exception):
    """A plan that cannot be used.

    Attributes:
        message: what is wrong, and where.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        """Keep the two apart."""
        super().__init__(f"{message}\nTry: {hint}")
        self.message = message
        self.hint = hint


class FaultFile(FaultPlan):
    """A plan that follows its file. A change that cannot be used is said, and the former rules stay in force."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Read the plan, or raise FaultFileError; `say` hears of what becomes of later changes."""
        self._path = path
        self._say = say
        self._mark = _mark(path)
        super().__init__(parse(_text(path), path.name))

    def strike(self, asked: Asked) -> list[Fault]:
        """Read the file again if it has changed, then count the request."""
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark = mark
            try:
                rules = parse(_text(self._path), self._path.name)
            except FaultFileError as error:
                self._say(f"{error.message}; the former rules stay. Try: {error.hint}")
            else:
                self.use(rules)
                self._say(f"{self._path.name}: {len(rules)} rules in force")
        return super().strike(asked)


def parse(text: str, name: str) -> tuple[Rule, ...]:
    """Read the rules of a plan; `name` is the file's, for messages."""
    try:
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader, for which `on` is no switch
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FaultFileError(f"{name} is neither YAML nor JSON: {' '.join(str(error).split())}", "correct it") from None
    rules = data.get("rules") if isinstance(data, dict) else data
    if data is None or (isinstance(data, dict) and set(data) == {"rules"} and rules is None):
        return ()
    if not isinstance(rules, list) or (isinstance(data, dict) and set(data) != {"rules"}):
        raise FaultFileError(f"{name} is no plan of faults", "begin with `rules:` and a list of them")
    return tuple(_rule(item, f"{name}, rule {number}") for number, item in enumerate(rules, 1))


def _rule(item: object, where: str) -> Rule:
    if not isinstance(item, dict) or not all(isinstance(key, str) for key in item):
        raise FaultFileError(f"{where} is no mapping of keys to values", "begin it with `- fault: NAME`")
    kind = _choice(item.get("fault"), KINDS, f"{where}: fault")
    make = KINDS[kind]
    own = inspect.signature(make).parameters
    # `seconds` is the length of a latency, and for every other fault how long the rule is in force.
    general = {key: wanted for key, wanted in _RULE_KEYS.items() if key not in own}
    _check_keys(item, {"fault", "on", *general, *own}, f"{where} ({kind})")
    for key, parameter in own.items():
        if key not in item and parameter.default is inspect.Parameter.empty:
            raise FaultFileError(f"{where}: {kind} needs {key}", f"add `{key}: ...`")
    fault = make(**{key: _value(item[key], own[key].annotation, f"{where}: {key}") for key in own if key in item})
    given = {key: _value(item[key], wanted, f"{where}: {key}") for key, wanted in general.items() if key in item}
    if not 0 <= given.get("chance", 1) <= 1:
        raise FaultFileError(f"{where}: chance is {given['chance']}", "give a number from 0 to 1")
    if given.get("nth", 1) < 1:
        raise FaultFileError(f"{where}: nth is {given['nth']}", "the first request is 1")
    if "method" in given:
        given["method"] = given["method"].upper()
    if "repo" in given:
        given["repo"] = given["repo"].lower()
    on = item.get("on", [])
    names = on if isinstance(on, list) else [on]
    return Rule(fault=fault, on=tuple(_choice(n, ACTIONS, f"{where}: on") for n in names), **given)


def _value(value: object, wanted: Any, where: str) -> Any:  # noqa: ANN401 - a type, and a value of it
    """Check one value against the type that its key has."""
    if choices := get_args(wanted):
        return _choice(value, choices, where)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is float and number and math.isfinite(value) and value >= 0:  # type: ignore[arg-type, operator] # a number
        return float(value)  # type: ignore[arg-type] # the same
    if wanted is int and number and isinstance(value, int) and value >= 0:
        return value
    if wanted is str and isinstance(value, str):
        return value
    raise FaultFileError(f"{where} is {value!r}", f"give {_WORDS[wanted]}")


def _choice(value: object, of: Any, where: str) -> str:  # noqa: ANN401 - any collection of names
    """Check a name against those that there are."""
    if isinstance(value, str) and value in of:
        return value
    near = get_close_matches(str(value), list(of), 1)
    said = f"{where} is missing" if value is None else f"{where} is {value!r}, which is none"
    raise FaultFileError(said, f"{near[0]}?" if near else f"one of {', '.join(of)}")


def _check_keys(item: Mapping[str, object], known: set[str], where: str) -> None:
    for key in item:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"{near[0]}?" if near else f"one of {', '.join(sorted(known))}"
            raise FaultFileError(f"{where} has no key {key}", hint)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FaultFileError(f"{path} cannot be read: {error.strerror}", "name a readable file") from None
    except UnicodeDecodeError:
        raise FaultFileError(f"{path.name} is no text", "write it in UTF-8") from None


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
