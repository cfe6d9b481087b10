"""The section `channels`: moving names for versions, what moves each, and what it asks for before."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from adapterd.config import checks
from adapterd.config.kinds import Conflict, Duration, Kind, conflicting
from adapterd.config.section import Section
from adapterd.core.rules import BETTER, LOWER, OWN
from adapterd.core.words import MEASUREMENTS

_KNOWN = sorted({*BETTER, *(name for name, _ in MEASUREMENTS)})


class Channel(Section):
    """A moving name for the version that deployers get."""

    rule: Literal["finals", "candidates", "manual"] = Field(
        description="What moves it: finals that pass, the last checkpoints of unfinished runs, or only a person.",
        examples=["finals"],
    )
    metric: str | None = Field(
        default=None,
        description="A measurement of the report that may not be worse than that of the version which the channel"
        " holds, or a number `gate.NAME` of an own gate; none: nothing is compared.",
        examples=["loss_adapter"],
    )
    better: Literal["lower", "higher"] | None = Field(
        default=None,
        description="Which is better; none: as everybody means it, for losses, latencies and sizes lower.",
        examples=["lower"],
    )
    tolerance: float = Field(
        default=0.0, ge=0, description="How much worse still counts as not worse, in the metric's own unit."
    )
    soak_in: str | None = Field(
        default=None,
        description="Another of these channels, which must have held a version before this one takes it; none: no"
        " other has to.",
        examples=["main"],
    )
    soak_for: Duration = Field(default=86400.0, gt=0, description="For how long `soak_in` must have held it.")

    @property
    def direction(self) -> str:
        """Which values of the metric are better: ``lower`` or ``higher``."""
        return self.better or BETTER.get(self.metric or "", LOWER)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        """Refuse keys that would do nothing, unknown measurements, and those whose direction nobody knows."""
        if conflicts := list(self._conflicts()):
            raise conflicting(conflicts)
        return self

    def _conflicts(self) -> Iterator[Conflict]:
        given = self.model_fields_set
        metric, where = self.metric, self.soak_in
        if self.rule == "manual":
            for key in ("metric", "soak_in"):
                if getattr(self, key) is not None:
                    text = f"{key} says when a channel moves by itself, and this one is moved by a person alone"
                    yield Conflict((key,), text, f"rule: finals, or no {key}")
        for key in sorted(given & {"better", "tolerance"}) if metric is None else ():
            yield Conflict((key,), f"{key} is about a metric, and none is named", "metric: loss_adapter")
        if where is None and "soak_for" in given:
            text = "soak_for is about another channel, and none is named"
            yield Conflict(("soak_for",), text, "soak_in: main, or another channel that is listed here")
        if metric is None:
            return
        if not metric.startswith(OWN) and metric not in _KNOWN:
            hint = f"one of {', '.join(_KNOWN)}, or {OWN}NAME for a number of an own gate"
            yield Conflict(("metric",), f"{metric!r} is not measured", hint)
        elif self.better is None and metric not in BETTER:
            yield Conflict(("metric",), f"nothing says which {metric} is better", "better: lower, or better: higher")


def _soaks(channels: Mapping[str, Channel]) -> Mapping[str, Channel]:
    """Refuse a soak in a channel that is not there, in itself, or in a circle: nothing could ever go through."""
    conflicts = []
    for name, channel in channels.items():
        if channel.soak_in is None:
            continue
        others = ", ".join(other for other in channels if other != name) or "none"
        path = [name]
        while (step := channels.get(path[-1])) is not None and step.soak_in is not None and step.soak_in not in path:
            path.append(step.soak_in)
        if channel.soak_in not in channels:
            text, hint = f"there is no channel {channel.soak_in!r}", f"one of the other channels here: {others}"
            conflicts.append(Conflict((name, "soak_in"), text, hint))
        elif step is not None and step.soak_in == name:
            text = " waits for ".join([*path, name])
            conflicts.append(Conflict((name, "soak_in"), text, "one of them that waits for none"))
    if conflicts:
        raise conflicting(conflicts)
    return channels


def _plain(channels: Mapping[str, Channel]) -> dict[str, Any]:
    return {name: channel.model_dump(exclude_defaults=True) for name, channel in channels.items()}


Channels = Annotated[
    Mapping[str, Channel],
    Kind("a section of channels, each with its rule"),
    AfterValidator(checks.channel_names),
    AfterValidator(_soaks),
    AfterValidator(MappingProxyType),
    PlainSerializer(_plain),
]


def default_channels() -> Mapping[str, Channel]:
    """Promote finals to what loaders read by default, and unfinished runs to a name of their own."""
    return MappingProxyType({"main": Channel(rule="finals"), "candidate": Channel(rule="candidates")})
