"""Deletes what is left of pages that were taken down, and searches everything to prove it.

The documents table keeps old versions for readers of the past, and the topic keeps every record for replays. A purge
deletes each Parquet file that no version needs but an old one and that holds such a page, and moves the beginning of
each partition of the topic behind the last such message. Kafka cannot delete single messages: those before it go too.
Topic models forget such pages as examples; what the pages taught stays in the weights.

Then everything is read once more, and the report says what was searched, and what is left and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.errors import ExplainedError, counted
from conf.settings import Settings
from producers.topic.topics import Topic, delete_records, describe_topic
from sinks.documents.generations import Generations
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from sinks.documents.takedowns import TakedownMatcher
from sinks.storage.folder import Folder
from topicmodels.store import ModelStore
from wetstream.pipeline.connections import find_kafka
from wetstream.pipeline.takedown.search import FoundFile, FoundMessages, search_files, search_topic
from wetstream.pipeline.topics.takedowns import purge_models
from wetstream.pipeline.writer_lease import live_documents


@dataclass(frozen=True, slots=True)
class Purge:
    """Report of a purge.

    Attributes:
        versions: By generation, the versions of its documents table whose files were searched: the first and the last.
        files: Parquet files that were searched at the end.
        files_deleted: Paths of the files that were deleted.
        models: Names of the topic models from whose example documents pages were deleted. All models were searched.
        messages: Messages of the topic that were searched at the end.
        offsets: By partition, the first and the end offset that were searched then.
        deleted_before: By partition of the topic, the offset before which all messages were deleted.
        left: Where something is left, why, and the remedy. Empty: nothing is left.
    """

    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: int = 0
    files_deleted: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    messages: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    deleted_before: dict[int, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.left


def purge(settings: Settings, note: Callable[[str], None]) -> Purge:
    """Delete all pages that were ever taken down from old versions and from the topic. For the holder of the changes.

    Raises:
        DocumentsError: There are no documents, or a file of the live table is damaged.
        TopicError: The broker does not answer, or refuses.
    """
    documents = live_documents(settings)
    bootstrap_servers, topic = _topic(settings, documents)
    matcher = TakedownMatcher(documents.takedowns())
    generations = Generations.of(settings)
    note("searching the files of the documents table")
    deleted = _delete_files(generations, matcher)
    Folder(settings.slices_path).remove()  # counts of earlier versions
    before: dict[int, int] = {}
    if topic is not None:
        note(f"searching topic {topic.name}")
        before = _delete_messages(settings, bootstrap_servers, topic, documents, matcher)
    note("searching the topic models")
    models, left = purge_models(ModelStore(settings.topic_models_path), documents)
    note("reading everything again")
    files = [file for name in generations.names() for file in search_files(generations, name, matcher)]
    left += [_why(file, generations.live()) for file in files if file.pages or file.problem]
    found = FoundMessages()
    if topic is not None:
        found = search_topic(bootstrap_servers, topic, matcher)
        left += [_why_messages(topic, documents, partition, last) for partition, last in found.last.items()]
    return Purge(
        versions={name: (0, generations.open(name).documents.version) for name in generations.names()},
        files=len(files),
        files_deleted=deleted,
        models=models,
        messages=found.messages,
        offsets=found.offsets,
        deleted_before=before,
        left=left,
    )


def _delete_files(generations: Generations, matcher: TakedownMatcher) -> list[str]:
    deleted = []
    for name in generations.names():
        for file in search_files(generations, name, matcher):
            if file.pages and not file.is_current:
                crash_point("before-purge-file")
                file.path.delete()
                deleted.append(str(file.path))
    return deleted


def _delete_messages(
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topic: Topic,
    documents: Documents,
    matcher: TakedownMatcher,
) -> dict[int, int]:
    found = search_topic(bootstrap_servers, topic, matcher)
    position = documents.position()
    before: dict[int, int] = {}
    for partition, offsets in found.matches.items():
        # What is not processed yet must stay: the stream has to see it, to keep its place.
        done = [at for at in offsets if at < position.get(partition_key(topic.id, partition), 0)]
        if done:
            before[partition] = max(done) + 1
    if before:
        crash_point("before-purge-topic")
        delete_records(settings, bootstrap_servers, topic, before)
        crash_point("after-purge-topic")
    return before


def _topic(settings: Settings, documents: Documents) -> tuple[BootstrapServers, Topic | None]:
    """The broker, and the records topic; None if nothing was ever ingested through Kafka."""
    bootstrap_servers = find_kafka(settings)
    if bootstrap_servers:
        return bootstrap_servers, describe_topic(settings, bootstrap_servers, settings.records_topic)
    if "topic_id" in documents.properties:
        raise ExplainedError(
            "Kafka does not run, but its topic holds what is to be purged: start it (`wetstream up`), or name yours "
            "(kafka.bootstrap_servers)"
        )
    return BootstrapServers(""), None


def _why(file: FoundFile, live: str | None) -> str:
    if file.problem:
        return f"{file.path}: {file.problem}; `wetstream documents vacuum` deletes what no version needs"
    pages = counted(file.pages, "page")
    if file.generation != live:
        return (
            f"{file.path}: {pages}, of generation {file.generation}, which is not live: `wetstream generations drop "
            f"{file.generation}`, then purge again"
        )
    return f"{file.path}: {pages}; purge again"


def _why_messages(topic: Topic, documents: Documents, partition: int, last: int) -> str:
    pending = last >= documents.position().get(partition_key(topic.id, partition), 0)
    remedy = "not streamed yet: `wetstream stream --once`, then purge again" if pending else "purge again"
    return f"partition {partition} of topic {topic.name}, up to offset {last}: {remedy}"
