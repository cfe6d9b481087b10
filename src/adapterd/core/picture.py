"""A picture of the probe losses over an adapter's versions, as SVG: a pure function of what the reports say.

It is shown as an image, so it brings its own ground, its own colours for light and dark, and its own words.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from adapterd.core.facts import Facts, Losses

MOST = 40
"""Versions that are drawn: the newest."""

_WIDTH, _HEIGHT = 760, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 128, 44, 40
_LABELS = 14
"""Version numbers that fit below the axis."""
_TICKS = 5
_FINEST = 0.01
"""The least step of the axis: a smaller difference is no news, and is not drawn as if it were."""
_SAME_GROUND = 0.005
"""Losses of the bare base that are as close, in shares of them, were measured on the same probes in the same base."""
_STYLE = (
    ".g{fill:#fff}.t{fill:#1f2328}.m{fill:#59636e}.r{stroke:#d1d9e0}.a{stroke:#0969da}.f{fill:#0969da}"
    ".b{stroke:#6e7781}.o{fill:#fff;stroke:#6e7781}"
    "@media(prefers-color-scheme:dark){.g{fill:#0d1117}.t{fill:#f0f6fc}.m{fill:#9198a1}.r{stroke:#3d444d}"
    ".a{stroke:#4493f8}.f{fill:#4493f8}.b{stroke:#9198a1}.o{fill:#0d1117;stroke:#9198a1}}"
    "text{font:12px system-ui,sans-serif}.h{font-size:14px;font-weight:600}path{fill:none;stroke-width:2}"
    ".b{stroke-dasharray:5 4}line{stroke-width:1}"
)


def picture(facts: Facts, number: int) -> bytes:
    """The picture of a version: its own losses and those of the versions before; empty where none were measured."""
    own = facts.losses(number)
    shown = {each.number: each for each in facts.history if each.number < number}
    if own is not None:
        shown[number] = own
    points = [shown[n] for n in sorted(shown)][-MOST:]
    return _drawn(facts.version.adapter, points).encode() if points else b""


def words(points: Sequence[Losses]) -> str:
    """What the picture shows, for who cannot see it."""
    return "; ".join(f"v{p.number}: {p.adapter:.4f} with the adapter, {p.base:.4f} without" for p in points)


def _drawn(adapter: str, points: Sequence[Losses]) -> str:
    low, high, ticks = _scale([loss for p in points for loss in (p.adapter, p.base)])

    def x(index: int) -> float:
        span = _WIDTH - _LEFT - _RIGHT
        return _LEFT + 16 + (span - 32) * (1 if len(points) == 1 else index / (len(points) - 1))

    def y(loss: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - loss) / (high - low)

    title = f"Loss on the probe texts over the versions of {adapter}"
    below = f"Nats per token. {words(points)}. Lower is better."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(below)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="g" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>',
        f'<text class="t h" x="{_LEFT}" y="24">Loss on the probe texts, nats per token</text>',
    ]
    for value, told in ticks:
        at = y(value)
        parts += [
            f'<line class="r" x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}"/>',
            f'<text class="m" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{told}</text>',
        ]
    every = math.ceil(len(points) / _LABELS)
    for index, point in enumerate(points):
        if (len(points) - 1 - index) % every == 0:
            at = x(index)
            parts.append(f'<text class="m" x="{at:.1f}" y="{_HEIGHT - 14}" text-anchor="middle">v{point.number}</text>')
    for run in _runs(points):
        for line, values in (("b", [points[i].base for i in run]), ("a", [points[i].adapter for i in run])):
            if len(run) > 1:
                steps = " L".join(f"{x(i):.1f} {y(value):.1f}" for i, value in zip(run, values, strict=True))
                parts.append(f'<path class="{line}" d="M{steps}"/>')
    for index, point in enumerate(points):
        across, up, down = x(index), y(point.base), y(point.adapter)
        parts += [
            f'<circle class="o" cx="{across:.1f}" cy="{up:.1f}" r="3.5" stroke-width="2"/>',
            f'<circle class="f" cx="{across:.1f}" cy="{down:.1f}" r="4.5"/>',
        ]
    parts += _named(points[-1], x(len(points) - 1) + 12, y)
    return "\n".join([*parts, "</svg>", ""])


def _named(last: Losses, at: float, y: Callable[[float], float]) -> Iterable[str]:
    """The names of the two lines, beside their ends and never on each other."""
    lines = [("m", y(last.base), f"base {last.base:.4f}"), ("t", y(last.adapter), f"adapter {last.adapter:.4f}")]
    lines.sort(key=lambda line: line[1])
    (first, upper, _), (second, lower, _) = lines
    if (lacking := 16 - (lower - upper)) > 0:
        lines = [(first, upper - lacking / 2, lines[0][2]), (second, lower + lacking / 2, lines[1][2])]
    return [f'<text class="{kind}" x="{at:.1f}" y="{level + 4:.1f}">{told}</text>' for kind, level, told in lines]


def _runs(points: Sequence[Losses]) -> list[list[int]]:
    """Neighbours that were measured on the same ground, by the base's own loss; others are not joined by a line."""
    runs: list[list[int]] = []
    for index, point in enumerate(points):
        before = points[index - 1].base if index else math.inf
        if index and abs(point.base - before) <= _SAME_GROUND * max(abs(before), abs(point.base)):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _scale(values: Sequence[float]) -> tuple[float, float, list[tuple[float, str]]]:
    """Lowest and highest value of the axis, and its ticks with their words."""
    low, high = min(values), max(values)
    raw = max((high - low) / _TICKS, _FINEST)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * size for size in (1, 2, 5, 10) if unit * size >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    last += first == last
    digits = max(0, -math.floor(math.log10(step)))
    return first * step, last * step, [(n * step, f"{n * step:.{digits}f}") for n in range(first, last + 1)]
