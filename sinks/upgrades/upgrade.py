"""Makes a generation of this version from one that an older version made.

The old table is only read. The new one gets its rows, positions, removals and takedowns by a single commit, and becomes
the live generation by the pointer, as after a replay. So a crash leaves the old generation live, or the new one, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from conf.crash_points import crash_point
from conf.profiles import Rules
from conf.settings import Settings
from sinks.documents.errors import DocumentsError, FencedError
from sinks.documents.exclusions import Excluded
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.generations import Generation, Generations
from sinks.documents.log import (
    COMMITS,
    FILE_COMMITS,
    FROM_FILE,
    LOST,
    LOST_OF,
    TOPIC_COMMITS,
    TOPIC_PARTITIONS,
    partition_key,
)
from sinks.documents.schema import SCHEMA_VERSION
from sinks.documents.table import Documents
from sinks.upgrades.rows import OldRows

UPGRADED_FROM: Final = "upgraded_from"  # property of the new generation: `<generation>@<version of its table>`
TOPIC: Final[tuple[str, ...]] = ("topic", "topic_id", "topic_partitions")
FIRST_CONTRACT_SCHEMA: Final = 3
"""Tables of earlier versions come from topics whose messages have keys of another form (topic contract 1)."""


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What an upgrade has to do.

    Attributes:
        generation: The live generation.
        schema_version: That of its table; `to_version`: the one that it gets.
        records: Rows of the table.
        files: Their number.
        bytes: Their size.
        leaves_topic: Whether its topic is of a form that is no longer read. Its sources are then held from their files.
    """

    generation: str
    schema_version: int
    to_version: int
    records: int
    files: int
    bytes: int
    leaves_topic: bool


def plan_upgrade(old: Generation) -> UpgradePlan | None:
    """Say what upgrading a generation has to do; None if it is of this version."""
    documents = old.documents
    if documents.schema_version == SCHEMA_VERSION:
        return None
    files = documents.files()
    return UpgradePlan(
        old.name,
        documents.schema_version,
        SCHEMA_VERSION,
        sum(file["num_records"] for file in files),
        len(files),
        sum(file["size_bytes"] for file in files),
        documents.schema_version < FIRST_CONTRACT_SCHEMA and "topic_id" in documents.properties,
    )


def make_upgraded(
    settings: Settings, old: Generation, plan: UpgradePlan, rules: Rules, report: Callable[[int, int], None]
) -> Generation:
    """Make the generation of this version; one that an interrupted upgrade has left complete is taken.

    Args:
        settings: Settings of the pipeline.
        old: The live generation, whose writer lease the caller holds.
        plan: What `plan_upgrade` has returned for it.
        rules: The rules that its documents were made with.
        report: Called with the number of rows that are written, and of all.

    Raises:
        DocumentsError: A removal was interrupted, which has to be completed by the version that began it.
        FencedError: The old table has changed meanwhile.
        DamagedFileError: One of its files is missing, or is not what was written.
    """
    generations = Generations.of(settings)
    if plan.leaves_topic and old.documents.planned_removal() != Excluded():
        raise DocumentsError(
            f"a removal from {old.documents.location} was interrupted: complete it with the version that began it (run "
            "the same command again), then upgrade"
        )
    documents, origin = old.documents, f"{old.name}@{old.documents.version}"
    for name in generations.names():
        found = Documents.open_any(generations.location_of(name))
        if UPGRADED_FROM in found.properties and name != old.name:
            if found.properties[UPGRADED_FROM] == origin and COMMITS in found.transactions():
                return generations.open(name)
            generations.drop(name)
    kept = documents.properties
    properties: dict[str, str] = {name: kept[name] for name in TOPIC if name in kept and not plan.leaves_topic}
    made = generations.create_successor(documents, rules, {UPGRADED_FROM: origin, **properties})
    crash_point("upgrade-generation-made")
    files, sources = _rewrite(settings, old, made, plan, report)
    fresh = sorted(source for source in sources if not documents.is_from_file(source)) if plan.leaves_topic else []
    if plan.leaves_topic:
        # Removed sources are excluded by offsets of that topic, which mean nothing in another one.
        made.documents.inherit([], documents.takedowns())
        made.documents.expect_files([*documents.sources_from_files(), *fresh])
    else:
        made.documents.take_over_exclusions(documents)
    crash_point("before-upgrade-commit")
    made.documents.take_over(files, _transactions(documents, plan, fresh), sources)
    crash_point("after-upgrade-commit")
    if Documents.open_any(documents.location).version != documents.version:
        raise FencedError(f"another process has changed {documents.location} meanwhile: run the same command again")
    return made


def _rewrite(
    settings: Settings, old: Generation, made: Generation, plan: UpgradePlan, report: Callable[[int, int], None]
) -> tuple[list[DocumentFile], set[str]]:
    files: list[DocumentFile] = []
    sources: set[str] = set()
    done = 0
    with OldRows.of(old.documents) as rows:
        for file in old.documents.files():
            table = rows.read(file, without_topic=plan.leaves_topic)
            of_a_source = pc.greater_equal(table["record_offset"], 0)  # the others are foreign messages
            sources.update(table["source"].filter(of_a_source).unique().to_pylist())
            level = settings.documents.compression_level
            files.append(write_document_file(made.documents.location, table, compression_level=level))
            crash_point("upgrade-file-written")
            done += table.num_rows
            report(done, plan.records)
    return files, sources


def _transactions(old: Documents, plan: UpgradePlan, fresh: list[str]) -> dict[str, int]:
    """The app transactions of the new table: the old ones, without those of a topic that is left behind."""
    found = old.transactions()
    if plan.leaves_topic:
        bound = old.properties
        partitions = max(int(bound.get("topic_partitions", 0)), found.get(TOPIC_PARTITIONS, 0))
        positions = {partition_key(bound["topic_id"], number) for number in range(partitions)}
        topic = {TOPIC_COMMITS, TOPIC_PARTITIONS, LOST, *positions, *(LOST_OF + name for name in positions)}
        found = {name: version for name, version in found.items() if name not in topic}
        found |= {FROM_FILE + source: found.get(FROM_FILE + source, 0) + 1 for source in fresh}
        found[FILE_COMMITS] = found.get(FILE_COMMITS, 0) + 1
    return found
