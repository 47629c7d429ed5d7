"""Brings a pipeline that an older version made to this version."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from redis import Redis

from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.errors import ExplainedError, counted
from conf.profiles import ProfileError, Rules
from conf.settings import Settings
from producers.topic.markers import COMPLETE
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topic, describe_topic
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import Generation, Generations, Pointer
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from sinks.keys import changes_key, lease_key, replay_lease_key
from sinks.lease import Lease
from sinks.statistics.builds import open_builds
from sinks.statistics.errors import CorruptStatisticsError
from sinks.upgrades.upgrade import make_upgraded, plan_upgrade
from wetstream.pipeline.connections import find_kafka

MARKERS_S = 60.0
GONE = ("removing", "removed")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade has done, or would do.

    Attributes:
        generation: The generation that was live; it stays, for the version that made it, until it is dropped.
        schema_version: Schema version of its documents.
        to_version: Schema version of this wetstream; the same where there was nothing to do.
        records: Rows to rewrite.
        files: In so many files.
        bytes: Of this size.
        upgraded: Name of the generation that is live now; None for a dry run, or where there was nothing to do.
        notes: What cannot go on as before, and the remedy.
    """

    generation: str
    schema_version: int
    to_version: int
    records: int = 0
    files: int = 0
    bytes: int = 0
    upgraded: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def needed(self) -> bool:
        """Whether there is, or was, something to do."""
        return self.schema_version != self.to_version


def plan(settings: Settings) -> Upgrade:
    """Say what an upgrade would do. Raises DocumentsError, and what prevents one."""
    _, _, found = _prepare(settings)
    return found


def upgrade(settings: Settings, redis: Redis, on_rows: Callable[[str, int, int], None]) -> Upgrade:
    """Make a generation of this version from the live one, and make it the live one, with its statistics.

    Interrupted, the same call goes on: until the pointer is replaced the old generation is live, and untouched.

    Raises:
        LeaseError: A stream, a replay or another change of the pipeline runs.
        DocumentsError: There are no documents, or they cannot be upgraded.
    """
    name = settings.pipeline
    with ExitStack() as held:
        for key in (changes_key(name), lease_key(name), replay_lease_key(name)):
            lease = Lease(redis, key, lease_s=settings.stream.lease_s)
            lease.acquire()
            held.callback(lease.release)
        pointer, live, found = _prepare(settings)
        generations, made = Generations.of(settings), live
        schema = plan_upgrade(live)
        if schema is not None:
            rules, _ = _rules(generations, live.documents)
            made = make_upgraded(settings, live, schema, rules, lambda done, of: on_rows("rewriting", done, of))
            crash_point("before-upgrade-switch")
            generations.point_to(made.name, pointer)
            crash_point("after-upgrade-switch")
        _count(settings, redis, made)
    if schema is None:
        return found
    return replace(found, upgraded=made.name)


def _prepare(settings: Settings) -> tuple[Pointer, Generation, Upgrade]:
    generations = Generations.of(settings)
    pointer = generations.pointer()
    if pointer.generation is None:
        raise DocumentsError(f"pipeline {settings.pipeline} has no documents yet: there is nothing to upgrade")
    documents = Documents.open_any(generations.location_of(pointer.generation))
    live = Generation(pointer.generation, documents)
    if not documents.schema_version:
        raise DocumentsError(f"{documents.location} is no documents table of wetstream: correct documents.path")
    schema = plan_upgrade(live)
    if schema is None:
        return pointer, live, Upgrade(live.name, documents.schema_version, documents.schema_version)
    if schema.schema_version > schema.to_version:
        Documents.open(documents.location)  # says which version to use
    _, note = _rules(generations, documents)
    notes = [note] if note else []
    if schema.leaves_topic:
        notes += _leave_topic(settings, documents)
    planned = Upgrade(
        schema.generation,
        schema.schema_version,
        schema.to_version,
        schema.records,
        schema.files,
        schema.bytes,
        notes=notes,
    )
    return pointer, live, planned


def _rules(generations: Generations, documents: Documents) -> tuple[Rules, str]:
    """The rules that documents were made with, and what to say where this version does not have them."""
    stored = documents.properties
    profile, rules_hash = stored.get("profile", ""), stored.get("rules_hash", "")
    try:
        found = generations.profile_of(documents)
        if found.rules_hash == rules_hash:
            return Rules(profile, rules_hash, found.to_json()), ""
        why = f"profile {profile} has other rules than those that it was made with"
    except ProfileError as error:
        why = f"its rules cannot be read ({error})"
    return Rules(profile, rules_hash), (
        f"{why}: it can be read, but nothing can be added. Apply rules of this version to the past with `wetstream "
        "replay --profile NAME --from topic` or `--from files SOURCE...`"
    )


def _count(settings: Settings, redis: Redis, generation: Generation) -> None:
    builds, position = open_builds(settings, redis), generation.documents.position()
    try:
        builds.catch_up(generation, position)
    except CorruptStatisticsError:  # in another form, by an older version
        builds.rebuild(generation, position)


def _leave_topic(settings: Settings, documents: Documents) -> list[str]:
    """What follows from a topic that this version does not read. Raises ExplainedError if records wait in it."""
    bound = documents.properties
    name = bound.get("topic", settings.records_topic)
    servers = find_kafka(settings)
    if not servers:
        raise ExplainedError(
            f"topic {name} was written by an older wetstream, and Kafka has to say whether records wait in it: start "
            "it (`wetstream up`), or name yours (kafka.bootstrap_servers)"
        )
    topic = describe_topic(settings, servers, name)
    notes = []
    if topic is not None and topic.id == bound["topic_id"]:
        position = documents.position()
        ends = end_offsets(servers, topic)
        waiting = sum(max(0, end - position.get(partition_key(topic.id, part), 0)) for part, end in ends.items())
        # Behind the last record of a partition there may be a transaction marker, which older versions did not count.
        if waiting > len(ends):
            raise ExplainedError(
                f"{counted(waiting, 'offset')} of topic {name} are not processed, and this version does not read them: "
                "process them with the version that wrote it (`wetstream stream --once`), then upgrade"
            )
        notes.append(
            f"topic {name} has messages of an older form, which this version does not read: its sources are held as if "
            "read from their files. Before the next `ingest`, delete it and "
            f"{settings.progress_topic}, or name new ones (kafka.records_topic, kafka.progress_topic)"
        )
    incomplete = _incomplete(settings, servers)
    if incomplete:
        notes.append(
            f"not ingested to the end: {', '.join(incomplete[:3])}{' and more' if len(incomplete) > 3 else ''}; remove "
            "them (`wetstream remove SOURCE...`) and ingest them again"
        )
    return notes


def _incomplete(settings: Settings, servers: BootstrapServers) -> list[str]:
    """Sources that the progress topic of an older version says are not read to their end."""
    topic = describe_topic(settings, servers, settings.progress_topic)
    if topic is None:
        return []
    states: dict[str, str] = {}
    for key, value in _messages(servers, topic):
        try:
            states[key] = str(json.loads(value)["state"])
        except (ValueError, TypeError, KeyError):
            continue
    return sorted(source for source, state in states.items() if state not in (*COMPLETE, *GONE))


def _messages(servers: BootstrapServers, topic: Topic) -> list[tuple[str, bytes]]:
    try:
        consumer = KafkaConsumer(**servers.client_options(), isolation_level="read_committed", enable_auto_commit=False)
        try:
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends, found, deadline = consumer.end_offsets(partitions), [], time.monotonic() + MARKERS_S
            while any(consumer.position(part) < end for part, end in ends.items()) and time.monotonic() < deadline:
                for messages in consumer.poll(timeout_ms=100).values():
                    found += [((each.key or b"").decode("utf-8", "replace"), each.value or b"") for each in messages]
            return found
        finally:
            consumer.close()
    except KafkaError as error:
        raise ExplainedError(f"topic {topic.name} cannot be read ({error}): look at the broker") from error
