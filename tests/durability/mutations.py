"""Documents that are nearly valid: bytes changed at random, and JSON whose values were exchanged."""

import json
import random

BOMBS = (
    b"[" * 4000,
    b'{"a":' * 2000,
    b"9" * 5000,
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"\x00",
    b"\xff\xfe",
    b"\xe2\x80\xae",
    b"&a [*a]",
    b"!!python/object:os.system {}",
    b"../../etc/passwd",
    b"<script>",
    b"-1",
    b"18446744073709551615",
    b"\xff" * 8,
)
ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    -1,
    0,
    2**70,
    1e308,
    "",
    "\x00",
    "\ud800",
    "x" * 300,
    [],
    {},
    [[]],
    {"": {}},
    "../..",
    "NaN",
)
_MOST = 6
_LONGEST = 1 << 16


def mutated(seeds: tuple[bytes, ...], words: tuple[bytes, ...], choice: random.Random) -> bytes:
    """One document, made from a seed by up to six changes."""
    data = choice.choice(seeds)
    if choice.random() < 0.4:
        data = _exchanged(data, choice)
    for _ in range(choice.randrange(_MOST)):
        data = _changed(data, choice.choice((*seeds, *words, *BOMBS)), choice)
    return data[:_LONGEST]


def _changed(data: bytes, piece: bytes, choice: random.Random) -> bytes:
    """Change one place: flip, cut, double, insert, overwrite, or end there."""
    if not data:
        return piece
    at = choice.randrange(len(data))
    to = min(len(data), at + choice.choice((1, 2, 4, 8, 40)))
    match choice.randrange(6):
        case 0:
            return data[:at] + bytes([choice.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:]
        case 3:
            return data[:at] + piece + data[at:]
        case 4:
            return data[:at] + piece + data[at + len(piece) :]
        case _:
            return data[:at]


def _exchanged(data: bytes, choice: random.Random) -> bytes:
    """Exchange some values of a JSON document; what is no JSON stays as it is."""
    try:
        document = json.loads(data)
    except ValueError:
        return data
    for _ in range(choice.randrange(1, 4)):
        document = _exchange(document, choice)
    return json.dumps(document).encode()


def _exchange(value: object, choice: random.Random) -> object:
    """Walk down to a random place, and put something odd there, or take it away."""
    if isinstance(value, dict) and value and choice.random() < 0.9:
        key = choice.choice(list(value))
        if choice.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: _exchange(value[key], choice)}
    if isinstance(value, list) and value and choice.random() < 0.9:
        at = choice.randrange(len(value))
        return [*value[:at], _exchange(value[at], choice), *value[at + 1 :]]
    return choice.choice(ODD_VALUES)
