"""Ingestion in a process of its own, to be killed: `ingest_process.py FLAGS-AS-JSON FILE...`."""

from __future__ import annotations

import json
import sys

from conf.settings import load_settings
from producers.discover import discover
from producers.ingest import Ingester
from producers.report import Outcome
from producers.topics import ensure_topics
from producers.workers import ingest_all


def main(flags: str, *names: str) -> None:
    settings = load_settings(flags=json.loads(flags), environ={})
    servers = settings.kafka.bootstrap_servers
    topics = ensure_topics(settings, servers)
    if settings.producer.workers == 1:
        ingester = Ingester(settings, servers, topics)
        events = (ingester.ingest(source) for source in discover(names))
    else:
        events = ingest_all(settings, servers, topics, discover(names))
    for event in events:
        if isinstance(event, Outcome):
            print(event.state, event.message, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
