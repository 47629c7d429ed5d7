"""Public names of wetstream, each loaded on first use: the text modules must never load Redis or Spark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conf.errors import ExplainedError, NotFoundError
    from conf.profiles import ProfileError
    from conf.settings import Settings, SettingsError, load_settings
    from producers.estimate import Estimate, PlannedSource
    from producers.report import Note, Outcome, OutcomeState, SourceProgress
    from producers.sample.writer import write_sample
    from producers.sources.identity import crawl_and_segment, source_id
    from producers.wet.recognise import NotWetError
    from serving.queries import LiveStatistics, NoStatisticsError, VocabularySnapshot
    from serving.slices.comparison import Comparison
    from serving.slices.slice import Slice, SliceError
    from serving.slices.statistics import SliceStatistics
    from serving.slices.trends import Trends
    from serving.verify.verify import Verification
    from serving.view import View
    from sinks.documents.takedowns import Takedown, TakedownError
    from streaming.replay import ReplayResult
    from streaming.text.explain import Explanation
    from topicmodels.errors import TopicError
    from topicmodels.model import TopicModel
    from wetstream.pipeline.catalog.listing import PipelineInfo
    from wetstream.pipeline.catalog.upgrade import Upgrade
    from wetstream.pipeline.events import (
        Event,
        EventStream,
        FilesRead,
        Lag,
        MicroBatch,
        Reading,
        RowsDone,
        SourcesFound,
        Status,
        TopicProgress,
    )
    from wetstream.pipeline.ingest import IngestOptions
    from wetstream.pipeline.pipeline import Pipeline, Removal, open_statistics
    from wetstream.pipeline.repair import RepairResult
    from wetstream.pipeline.replay import GenerationInfo
    from wetstream.pipeline.takedown.pages import TakenDown
    from wetstream.pipeline.takedown.purge import Purge
    from wetstream.pipeline.topics.topics import PageTopics, Topics
    from wetstream.profile import Profile
    from wetstream.tables.documents import DocumentsTable
    from wetstream.tables.vocabulary import Vocabulary
    from wetstream.wet.datasource import WetDataSource
    from wetstream.wet.read import WetRecord, read_wet, read_wet_batches

_WHERE = {
    "Comparison": "serving.slices.comparison",
    "DocumentsTable": "wetstream.tables.documents",
    "Estimate": "producers.estimate",
    "Event": "wetstream.pipeline.events",
    "EventStream": "wetstream.pipeline.events",
    "ExplainedError": "conf.errors",
    "Explanation": "streaming.text.explain",
    "FilesRead": "wetstream.pipeline.events",
    "GenerationInfo": "wetstream.pipeline.replay",
    "IngestOptions": "wetstream.pipeline.ingest",
    "Lag": "wetstream.pipeline.events",
    "LiveStatistics": "serving.queries",
    "MicroBatch": "wetstream.pipeline.events",
    "NoStatisticsError": "serving.queries",
    "NotFoundError": "conf.errors",
    "NotWetError": "producers.wet.recognise",
    "Note": "producers.report",
    "Outcome": "producers.report",
    "OutcomeState": "producers.report",
    "PageTopics": "wetstream.pipeline.topics.topics",
    "Pipeline": "wetstream.pipeline.pipeline",
    "PipelineInfo": "wetstream.pipeline.catalog.listing",
    "PlannedSource": "producers.estimate",
    "Profile": "wetstream.profile",
    "ProfileError": "conf.profiles",
    "Purge": "wetstream.pipeline.takedown.purge",
    "Reading": "wetstream.pipeline.events",
    "Removal": "wetstream.pipeline.pipeline",
    "RepairResult": "wetstream.pipeline.repair",
    "ReplayResult": "streaming.replay",
    "RowsDone": "wetstream.pipeline.events",
    "Settings": "conf.settings",
    "SettingsError": "conf.settings",
    "Slice": "serving.slices.slice",
    "SliceError": "serving.slices.slice",
    "SliceStatistics": "serving.slices.statistics",
    "SourceProgress": "producers.report",
    "SourcesFound": "wetstream.pipeline.events",
    "Status": "wetstream.pipeline.events",
    "Takedown": "sinks.documents.takedowns",
    "TakedownError": "sinks.documents.takedowns",
    "TakenDown": "wetstream.pipeline.takedown.pages",
    "Trends": "serving.slices.trends",
    "TopicError": "topicmodels.errors",
    "TopicModel": "topicmodels.model",
    "TopicProgress": "wetstream.pipeline.events",
    "Topics": "wetstream.pipeline.topics.topics",
    "Upgrade": "wetstream.pipeline.catalog.upgrade",
    "Verification": "serving.verify.verify",
    "View": "serving.view",
    "Vocabulary": "wetstream.tables.vocabulary",
    "VocabularySnapshot": "serving.queries",
    "WetDataSource": "wetstream.wet.datasource",
    "WetRecord": "wetstream.wet.read",
    "crawl_and_segment": "producers.sources.identity",
    "load_settings": "conf.settings",
    "open_statistics": "wetstream.pipeline.pipeline",
    "read_wet": "wetstream.wet.read",
    "read_wet_batches": "wetstream.wet.read",
    "source_id": "producers.sources.identity",
    "write_sample": "producers.sample.writer",
}
__all__ = [
    "Comparison",
    "DocumentsTable",
    "Estimate",
    "Event",
    "EventStream",
    "ExplainedError",
    "Explanation",
    "FilesRead",
    "GenerationInfo",
    "IngestOptions",
    "Lag",
    "LiveStatistics",
    "MicroBatch",
    "NoStatisticsError",
    "NotFoundError",
    "NotWetError",
    "Note",
    "Outcome",
    "OutcomeState",
    "PageTopics",
    "Pipeline",
    "PipelineInfo",
    "PlannedSource",
    "Profile",
    "ProfileError",
    "Purge",
    "Reading",
    "Removal",
    "RepairResult",
    "ReplayResult",
    "RowsDone",
    "Settings",
    "SettingsError",
    "Slice",
    "SliceError",
    "SliceStatistics",
    "SourceProgress",
    "SourcesFound",
    "Status",
    "Takedown",
    "TakedownError",
    "TakenDown",
    "TopicError",
    "TopicModel",
    "TopicProgress",
    "Topics",
    "Trends",
    "Upgrade",
    "Verification",
    "View",
    "Vocabulary",
    "VocabularySnapshot",
    "WetDataSource",
    "WetRecord",
    "crawl_and_segment",
    "load_settings",
    "open_statistics",
    "read_wet",
    "read_wet_batches",
    "source_id",
    "write_sample",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'wetstream' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
