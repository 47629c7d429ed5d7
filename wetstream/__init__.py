"""Public names of wetstream, each loaded on first use: the text modules must never load Redis or Spark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.queries import LiveStatistics, NoStatisticsError, View, VocabularySnapshot
    from wetstream.pipeline.ingest import IngestOptions
    from wetstream.pipeline.pipeline import Pipeline, open_statistics

_WHERE = {
    "IngestOptions": "wetstream.pipeline.ingest",
    "LiveStatistics": "serving.queries",
    "NoStatisticsError": "serving.queries",
    "Pipeline": "wetstream.pipeline.pipeline",
    "View": "serving.queries",
    "VocabularySnapshot": "serving.queries",
    "open_statistics": "wetstream.pipeline.pipeline",
}
__all__ = [
    "IngestOptions",
    "LiveStatistics",
    "NoStatisticsError",
    "Pipeline",
    "View",
    "VocabularySnapshot",
    "open_statistics",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'wetstream' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
