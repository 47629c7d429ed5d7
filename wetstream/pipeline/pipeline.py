"""The way in for Python programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conf.settings import load_settings
from serving.document_queries import DocumentQueries
from serving.queries import LiveStatistics
from wetstream.pipeline.connections import find_redis, open_redis
from wetstream.pipeline.writer_lease import live_documents


def open_statistics(pipeline: str | None = None, *, config: Path | None = None, **flags: Any) -> LiveStatistics:
    """The live statistics of a pipeline, with settings from all their places (`redis__url="redis://…"` overrides one).

    >>> open_statistics("main", home="/data/ws").stats()["documents"]  # doctest: +SKIP
    """
    given = {name.replace("__", "."): value for name, value in flags.items()}
    settings = load_settings(config, {"pipeline": pipeline, **given})
    table = DocumentQueries(lambda: live_documents(settings))
    return LiveStatistics(open_redis(find_redis(settings)), settings.pipeline, table)
