"""The front page, from what `view` read. Plain HTML without a script."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.core import pushes
from adapterd.core.version import Stage
from adapterd.core.words import span, utc
from adapterd.status.markup import Markup, join, page, tag
from adapterd.status.parts import (
    adapter_link,
    channels,
    coming,
    items,
    label,
    loss,
    moment,
    pill,
    reason,
    section,
    source,
    stage,
    standing,
    table,
)
from adapterd.status.view import MOST, Item, Overview

REFRESH = 5
"""Seconds after which a browser asks for the front page again."""


def front(view: Overview) -> str:
    """The whole front page."""
    health = view.health
    roots = [root for root in health["roots"] if root["problem"]]
    in_need = bool(view.stalled or roots or health["problems"])
    body = join(
        _header(view),
        _tiles(view.counts),
        _needs(view) if in_need else "",
        section("Waiting", items(view.waiting, view.now, "wait"), note=_some(view.waiting, "moves on by itself"))
        if view.waiting
        else "",
        _hub(view),
        _versions(view),
        section("Channels", channels(view.channels, view.now, named=True)) if view.channels else "",
        tag("div", _lanes(health), _roots(health), cls="pair"),
        _footer(),
    )
    count = view.counts.get("stalled", 0)
    return page(f"({count}) adapterd" if count else "adapterd", body, refresh=REFRESH)


def absent(name: str) -> str:
    """The page of an adapter that is not there."""
    body = join(
        tag("header", tag("h1", name)),
        tag("p", "The registry knows no adapter of this name."),
        tag("p", tag("a", "All adapters", href="/")),
    )
    return page(f"{name} · adapterd", body)


def _header(view: Overview) -> Markup:
    """The name, the state, and who this is."""
    health = view.health
    if not health["alive"]:
        state = pill("intake does not turn", "bad")
    elif not health["ready"]:
        state = pill("starting", "wait")
    else:
        state = pill("running", "good")
    return tag(
        "header",
        tag("h1", "adapterd"),
        state,
        tag("span", cls="space"),
        tag("span", f"{health['version']} · publisher ", tag("code", health["publisher"]), cls="faint"),
        tag("span", "started ", moment(health["started_at"], view.now), cls="faint"),
    )


def _tiles(counts: Mapping[str, int]) -> Markup:
    """The counts."""
    tiles = [("stalled", counts.get("stalled", 0))] + [(name.value, counts.get(name.value, 0)) for name in Stage]
    seen = sum(count for name, count in counts.items() if name.startswith("observed_"))
    tiles.append(("directories", seen))
    return tag(
        "div",
        *(
            tag("div", tag("b", f"{n:,}"), tag("span", name), cls="tile bad" if name == "stalled" and n else "tile")
            for name, n in tiles
        ),
        cls="tiles",
    )


def _needs(view: Overview) -> Markup:
    """Everything that waits for a person, first."""
    health = view.health
    daemon = [
        standing("adapterd", code, problem["message"], problem["hint"], "bad")
        for code, problem in health["problems"].items()
    ]
    roots = [
        standing(root["path"], root["problem"], root["message"], root["hint"], "bad")
        for root in health["roots"]
        if root["problem"]
    ]
    return section("Needs you", items(view.stalled, view.now, "bad", *daemon, *roots), note=_some(view.stalled, ""))


def _some(found: Sequence[Item], note: str) -> str:
    """The note of a list, which says so where it ends early."""
    return f"the first {MOST} of more" if len(found) == MOST else note


def _hub(view: Overview) -> Markup:
    """When the next push comes, what the Hub still allows, and what is paused; empty where there is nothing."""
    hub = view.health.get("hub") or {}
    paused = [
        standing(
            each["action"] or "all calls", "hub_paused", each["message"], "", "wait", coming(each["until"], view.now)
        )
        for each in hub.get("paused", ())
    ]
    said = pushes.told(view.next_push, view.now, utc)
    if not (said or paused):
        return Markup("")
    requests = hub.get("requests")
    note = f"{requests['left']:,} of {requests['limit']:,} requests left in five minutes" if requests else ""
    return section("Hub", items((), view.now, "wait", tag("p", said) if said else Markup(""), *paused), note=note)


def _versions(view: Overview) -> Markup:
    """The newest versions, a line each."""
    if not view.newest:
        return section("Versions", tag("div", "No adapter has come to rest in a root yet.", cls="card calm"))
    rows = [
        [
            join(adapter_link(line.version.adapter), " ", label(line.version)),
            join(stage(line.version), " ", reason(line.version)),
            loss(line),
            source(line.version),
            moment(line.version.updated_at, view.now),
        ]
        for line in view.newest
    ]
    columns = ["version", "stage", "loss, base → adapter", "run", "changed"]
    return section("Versions", table(columns, rows, [None, None, "num", None, "tight"]), note="newest first")


def _lanes(health: Mapping[str, Any]) -> Markup:
    """What each lane does."""
    rows = [
        [
            tag("b", name),
            lane["busy_with"] or tag("span", "idle", cls="faint"),
            f"{span(lane['idle_seconds'])} ago",
            f"{lane['turns']:,}",
            pill(str(lane["failures"]), "bad") if lane["failures"] else "0",
        ]
        for name, lane in health["lanes"].items()
    ]
    columns = ["lane", "works on", "last turn", "turns", "failures"]
    return section("Lanes", table(columns, rows, ["tight", None, "tight", "num", "num"]))


def _roots(health: Mapping[str, Any]) -> Markup:
    """What is watched."""
    rows = [
        [
            tag("span", root["path"], cls="mono"),
            pill(root["problem"], "bad") if root["problem"] else pill("read", "good"),
            root["events"],
            f"{root['known']:,}",
            f"{root['scan_seconds']:.3f} s",
        ]
        for root in health["roots"]
    ]
    columns = ["root", "state", "events", "directories", "scan"]
    return section("Roots", table(columns, rows, [None, "tight", None, "num", "num"]))


def _footer() -> Markup:
    """The same for programs."""
    links = (("/status.json", "JSON"), ("/metrics", "Metrics"), ("/healthz", "Health"), ("/readyz", "Readiness"))
    return tag("footer", *(tag("a", label, href=href) for href, label in links))
