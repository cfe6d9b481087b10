"""HTML that cannot be injected into: text is escaped unless it was made here."""

from html import escape
from importlib.resources import files
from string import Template


class Markup(str):
    """Text that is HTML already. Only `tag`, `join` and `page` make it; everything else is escaped."""

    __slots__ = ()


_PAGE = Template(files(__package__).joinpath("page.html").read_text("utf-8"))
_EMPTY = frozenset({"br"})


def text(value: object) -> Markup:
    """A value as HTML: markup as it is, nothing for None, anything else escaped."""
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else escape(_visible(str(value))))


def join(*parts: object, by: str = "") -> Markup:
    """Parts one after the other, each escaped unless it is markup."""
    return Markup(escape(by).join(text(part) for part in parts))


def tag(name: str, *content: object, **attributes: str | None) -> Markup:
    """An element; an attribute of None is left out, and `cls` is spelled `class`."""
    spelled = "".join(
        f' {"class" if key == "cls" else key}="{escape(_visible(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{spelled}>" if name in _EMPTY else f"<{name}{spelled}>{join(*content)}</{name}>")


def page(title: str, body: Markup, *, refresh: int | None = None) -> str:
    """A whole page; `refresh` is after how many seconds a browser asks for it again."""
    again = Markup(f'<meta http-equiv="refresh" content="{refresh}">') if refresh else Markup("")
    return _PAGE.substitute(title=text(title), refresh=again, body=body)


def _visible(value: str) -> str:
    """Text that UTF-8 can carry and that shows what it holds: no control, no invisible and no lone half characters."""
    if value.isprintable():
        return value
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in value
    )
