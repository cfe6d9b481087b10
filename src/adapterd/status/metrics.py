"""`/metrics` in Prometheus' text format. Nothing is counted here: each scrape reads the registry and the health."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from adapterd.core import pushes
from adapterd.core.version import Stage
from adapterd.health import Health
from adapterd.ports import RegistryReader

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OBSERVED = "observed_"
_LOOKED_AT = 1000  # validated versions that are searched for the next push


class _Adapterd(Collector):
    """Reads at scrape time."""

    def __init__(self, reader: RegistryReader, health: Health) -> None:
        """Keep where to read."""
        self._reader = reader
        self._health = health

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One family at a time."""
        yield from self._counts()
        yield from self._daemon()
        yield from self._hub()

    def _hub(self) -> Iterator[Metric]:
        """What the Hub still allows, what is paused, and when the next push comes."""
        hub = self._health.hub()
        if requests := hub.get("requests"):
            yield GaugeMetricFamily(
                "adapterd_hub_requests_left", "Requests that may be sent now.", value=requests["left"]
            )
            yield GaugeMetricFamily(
                "adapterd_hub_requests_limit", "Requests allowed in five minutes.", value=requests["limit"]
            )
        paused = GaugeMetricFamily(
            "adapterd_hub_paused", "Open breakers: of all calls, or of one action.", labels=["action"]
        )
        for action, value in ({"all": 0} | {each["action"] or "all": 1 for each in hub.get("paused", ())}).items():
            paused.add_metric([action], value)
        yield paused
        if push := pushes.first(self._reader.versions(stage=Stage.VALIDATED, limit=_LOOKED_AT)):
            yield GaugeMetricFamily(
                "adapterd_next_push_timestamp_seconds", "When the next version goes to the Hub.", value=push.at
            )

    def _counts(self) -> Iterator[Metric]:
        """What the registry holds."""
        counts = self._reader.counts()
        versions = GaugeMetricFamily(
            "adapterd_versions", "Adapter versions by stage, without the stalled ones.", labels=["stage"]
        )
        for stage in Stage:
            versions.add_metric([stage.value], counts.get(stage.value, 0))
        yield versions
        yield GaugeMetricFamily(
            "adapterd_stalled", "Adapter versions that wait for a person.", value=counts.get("stalled", 0)
        )
        observations = GaugeMetricFamily("adapterd_observations", "Adapter directories by state.", labels=["state"])
        for name, count in counts.items():
            if name.startswith(_OBSERVED):
                observations.add_metric([name.removeprefix(_OBSERVED)], count)
        yield observations

    def _daemon(self) -> Iterator[Metric]:
        """What the daemon says of itself."""
        health = self._health
        now = health.monotonic()
        lanes = GaugeMetricFamily(
            "adapterd_lane_last_turn_seconds", "Seconds since a lane's loop last turned.", labels=["lane"]
        )
        failures = CounterMetricFamily("adapterd_lane_failures", "Turns of a lane that failed.", labels=["lane"])
        for name, lane in dict(health.lanes).items():
            lanes.add_metric([name], max(0.0, now - lane.last_turn))
            failures.add_metric([name], lane.failures)
        yield from (lanes, failures)
        up = GaugeMetricFamily("adapterd_root_up", "Whether a root can be read.", labels=["root"])
        known = GaugeMetricFamily("adapterd_root_directories", "Adapter directories known in a root.", labels=["root"])
        scan = GaugeMetricFamily("adapterd_root_scan_seconds", "Length of a root's last scan.", labels=["root"])
        hints = GaugeMetricFamily(
            "adapterd_root_events",
            "Whether file events of a root arrive; without them only the scan finds things.",
            labels=["root"],
        )
        for path, root in dict(health.roots).items():
            label = [path.encode("utf-8", "backslashreplace").decode()]
            up.add_metric(label, 0 if root.problem else 1)
            known.add_metric(label, root.known)
            scan.add_metric(label, root.scan_seconds)
            hints.add_metric(label, int(root.events.startswith("on")))
        yield from (up, known, scan, hints)
        events = CounterMetricFamily(
            "adapterd_events", "What happened since the start of the daemon.", labels=["event"]
        )
        for event, count in dict(health.counters).items():
            events.add_metric([event], count)
        yield events
        yield GaugeMetricFamily("adapterd_ready", "Whether the daemon has begun its work.", value=int(health.ready))
        yield InfoMetricFamily(
            "adapterd_build", "The running program.", value={"version": health.version, "publisher": health.publisher}
        )


class Metrics:
    """One scrape at a time of a registry of our own: the library's global one belongs to whoever embeds us."""

    def __init__(self, reader: RegistryReader, health: Health) -> None:
        """Register the collectors."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Adapterd(reader, health))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """The text of one scrape."""
        return generate_latest(self._registry)
