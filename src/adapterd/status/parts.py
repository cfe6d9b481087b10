"""What several pages show alike: pills, tables, moments, versions."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from adapterd.core.version import AdapterVersion, Stage
from adapterd.core.words import ago, losses, until, utc
from adapterd.ports import ChannelRecord
from adapterd.status.markup import Markup, join, tag, text
from adapterd.status.view import Item, Line

_TONES = {
    Stage.STAGED: "next",
    Stage.VALIDATED: "next",
    Stage.PUBLISHED: "good",
    Stage.REJECTED: "bad",
    Stage.SUPERSEDED: None,
}


def pill(label: str, tone: str | None = None, title: str | None = None) -> Markup:
    """A short word on a coloured ground."""
    return tag("span", label, cls=f"pill {tone}" if tone else "pill", title=title)


def stage(version: AdapterVersion) -> Markup:
    """Where a version stands."""
    if version.stalled:
        return pill("stalled", "bad", f"stalled while {version.stage.value}")
    return pill(version.stage.value, _TONES[version.stage])


def moment(at: float, now: float) -> Markup:
    """How long ago, with the time behind it."""
    return tag("span", ago(at, now), title=utc(at)) if at else Markup("")


def coming(at: float | None, now: float) -> Markup:
    """When, with the time behind it."""
    return tag("span", until(at, now), title=utc(at)) if at else Markup("")


def adapter_link(name: str) -> Markup:
    """An adapter's name, leading to its page."""
    return tag("a", name, href=f"/adapters/{quote(name, safe='/')}")


def section(title: str, *content: object, note: str = "") -> Markup:
    """A part of a page."""
    return tag("section", tag("h2", title, tag("small", note) if note else ""), *content)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], styles: Sequence[str | None] = ()) -> Markup:
    """A table in a card; `styles` are its columns' classes."""
    styles = [*styles, *[None] * (len(columns) - len(styles))]
    head = tag("tr", *(tag("th", title, cls=style) for title, style in zip(columns, styles, strict=True)))
    body = [tag("tr", *(tag("td", cell, cls=style) for cell, style in zip(row, styles, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), cls="card")


def items(found: Sequence[Item], now: float, tone: str, *others: Markup) -> Markup:
    """What stands still, each with its reason and what to do, after others of the kind."""
    return tag("div", *others, *(_item(item, now, tone) for item in found), cls=f"card items {tone}")


def standing(name: object, code: str, message: str, hint: str, tone: str, when: Markup | None = None) -> Markup:
    """One thing that stands still. What moves on by itself has an explanation, and nothing to try."""
    return tag(
        "div",
        tag("b", name),
        pill(code, tone),
        join(" ", tag("span", when, cls="faint")) if when else "",
        tag("p", message) if message else "",
        tag("p", "" if tone == "wait" else "Try: ", hint, cls="try") if hint else "",
        cls="still",
    )


def label(version: AdapterVersion) -> Markup:
    """A version's name within its adapter: its tag, or the start of its identity."""
    return tag("b", version.tag) if version.tag else tag("code", f"id:{version.identity[:8]}", cls="faint")


def reason(version: AdapterVersion) -> Markup:
    """Why a version is where it is, the rest on demand."""
    if not version.reason:
        return Markup("")
    return tag("span", tag("code", version.reason), title="\n".join(filter(None, (version.message, version.hint))))


def loss(line: Line) -> Markup:
    """The loss on the probe texts without and with the adapter."""
    return text(losses(line.measurements.get("loss_base"), line.measurements.get("loss_adapter")))


def source(version: AdapterVersion) -> str:
    """The run that a version comes from, with its step."""
    kind = "final" if version.final else ""
    step = "" if version.step is None else f"step {version.step:,}"
    return " · ".join(filter(None, (version.run, step, kind)))


def channels(found: Sequence[ChannelRecord], now: float, *, named: bool) -> Markup:
    """Channels and what they hold; `named` tells whose."""
    columns = [*(["adapter"] if named else []), "channel", "version", "commit", ""]
    styles = [*([None] if named else []), None, None, None, None]
    rows = [
        [
            *([adapter_link(channel.adapter)] if named else []),
            tag("b", channel.channel),
            "" if channel.number is None else f"v{channel.number}",
            tag("code", channel.commit[:12]),
            _standing(channel, now),
        ]
        for channel in found
    ]
    return table(columns, rows, styles)


def _standing(channel: ChannelRecord, now: float) -> Markup:
    """Why a channel does not move."""
    if channel.stalled:
        return join(pill("stalled", "bad"), " ", tag("code", channel.reason))
    if channel.reason:
        return join(pill("waits", "wait"), " ", tag("code", channel.reason), " ", coming(channel.due_at, now))
    return Markup("")


def _item(item: Item, now: float, tone: str) -> Markup:
    """One version, directory or channel that stands still."""
    when = coming(item.until, now) if item.until is not None else None
    name = adapter_link(item.adapter) if item.kind == "version" and item.adapter else None
    rest = item.name.removeprefix(item.adapter) if name is not None else item.name
    return standing(join(name, rest), item.reason, item.message, item.hint, tone, when)
