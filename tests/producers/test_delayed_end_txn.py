"""An `EndTxn` that arrives late must not commit a part of a later transaction (Jepsen: Bufstream 0.1.0)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from conf.settings import Settings
from producers.ingest import Ingester
from producers.sample.writer import write_sample
from producers.topic.topics import ensure_topics
from tests.producers.proxy import Proxy
from tests.producers.topic import assert_whole, here

# Several requests a transaction, so that a part of one can be committed.
LONG = {"producer__transaction_bytes": 4 << 20, "producer__transaction_ms": 10_000, "producer__compression": "none"}


@pytest.mark.parametrize("hold", [2, 3])
def test_delayed_end_txn_commits_nothing(hold: int, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    path = write_sample(tmp_path / "long.warc.wet.gz", raw_bytes=12_000_000, seed=3).path
    settings = make_settings(**LONG)
    servers = settings.bootstrap_servers
    topics = ensure_topics(settings, servers)
    with closing(Proxy(servers.addresses, hold)) as proxy:
        ingester = Ingester(settings, replace(servers, addresses=proxy.address), topics)
        outcome = ingester.ingest(here(path))
        ingester.close()
    assert outcome.state == "done", outcome
    assert proxy.released.is_set()
    assert_whole(settings, path)
