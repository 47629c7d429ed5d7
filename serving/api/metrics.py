"""Metrics for Prometheus, from the same state that answers everything else.

Counters are the sums that the pipeline keeps itself, so they go on when this server starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.api.poller import LiveState, StatisticsPoller

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TOTALS = {
    "records": "WET records processed",
    "documents": "documents kept",
    "tokens": "tokens counted",
    "payload_bytes": "bytes of text processed",
}


class MetricsCollector(Collector):
    """Reads the state at each scrape."""

    def __init__(self, live: StatisticsPoller, clients: Callable[[], int]) -> None:
        self._live = live
        self._clients = clients

    def collect(self) -> Iterable[Metric]:
        """All figures; those of the pipeline only while Redis answers."""
        state = self._live.state
        yield _gauge("redis_up", "whether Redis answers", float(not state.away))
        yield _gauge("event_clients", "open event streams of this server", float(self._clients()))
        if state.away or state.reading is None:
            return
        yield from _statistics(state)
        yield from _stream(state)
        yield from _produced(state)
        if self._live.snapshot is not None:
            yield _gauge("snapshot_seconds", "time that the last snapshot took", self._live.snapshot.seconds)

    def text(self) -> bytes:
        """The exposition."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _statistics(state: LiveState) -> Iterable[Metric]:
    assert state.reading is not None
    for name, text in TOTALS.items():
        yield _counter(name, text, state.reading.totals[name])
    yield _gauge("vocabulary_words", "different words", state.reading.totals["words"])
    yield _gauge("redis_memory_bytes", "memory that Redis uses", state.redis_bytes)
    yield _gauge("last_commit_timestamp_seconds", "time of the last commit", state.reading.as_of.answer["time"] or 0)
    rejected = CounterMetricFamily("wetstream_rejected_records", "rejected records by reason", labels=["reason"])
    for row in state.reading.rejected()["reasons"]:
        rejected.add_metric([row["reason"]], row["records"])
    yield rejected


def _stream(state: LiveState) -> Iterable[Metric]:
    yield _gauge("stream_up", "whether a stream runs", float(state.stream["streaming"]))
    yield _gauge("processed_records_per_second", "rate of the last micro-batch", state.stream["records_per_s"])
    lag = GaugeMetricFamily("wetstream_lag_offsets", "offsets that wait in the topic", labels=["partition"])
    for partition, offsets in state.stream["partitions"].items():
        lag.add_metric([partition], offsets)
    yield lag
    yield _counter("micro_batches", "micro-batches that held records", state.counters.get("batches", 0))
    yield _counter("files", "files written to the documents table", state.counters.get("files", 0))
    yield _counter("file_bytes", "bytes written to the documents table", state.counters.get("file_bytes", 0))
    phases = CounterMetricFamily("wetstream_micro_batch_phase_seconds", "time by phase", labels=["phase"])
    for name, seconds in state.counters.items():
        kind, _, phase = name.partition("\t")
        if kind == "seconds":
            phases.add_metric([phase], seconds)
    yield phases
    last = GaugeMetricFamily("wetstream_last_micro_batch_phase_seconds", "of the last micro-batch", labels=["phase"])
    for phase, seconds in (state.batches[0]["seconds"] if state.batches else {}).items():
        last.add_metric([phase], seconds)
    yield last


def _produced(state: LiveState) -> Iterable[Metric]:
    """Rates of the producers: rate() over these."""
    yield _counter("produced_records", "records in the topic", sum(row.get("produced") or 0 for row in state.sources))
    produced = sum(row.get("produced_bytes") or 0 for row in state.sources)
    yield _counter("produced_bytes", "bytes of records in the topic", produced)
    states: dict[str, int] = {}
    for row in state.sources:
        name = str(row.get("state", "done"))
        states[name] = states.get(name, 0) + 1
    sources = GaugeMetricFamily("wetstream_sources", "sources by state", labels=["state"])
    for name, n in states.items():
        sources.add_metric([name], n)
    yield sources


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wetstream_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"wetstream_{name}", text, value=value)
