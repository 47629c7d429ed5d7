"""The reading half of a pipeline: statistics, documents, exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from conf.settings import Settings, load_settings
from wetstream.pipeline.events import OnEvent, RowsDone, Status, ignore
from wetstream.pipeline.takedown.page_takedowns import PageTakedowns
from wetstream.tables.slices import SliceReader, identity_of

# Whatever takes time to import is imported where it is used, so that statistics answer at once.
if TYPE_CHECKING:
    from redis import Redis

    from serving.answers.sources import Source
    from serving.queries import LiveStatistics
    from serving.verify.verify import Verification
    from serving.view import View
    from sinks.documents.table import Documents
    from wetstream.pipeline.catalog.listing import PipelineInfo
    from wetstream.pipeline.catalog.upgrade import Upgrade
    from wetstream.pipeline.lookup import PageExplanation, TopicMessage
    from wetstream.pipeline.replay import GenerationInfo
    from wetstream.pipeline.topics.topics import Topics
    from wetstream.tables.documents import DocumentsTable
    from wetstream.tables.vocabulary import Vocabulary


class PipelineReader(SliceReader, PageTakedowns):
    """What a pipeline does without Spark: answers, exports, upkeep; see `Pipeline` for the arguments."""

    def __init__(
        self,
        name: str | None = None,
        *,
        config: str | Path | None = None,
        settings: Settings | None = None,
        on_event: OnEvent = ignore,
        **flags: Any,
    ) -> None:
        if not isinstance(settings, Settings | None):
            raise TypeError(f"settings must be a Settings of load_settings, not {type(settings).__name__}")
        if not isinstance(config, str | Path | None):
            raise TypeError(f"config must be the path of a settings file, not {type(config).__name__}")
        if not callable(on_event):
            raise TypeError(f"on_event must be a function of one event, not {type(on_event).__name__}")
        if settings is not None and (name is not None or config is not None or flags):
            raise TypeError("settings hold everything already: leave out name, config and single settings")
        given = {key.replace("__", "."): value for key, value in flags.items()}
        self.settings = settings or load_settings(None if config is None else Path(config), {"pipeline": name, **given})
        self.on_event = on_event
        self._redis: Redis | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to Redis. Embedded servers stay up."""
        if self._redis is not None:
            self._redis.close()
            self._redis = None

    def _live_documents(self) -> Documents:
        from wetstream.pipeline.writer_lease import live_documents

        return live_documents(self.settings)

    @property
    def redis(self) -> Redis:
        """A connection to Redis, opened once. Raises ServerError."""
        from wetstream.pipeline.connections import find_redis, open_redis

        if self._redis is None:
            self._redis = open_redis(find_redis(self.settings), self.settings.pipeline)
        return self._redis

    @property
    def statistics(self) -> LiveStatistics:
        """The live statistics. Raises ServerError without Redis; its methods raise NoStatisticsError."""
        from serving.document_queries import DocumentQueries
        from serving.queries import LiveStatistics

        return LiveStatistics(self.redis, self.settings.pipeline, DocumentQueries(self._live_documents))

    @property
    def documents(self) -> DocumentsTable:
        """The documents table of the live generation. Raises DocumentsError when there is none."""
        from wetstream.pipeline.writer_lease import live_documents
        from wetstream.tables.documents import DocumentsTable

        return DocumentsTable(live_documents(self.settings))

    def vocabulary(self, *, min_df: int = 1, max_df: float | None = None) -> Vocabulary:
        """Read the vocabulary: every word with its term and document frequency.

        Args:
            min_df: Keep words that occur in at least this many documents.
            max_df: Keep words that occur in less than this share of the documents; None: no upper bound.

        Raises:
            NoStatisticsError: Nothing has been counted yet.
        """
        from serving.view import View
        from wetstream.tables.vocabulary import Vocabulary

        return Vocabulary(self.statistics.snapshot(), View(min_df, max_df))

    @property
    def topics(self) -> Topics:
        """Topic models of the documents: trained, updated and asked here. Needs neither Kafka nor Redis."""
        from wetstream.pipeline.topics.topics import Topics

        return Topics(self.settings, self._live_documents, lambda event: self.on_event(event))

    def writing(self) -> AbstractContextManager[Documents]:
        """The documents table with the writer lease, for upkeep. Raises LeaseError while a stream runs."""
        from wetstream.pipeline.writer_lease import as_writer

        return as_writer(self.settings)

    def verify(self) -> Verification:
        """Recount every statistic from the documents table with another engine, and compare."""
        from serving.verify.verify import verify
        from wetstream.pipeline.repair import source_ends
        from wetstream.pipeline.writer_lease import live_documents

        def documents() -> Documents:
            return live_documents(self.settings)

        ends = source_ends(self.settings, documents)
        return verify(self.redis, self.settings.pipeline, documents(), ends)

    def export(
        self,
        form: str,
        folder: str | Path,
        view: View | None = None,
        *,
        stop_words: Path | None = None,
        languages: Sequence[str] = (),
        sources: Sequence[str] = (),
        as_of: str | int | None = None,
        stable_ids: bool = False,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Write the documents as a corpus for topic models. Needs neither Kafka nor Redis.

        Args:
            form: `p21`, `svmlight`, `ldac`, `matrixmarket` or `parquet`.
            folder: Folder to make, or a URL of an object store (`s3://bucket/prefix`).
            view: Thresholds; None: every word.
            stop_words: File of words to leave out.
            languages: Only documents in these languages (ISO 639 codes); empty: in all.
            sources: Only these sources, segments or crawls, by identity, a part of it, or path; empty: all.
            as_of: Only what the documents table held at a point in time, see `slice`; None: now.
            stable_ids: Number words as in all other exports with stable ids; new words get the next numbers.
            overwrite: Replace what an earlier export wrote there.

        Returns:
            What `meta.json` holds.

        Raises:
            SliceError: There is no such point in time.
        """
        from conf.languages import three_letters
        from serving.export.export import ExportOptions, export
        from serving.export.word_ids import FOLDER, WordIds
        from serving.slices.points import documents_as_of
        from serving.slices.slice import Slice
        from serving.view import EVERYTHING
        from sinks.documents.generations import Generations
        from sinks.storage.locate import locate_given
        from wetstream.pipeline.writer_lease import live_documents
        from wetstream.stop_words import read_stop_words

        options = ExportOptions(
            EVERYTHING if view is None else view,
            frozenset() if stop_words is None else read_stop_words(stop_words),
            tuple(dict.fromkeys(three_letters(code) for code in languages)),
            tuple(dict.fromkeys(map(identity_of, sources))),
        )
        point = Slice.make(as_of).with_identities(identity_of).as_of
        documents = documents_as_of(live_documents(self.settings), point)
        ids = WordIds(Generations.of(self.settings).location / FOLDER) if stable_ids else None
        place = locate_given(folder, self.settings)
        return export(form, place, documents, options, word_ids=ids, overwrite=overwrite, on_rows=self._on_rows)

    def explain(self, target: str | Path, *, record: int = 1, examples: int = 10) -> PageExplanation:
        """Explain why a page is kept or rejected, by the rules of this pipeline.

        Args:
            target: A URL, looked up in the documents table and read from the topic; or a WET file, or a text file.
            record: Which page of a WET file, from 1.
            examples: Number of example tokens kept for each cause.

        Raises:
            NotFoundError: There is no such page.
        """
        from wetstream.pipeline.lookup import explain_page

        return explain_page(self.settings, str(target), record, examples)

    def why_absent(self, word: str) -> str:
        """Say why no document holds a word: the rules leave it out, or it has not occurred so far."""
        from streaming.text.explain import why_left_out
        from wetstream.pipeline.profile import stored_profile

        profile = stored_profile(self.settings)
        if profile is not None and (cause := why_left_out(word, profile)):
            return f"profile {profile.name} leaves it out ({cause})"
        return "no document holds it so far"

    def record_of(self, url: str) -> TopicMessage:
        """Read the record of a URL, as it was read from its file, and its row. Raises NotFoundError."""
        from wetstream.pipeline.lookup import url_message

        return url_message(self.settings, url)

    def message(self, partition: int, offset: int) -> TopicMessage:
        """Read the record at a position of the topic, and its row in the documents table. Raises NotFoundError."""
        from wetstream.pipeline.lookup import topic_message

        return topic_message(self.settings, partition, offset)

    def pipelines(self) -> list[PipelineInfo]:
        """Return all pipelines of this documents folder and this broker, by name."""
        from wetstream.pipeline.catalog.listing import list_pipelines

        return list_pipelines(self.settings)

    def drop(self) -> None:
        """Delete this pipeline: its topics, documents and statistics. Embedded servers must be up.

        Raises:
            DocumentsError: There is no such pipeline.
            LeaseError: A stream, a replay or another change of it runs.
        """
        from wetstream.pipeline.catalog.drop import drop_pipeline

        drop_pipeline(self.settings, lambda text: self.on_event(Status(text)))

    def upgrade(self, *, dry_run: bool = False) -> Upgrade:
        """Bring a pipeline of an older version to this one; `dry_run` only says how. Raises DocumentsError."""
        from wetstream.pipeline.catalog.upgrade import plan, upgrade

        return plan(self.settings) if dry_run else upgrade(self.settings, self.redis, self._on_rows)

    def _on_rows(self, phase: str, rows: int, total: int) -> None:
        self.on_event(RowsDone(phase, rows, total))

    def generations(self) -> list[GenerationInfo]:
        """Return the documents tables of this pipeline, made by its start and by replays, oldest first."""
        from wetstream.pipeline.replay import list_generations

        return list_generations(self.settings)

    def switch_generation(self, name: str) -> int:
        """Make a generation the live one; a running stream continues with it. Returns how many records it holds.

        Raises:
            DocumentsError: There is no such generation, or its replay has not ended.
            LeaseError: Another change of the pipeline is under way.
        """
        from wetstream.pipeline.replay import switch_generation

        return switch_generation(self.settings, name)

    def drop_generation(self, name: str) -> None:
        """Delete a generation that is not live, and its statistics. Raises DocumentsError."""
        from wetstream.pipeline.replay import drop_generation

        drop_generation(self.settings, name)

    def compact(self) -> tuple[int, int]:
        """Join small files of the documents table; return how many there were, and how many they are now.

        Raises:
            LeaseError: A stream runs; it does so by itself.
        """
        from sinks.documents.compaction import compact

        limits = self.settings.documents
        with self.writing() as documents:
            done = compact(
                documents, target_bytes=limits.target_file_mb << 20, compression_level=limits.compression_level
            )
        return done.files_before, done.files_after

    def vacuum(self, retain_hours: float = 168.0, *, dry_run: bool = False) -> list[str]:
        """Delete files that no longer belong to the documents table; return their paths.

        Args:
            retain_hours: Keep files that were live this many hours ago. Must exceed the longest micro-batch.
            dry_run: Only list them.

        Raises:
            LeaseError: A stream runs.
        """
        with self.writing() as documents:
            return documents.vacuum(retain_hours, dry_run=dry_run)

    def serve(self, say: Callable[[str], None] = print) -> None:
        """Serve live statistics over HTTP until SIGINT or SIGTERM; `say` gets the address. For the main thread."""
        from wetstream.pipeline.serve import serve

        serve(self.settings, say)

    def sources(self) -> list[Source]:
        """Return the ledger: what was produced, processed, kept and rejected of each source."""
        from wetstream.pipeline.ledger import ledger, reaches, read_ends, read_markers

        markers = read_markers(self.settings)
        rows = ledger(self.statistics.sources()["sources"], markers)
        if markers is None or all(row["records"] >= row["produced"] for row in rows):
            return rows
        # In this order: all that the markers cover is before the ends, and the counts are read last.
        ends = read_ends(self.settings) or {}
        found = self.statistics.sources()
        return ledger(found["sources"], markers, complete=reaches(found["as_of"]["positions"], ends))

    def lag(self) -> int | None:
        """How many offsets wait in the topic, by the broker, also while no stream runs.

        Returns:
            The number; None where Kafka or Redis does not answer, or nothing was ingested yet.
        """
        from redis import RedisError

        from serving.queries import NoStatisticsError
        from wetstream.pipeline.ledger import topic_lag
        from wetstream.servers.errors import ServerError

        try:
            position = self.statistics.as_of()["positions"]
        except NoStatisticsError:
            position = {}
        except (ServerError, RedisError):
            return None
        return topic_lag(self.settings, position)
