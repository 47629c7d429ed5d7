"""Ingestion in a process of its own, to be killed: `ingest_process.py FLAGS-AS-JSON FILE...`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conf.settings import Settings, load_settings
from producers.ingest import Ingester
from producers.report import Outcome
from producers.sources.discover import discover
from producers.topic.topics import ensure_topics
from producers.workers import ingest_all


def main(flags: str, *names: str) -> None:
    settings = load_settings(flags=json.loads(flags), environ={})
    servers = settings.bootstrap_servers
    topics = ensure_topics(settings, servers)
    if settings.producer.workers == 1:
        ingester = Ingester(settings, servers, topics)
        events = (ingester.ingest(source) for source in discover(names))
    else:
        events = ingest_all(settings, servers, topics, discover(names))
    for event in events:
        if isinstance(event, Outcome):
            print(event.state, event.message, flush=True)


def start(settings: Settings, *paths: Path, crash_at: str = "") -> subprocess.Popen[str]:
    """Begin to ingest in a process group of its own."""
    flags = {
        "home": str(settings.home),
        "pipeline": settings.pipeline,
        **settings.bootstrap_servers.as_settings(),
        "kafka.partitions": settings.kafka.partitions,
        **{f"producer.{name}": value for name, value in settings.producer.model_dump().items()},
    }
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps(flags), *map(str, paths)],
        env={**os.environ, "WETSTREAM_CRASH_AT": crash_at},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
