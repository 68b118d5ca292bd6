"""The relay's counters in Prometheus' words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from signaling.metrics import RelayCounters, RelayState

_TELLS = {
    "media_packets": "Datagrams of media passed on, by direction.",
    "media_bytes": "Bytes of media passed on, by direction.",
    "media_dropped": "Datagrams of media not passed on, by cause.",
    "candidates_refused": "Media addresses in signaling that were not learned, by cause.",
    "signaling_refused": "Signaling connections turned away or ended by the relay, by cause.",
    "frames_dropped": "Signaling frames not passed on, by cause.",
}


class RelayCollector(Collector):
    """Shows what one relay counts, as it is when it is asked."""

    def __init__(self, counters: RelayCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[CounterMetricFamily]:
        for name, counter in vars(self._counters).items():
            family = CounterMetricFamily(counter.name, _TELLS.get(name, name), labels=[counter.label])
            for value, count in counter:
                family.add_metric([value.value], count)
            yield family


class RelayStateCollector(Collector):
    """Shows how one relay stands when it is asked."""

    def __init__(self, state: Callable[[], RelayState]) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self._state()
        routes = GaugeMetricFamily(
            "pixelferry_relay_routes", "Routes wanted of this relay, by how they stand.", labels=["state"]
        )
        routes.add_metric(["active"], state.sessions)
        routes.add_metric(["failed"], state.failed)
        yield routes
        for name, tells, value in (
            ("capacity", "Sessions that this relay may carry.", state.capacity),
            ("draining", "1 while this relay takes no new sessions.", state.draining),
            ("table_away", "1 while the route table does not answer this relay.", state.table_is_away),
        ):
            yield GaugeMetricFamily(f"pixelferry_relay_{name}", tells, value=float(value))
