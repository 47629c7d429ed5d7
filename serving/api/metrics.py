"""Metrics for Prometheus, from the state that everything else is answered from.

Counters are sums that the pipeline keeps, so they survive a restart of this server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.api.live_state import LiveState
from serving.api.poller import StatisticsPoller

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TOTALS = {
    "records": "WET records processed",
    "documents": "documents kept",
    "tokens": "tokens counted",
    "payload_bytes": "bytes of text processed",
}


class MetricsCollector(Collector):
    """Collects the metrics at each scrape.

    Args:
        poller: Keeps the state.
        clients: Counts the open event streams.
    """

    def __init__(self, poller: StatisticsPoller, clients: Callable[[], int]) -> None:
        self._poller = poller
        self._clients = clients

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, with the label `pipeline`; those of the pipeline only while Redis can be read."""
        for family in self._collect():
            label = {"pipeline": self._poller.pipeline}
            family.samples = [sample._replace(labels=label | sample.labels) for sample in family.samples]
            yield family

    def _collect(self) -> Iterable[Metric]:
        state = self._poller.state
        yield _gauge("redis_up", "whether Redis can be read", float(not state.unavailable))
        yield _gauge("event_clients", "open event streams of this server", float(self._clients()))
        if state.unavailable or state.aggregates is None:
            return
        yield from _statistics(state)
        yield from _stream(state)
        yield from _produced(state)
        snapshot = self._poller.snapshot
        if snapshot is not None:
            yield _gauge("snapshot_seconds", "time that the last vocabulary snapshot took", snapshot.duration_s)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _statistics(state: LiveState) -> Iterable[Metric]:
    assert state.aggregates is not None
    for name, text in TOTALS.items():
        yield _counter(name, text, state.aggregates.totals[name])
    yield _gauge("vocabulary_words", "distinct words", state.aggregates.totals["words"])
    yield _gauge("redis_memory_bytes", "memory that Redis uses", state.redis_bytes)
    yield _gauge(
        "last_commit_timestamp_seconds", "time of the last commit", state.aggregates.instant.as_of["time"] or 0
    )
    rejected = CounterMetricFamily("wetstream_rejected_records", "rejected records by reason", labels=["reason"])
    for row in state.aggregates.rejected()["reasons"]:
        rejected.add_metric([row["reason"]], row["records"])
    yield rejected


def _stream(state: LiveState) -> Iterable[Metric]:
    yield _gauge("stream_up", "whether a stream is running", float(state.stream.streaming))
    yield _gauge("processed_records_per_second", "rate of the last micro-batch", state.stream.records_per_s)
    lag = GaugeMetricFamily("wetstream_lag_offsets", "offsets waiting in the topic", labels=["partition"])
    for partition, offsets in (state.stream.lag_by_partition or state.broker_lag).items():
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
    """Yield what the producers report; rate() over these gives their rates."""
    yield _counter("produced_records", "records in the topic", sum(row["produced"] or 0 for row in state.sources))
    produced = sum(row["produced_bytes"] or 0 for row in state.sources)
    yield _counter("produced_bytes", "bytes of records in the topic", produced)
    states: dict[str, int] = {}
    for row in state.sources:
        name = row["state"]
        states[name] = states.get(name, 0) + 1
    sources = GaugeMetricFamily("wetstream_sources", "sources by state", labels=["state"])
    for name, n in states.items():
        sources.add_metric([name], n)
    yield sources


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wetstream_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"wetstream_{name}", text, value=value)
