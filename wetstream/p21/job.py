"""The P2.1 job of CMU 15-719 as a batch on Spark: WET files in, dictionary, frequency, statistics and corpus out.

Needs no Kafka, no Redis and no state directory. Tasks read and clean a file each with the project's own reader and
kernel, and write the bags to Parquet files beside the output; only sums go through Spark. When the whole corpus is
counted, thresholds are applied in one pass over those files. The output directory is there as a whole or not at all.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from conf import reasons
from conf.errors import ExplainedError, counted
from conf.profiles import Profile, load_profile
from conf.settings import ProducerSettings, Settings
from producers.sources.discover import DiscoverOptions, discover
from producers.sources.listing import read_listing
from producers.sources.source import Source
from producers.sources.urls import is_url
from serving.export import files
from serving.export.corpus import read_rows, with_word_ids
from serving.export.document_filter import DocumentFilter, filter_documents
from serving.export.export import SCRATCH, write_p21
from serving.export.folder import new_folder
from serving.export.statistics import statistics_lines
from serving.export.vocabulary import Vocabulary
from serving.view import View
from sinks.documents.files import DocumentFile
from sinks.documents.parquet_files import ParquetFiles
from sinks.statistics.sums import Sums
from sinks.storage.folder import Folder
from streaming.failures import describe
from streaming.session import environment, start_session
from streaming.tasks.files import process_in_parts
from streaming.tasks.fused import FlushLimits, TaskConfig
from streaming.tasks.partials import FILE, SPARK_SCHEMA, UNREADABLE, WORD, read_partials
from wetstream.p21.progress import report_progress
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java
from wetstream.stop_words import read_stop_words

MAX_DF = 0.9
NAMED = 3
# A task writes a file of rows after so many records or entries of bags: they bound its memory, whatever the
# size of its WET file. A worker that knows more words starts a new vocabulary with its next file.
PART_RECORDS, PART_ENTRIES, MAX_VOCABULARY = 1 << 16, 1 << 24, 4_000_000


class P21Error(ExplainedError):
    """The job cannot be done; the message names the file and the remedy."""


@dataclass(frozen=True)
class JobRequest:
    """The arguments of the course's job, and the share of documents that a word must not reach (`max_df`)."""

    data_path: str
    names_file: Path
    stop_words_file: Path
    threshold: int
    cores: int
    output: Path
    max_df: float = MAX_DF
    overwrite: bool = False


@dataclass(frozen=True)
class JobResult:
    """What was read (unpruned sums, by source and reason) and what was written."""

    sums: Sums
    words: int
    totals: files.Totals

    @property
    def statistics(self) -> list[str]:
        """The lines of the file `statistics`."""
        return statistics_lines(self.words, self.totals.lengths)

    @property
    def unreadable(self) -> dict[tuple[str, str], int]:
        """Records that could not be read, by source and reason."""
        return {
            key: n.records
            for key, n in sorted(self.sums.sources.items())
            if key[1] in reasons.UNREADABLE_REASONS and n.records
        }


def run_p21(settings: Settings, request: JobRequest, note: Callable[[str], None]) -> JobResult:
    """Run the job on a Spark session of its own.

    Args:
        settings: Settings of the reader, of Spark and of the Parquet files.
        request: What is asked for.
        note: Called with one line of progress now and then.

    Raises:
        P21Error: A file is missing, named twice or cannot be read.
        StopWordsError: The stop words cannot be read.
        ListingError: The names file cannot be read.
        FolderError: The output folder is in use.
        ServerError: There is no Java.
    """
    sources, profile = find_sources(request, settings.producer), p21_profile(request.stop_words_file)
    with _interruptible(), new_folder(request.output, files.OUTPUT_FILES, overwrite=request.overwrite) as folder:
        scratch = folder / SCRATCH
        scratch.mkdir()
        with _spark(settings, request.cores, scratch) as spark:
            note(f"reading {len(sources):,} WET file{'s' * (len(sources) > 1)} on {request.cores} core(s)")
            with report_progress(spark, len(sources), note):
                done = run_on_spark(spark, settings, request, sources, profile, folder)
        shutil.rmtree(scratch)
    return done


def run_on_spark(
    spark: SparkSession,
    settings: Settings,
    request: JobRequest,
    sources: list[Source],
    profile: Profile,
    folder: Path,
    *,
    part_records: int = PART_RECORDS,
) -> JobResult:
    """Read the sources with Spark and write the four files into `folder`, by way of Parquet files in its scratch.

    Args:
        spark: The session.
        settings: Settings of the reader and of the Parquet files.
        request: What is asked for.
        sources: The WET files, ordered by identity.
        profile: The cleaning rules.
        folder: Where the output goes.
        part_records: Records of a source in one Parquet file, which bounds the memory of a task.

    Raises:
        P21Error: A source cannot be read.
    """
    rows = folder / SCRATCH / "rows"
    rows.mkdir(parents=True)
    config = TaskConfig(profile, Folder(rows), settings.documents.compression_level)
    limits = FlushLimits(part_records, PART_ENTRIES, MAX_VOCABULARY)
    sums, written = _read(spark, sources, config, settings.producer, limits, request.threshold)
    counted = Vocabulary(sums.words, sums.totals()["documents"])
    vocabulary = counted.under(View(request.threshold, request.max_df))
    # The files are in order: by source, and within a source by record.
    kept = filter_documents(read_rows(written), DocumentFilter())
    totals = write_p21(folder, vocabulary, with_word_ids(kept, vocabulary))
    return JobResult(sums, len(vocabulary), totals)


def find_sources(request: JobRequest, settings: ProducerSettings) -> list[Source]:
    """Return the named WET files, ordered by identity.

    Raises:
        P21Error: A file is missing or named twice, or the names file cannot be read.
        ListingError: The names file is no listing of WET files.
    """
    names = request.names_file
    try:
        listing = read_listing(str(names), settings)
    except OSError as error:
        raise P21Error(f"the names file {names} cannot be read: {error.strerror or error}") from error
    lines = listing.paths if listing else []
    if not lines:
        raise P21Error(f"{names} names no WET files: it needs one path a line, as in a crawl's wet.paths")
    if not is_url(request.data_path) and not Path(request.data_path).is_dir():
        raise P21Error(f"the data path {request.data_path} is no folder: name the one that holds the WET files")
    sources = discover([str(names)], options=DiscoverOptions(base=request.data_path), settings=settings)
    missing = [source.location for source in sources if not is_url(source.location) and not _is_file(source.location)]
    if missing:
        which = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        raise P21Error(
            f"of {counted(len(lines), 'file')} that {names} names, {counted(len(missing), 'is', 'are')} not in "
            f"{request.data_path}: {which} (a slash in a name may be an underscore there)"
        )
    if len(sources) != len(lines):
        raise P21Error(
            f"{names} names {counted(len(lines) - len(sources), 'file')} twice: each would be counted once only; take "
            "the doubled lines out"
        )
    return sorted(sources, key=lambda source: source.id.encode())


def p21_profile(stop_words: Path) -> Profile:
    """The profile `p21` with the stop words of this file."""
    return replace(load_profile("p21"), name="p21-job", stop_words=read_stop_words(stop_words))


def _is_file(location: str) -> bool:
    return Path(location).is_file()


def _read(
    spark: SparkSession,
    sources: list[Source],
    config: TaskConfig,
    settings: ProducerSettings,
    limits: FlushLimits,
    threshold: int,
) -> tuple[Sums, ParquetFiles]:
    """Sums over all sources, of the words in at least `threshold` documents; and the files of rows, in request."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                yield from process_in_parts(number, sources[number], config, settings, limits)

    partials = spark.range(0, len(sources), 1, len(sources)).mapInArrow(read, SPARK_SCHEMA)
    counted = (
        partials.groupBy("kind", "key")
        .agg(F.sum("a").alias("a"), F.sum("b").alias("b"), F.sum("c").alias("c"), F.max("text").alias("text"))
        # Most words of a large corpus are in one document only: the driver does not need them.
        .filter((F.col("kind") != WORD) | (F.col("b") >= threshold))
    )
    try:
        added = counted.toArrow()
    except (PySparkException, Py4JError) as error:
        raise P21Error(f"Spark failed: {describe(error)}. Nothing was written; run the same command again") from error
    failures = _of_kind(added, UNREADABLE)
    if failures:
        raise P21Error("; ".join(text for _, text in failures[:NAMED]))
    written = [DocumentFile.from_json(text) for _, text in _of_kind(added, FILE)]
    return read_partials(added).sums, ParquetFiles(tuple(config.table / file.path for file in written))


def _of_kind(added: pa.Table, kind: str) -> list[tuple[int, str]]:
    """Key and text of the rows of a kind whose keys are numbers, in their order."""
    rows = added.filter(pc.equal(added["kind"], kind)).to_pylist()
    return sorted((int(row["key"]), row["text"]) for row in rows)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt after Ctrl-C: Spark cancels its jobs, and raises whatever came of that."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            cause = cause.__context__
        raise


@contextmanager
def _spark(settings: Settings, cores: int, scratch: Path) -> Iterator[SparkSession]:
    """A Spark session on `cores` cores that keeps all its files in `scratch`."""
    # Errors of a call to the JVM are raised; their log would only add a traceback to Ctrl-C.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    stream = settings.stream.model_copy(update={"master": f"local[{cores}]", "min_partitions": cores})
    settings = settings.model_copy(update={"home": scratch, "stream": stream})
    java = find_java(scratch)
    with environment({"SPARK_LOCAL_DIRS": str(scratch)}):
        session = start_session(settings, java_home=quiet_java(java.executable, scratch / "spark"), jars=[])
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()
