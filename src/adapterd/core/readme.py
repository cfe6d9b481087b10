"""A README on the Hub: a managed block between marks, front matter, and what a person wrote around them. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

BEGIN = "<!-- adapterd:begin -->"
END = "<!-- adapterd:end -->"

_KEY = re.compile(r"""(["']?)([^\s"'#\-?\[{][^"':]*)\1\s*:(?:\s|$)""")


def splice(readme: bytes, managed: str, fields: Mapping[str, Any]) -> bytes:
    """Put the managed block and its front matter into a README, and keep what a person wrote around them.

    Only the keys in `fields` are written over in the front matter. Undecodable bytes are replaced.
    """
    lines = {key: f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()}
    return splice_raw(readme, managed, lines)


def splice_raw(readme: bytes, managed: str, lines: Mapping[str, str]) -> bytes:
    """As `splice`, with the front matter's lines ready by key."""
    lines = {key: line for key, line in lines.items() if key}
    head, body = split_front_matter(readme.decode("utf-8", "replace"))
    first = next((i for i, (key, _) in enumerate(head) if key), len(head))
    above, below = head[:first], [(key, chunk) for key, chunk in head[first:] if key not in lines]
    above_block, block, below_block = around(body)
    if block:
        body = above_block + managed + below_block
    else:
        rest = body.strip("\n")
        body = f"{managed}\n\n{rest}" if rest else managed
    front = "\n".join(["---", *(c for _, c in above), *lines.values(), *(c for _, c in below), "---"])
    return (front + "\n\n" + body.strip("\n") + "\n").encode()


def around(body: str) -> tuple[str, str, str]:
    """What stands above the managed block, the block with its marks, and what is below; all is above without one."""
    begin = body.find(BEGIN)
    end = body.find(END, begin) if begin >= 0 else -1
    if end < 0:
        return body, "", ""
    end += len(END)
    return body[:begin], body[begin:end], body[end:]


def split_front_matter(text: str) -> tuple[list[tuple[str, str]], str]:
    """A README's front matter as (top-level key, its lines), and the body after it.

    Comments between keys, and whatever stands before the first one, stand under an empty key: none is lost with a key.
    """
    text = text.removeprefix("\ufeff")
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return [], text
    try:
        end = next(i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "..."))
    except StopIteration:
        return [], text
    chunks: list[tuple[str, list[str]]] = [("", [])]
    aside: list[str] = []
    for line in lines[1:end]:
        if match := _KEY.match(line):
            chunks += [("", aside), (match[2].strip(), [line])]
            aside = []
        elif line.startswith("#"):
            aside.append(line)
        else:
            chunks[-1][1].extend([*aside, line])
            aside = []
    chunks.append(("", aside))
    return [(key, "\n".join(held)) for key, held in chunks if held], "\n".join(lines[end + 1 :])


def license_of(readme: str) -> str:
    """The ``license`` that a base model's card states, or an empty string."""
    for key, chunk in split_front_matter(readme)[0]:
        if key == "license":
            value = chunk.partition(":")[2].strip().strip("\"'")
            return value if re.fullmatch(r"[A-Za-z0-9.+-]{1,64}", value) else ""
    return ""
