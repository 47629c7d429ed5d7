"""The pipelines of a documents folder and a broker."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kafka.errors import KafkaError

from conf.errors import ExplainedError
from conf.profiles import profile_name
from conf.settings import Settings
from producers.topic.topics import TopicError, list_topics
from sinks.documents.generations import Generations
from sinks.storage.locate import documents_location
from wetstream.pipeline.connections import find_kafka


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """A pipeline that has documents or a topic.

    Attributes:
        name: Its name, as `--pipeline` takes it.
        generation: The live generation of its documents; None before the first start of its stream.
        profile: Its rules.
        records: Rows in its documents.
        topic: Whether its records topic exists; None when no broker answers.
        problem: Why its documents cannot be read; None where they can.
    """

    name: str
    generation: str | None = None
    profile: str | None = None
    records: int = 0
    topic: bool | None = None
    problem: str | None = None


def list_pipelines(settings: Settings) -> list[PipelineInfo]:
    """Return the pipelines below `documents.path`, and those whose topic is on the broker, by name."""
    topics = _pipelines_with_topic(settings)
    with_documents = {name for name in documents_location(settings).folders() if not name.startswith(".")}
    return [_describe(settings, name, topics) for name in sorted(with_documents | (topics or set()))]


def _describe(settings: Settings, name: str, topics: set[str] | None) -> PipelineInfo:
    topic = None if topics is None else name in topics
    try:
        live = Generations(documents_location(settings), name).open_live()
    except ExplainedError as error:
        return PipelineInfo(name, topic=topic, problem=str(error))
    if live is None:
        return PipelineInfo(name, topic=topic)
    documents = live.documents
    profile = documents.properties.get("profile")
    shown = None if profile is None else profile_name(profile)
    return PipelineInfo(name, live.name, shown, documents.row_count(), topic)


def _pipelines_with_topic(settings: Settings) -> set[str] | None:
    """Names of pipelines by the names of their topics; None without a broker."""
    bootstrap_servers = find_kafka(settings)
    if not bootstrap_servers:
        return None
    before, marker, after = settings.kafka.records_topic.partition("{pipeline}")
    if not marker:
        return set()
    pattern = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
    try:
        topics = list_topics(settings, bootstrap_servers)
    except (TopicError, KafkaError):
        return None
    return {found[1] for topic in topics if (found := pattern.fullmatch(topic))}
