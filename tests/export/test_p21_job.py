"""`wetstream p21` gives what the course's contract says, byte for byte, and says clearly what is wrong."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conf.errors import ExplainedError
from conf.settings import Settings, load_settings
from producers.sources.listing import ListingError
from producers.sources.source import Source
from serving.export.files import OUTPUT_FILES
from serving.export.folder import FolderError, new_folder
from serving.export.statistics import statistics_lines
from sinks.storage.folder import Folder
from streaming.tasks.files import process_in_parts
from streaming.tasks.fused import FlushLimits, TaskConfig
from streaming.tasks.partials import UNREADABLE
from tests.export import p21_specification as spec
from tests.harness import Command
from wetstream.p21.job import JobRequest, JobResult, P21Error, find_sources, p21_profile, run_on_spark
from wetstream.p21.progress import report_progress
from wetstream.stop_words import StopWordsError, read_stop_words

MERGED = "wet/cc-2014-2024-merged.warc.wet.gz"
WEB = "web/web-pages-1519.warc.wet.gz"
CRAWL = "crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/{}.warc.wet.gz"

Run = Callable[..., JobResult]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"home": str(tmp_path / "home"), "stream.arrow_batch_records": 16}, environ={})


@pytest.fixture
def run(spark: SparkSession, settings: Settings, tmp_path: Path) -> Run:
    def run(data: Path, names: Path, threshold: int, stop_words: Path = spec.STOP_WORDS, **options: int) -> JobResult:
        order = JobRequest(str(data), names, stop_words, threshold, 2, tmp_path / "out")
        sources, profile = find_sources(order, settings.producer), p21_profile(order.stop_words_file)
        with new_folder(order.output, OUTPUT_FILES | {".scratch"}) as folder:
            return run_on_spark(spark, settings, order, sources, profile, folder, **options)

    return run


def files_of(crawl: Path) -> list[Path]:
    """By their names, whatever order the names file has."""
    return sorted((crawl / "data").iterdir())


def names_of(folder: Path, *names: str) -> Path:
    path = folder / "names"
    path.write_text("".join(f"{name}\n" for name in names))
    return path


@pytest.mark.parametrize("threshold", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 30))])
def test_equals_the_specification(run: Run, crawl: Path, tmp_path: Path, threshold: int) -> None:
    run(crawl / "data", crawl / "names", threshold, part_records=20)
    expected = spec.p21(files_of(crawl), threshold)
    assert expected["corpus"].count("\n") > 200
    assert spec.read(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("name", "words", "documents", "tokens", "median", "p99"),
    [
        pytest.param(WEB, 9_720, 1_474, 1_004_937, 488, 4_046, marks=pytest.mark.slow),
        (MERGED, 222, 87, 8_185, 63, 547),
    ],
)
def test_reference_figures(
    run: Run,
    shared_data: Path,
    tmp_path: Path,
    name: str,
    words: int,
    documents: int,
    tokens: int,
    median: int,
    p99: int,
) -> None:
    path = shared_data / name
    done = run(path.parent, names_of(tmp_path, path.name), 10, part_records=400)
    found = spec.read(tmp_path / "out")
    assert (done.words, done.totals.documents, done.totals.tokens) == (words, documents, tokens)
    assert f"50th percentile: {median}\n" in found["statistics"]
    assert f"99th percentile: {p99}\n" in found["statistics"]
    assert found == spec.p21([path], 10)


@pytest.mark.slow
def test_the_command_needs_no_servers(crawl: Path, tmp_path: Path) -> None:
    command = Command({key: value for key, value in os.environ.items() if not key.startswith("WETSTREAM_")})
    cut = tmp_path / "data" / "cut.warc.wet.gz"
    cut.parent.mkdir()
    whole = next((crawl / "data").iterdir()).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "data" / "note.warc.wet.gz").symlink_to(sorted((crawl / "data").iterdir())[0])
    names = names_of(tmp_path, "note.warc.wet.gz", "cut.warc.wet.gz")
    home = tmp_path / "home"
    arguments = [tmp_path / "data", names, spec.STOP_WORDS, 2, 2, tmp_path / "new" / "out"]
    done = command("p21", *map(str, arguments), WETSTREAM_HOME=str(home), WETSTREAM_STREAM_DRIVER_MEMORY="1g")
    found = spec.read(tmp_path / "new" / "out")
    assert done.stdout == found["statistics"]
    assert f"unreadable: 1 (truncated) in {cut.resolve().as_uri()}" in done.stderr
    # The link is known by what it leads to: its crawl path, which comes before the other's URI.
    assert found == spec.p21([tmp_path / "data" / "note.warc.wet.gz", cut], 2)
    assert not home.exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == found.keys()

    again = command("p21", *map(str, arguments), code=1)
    assert "--overwrite" in again.stderr


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(crawl: Path, tmp_path: Path) -> None:
    command = Command({key: value for key, value in os.environ.items() if not key.startswith("WETSTREAM_")})
    arguments = [crawl / "data", crawl / "names", spec.STOP_WORDS, 2, 1, tmp_path / "out"]
    process = command.start("p21", *map(str, arguments), WETSTREAM_STREAM_DRIVER_MEMORY="1g")
    assert process.stdout is not None
    said = process.stdout.readline()
    assert "reading 2 WET files" in said
    os.kill(process.pid, signal.SIGINT)
    said += process.communicate(timeout=120)[0]
    assert process.returncode == 130 and "Aborted!" in said
    assert "Traceback" not in said and not list(tmp_path.iterdir())


def test_rows_that_cannot_be_written(crawl: Path, settings: Settings, tmp_path: Path) -> None:
    job = TaskConfig(p21_profile(spec.STOP_WORDS), Folder(tmp_path / "absent"), 1)
    (path, _) = files_of(crawl)
    limits = FlushLimits(100, 10_000, 10_000)
    (found,) = process_in_parts(0, Source("a", str(path)), job, settings.producer, limits)
    assert found.to_pylist()[0]["kind"] == UNREADABLE
    assert "absent cannot be written" in found.to_pylist()[0]["text"]


def test_progress_is_reported(run: Run, spark: SparkSession, crawl: Path) -> None:
    told: list[str] = []
    with report_progress(spark, 2, told.append, every_s=0.01):
        run(crawl / "data", crawl / "names", 1)
    assert "0 of 2 files read" in told


def test_file_that_is_not_wet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "page.warc.wet.gz").write_bytes(gzip.compress(b"<html>no WET file</html>" * 100))
    with pytest.raises(P21Error, match=r"page\.warc\.wet\.gz"):
        run(tmp_path, names_of(tmp_path, "page.warc.wet.gz"), 1)
    assert {path.name for path in tmp_path.iterdir()} <= {"page.warc.wet.gz", "names", "home"}


def test_impossible_names(crawl: Path, settings: Settings, tmp_path: Path) -> None:
    def sources(*lines: str, data: Path = crawl / "data") -> ExplainedError:
        order = JobRequest(str(data), names_of(tmp_path, *lines), spec.STOP_WORDS, 1, 1, tmp_path / "out")
        with pytest.raises(ExplainedError) as raised:
            find_sources(order, settings.producer)
        return raised.value

    there = CRAWL.format("b-00001")
    assert "of 2 files" in str(sources(there, CRAWL.format("c-00009")))
    assert "c-00009" in str(sources(there, CRAWL.format("c-00009")))
    assert "twice" in str(sources(there, there))
    assert "twice" in str(sources(there, there.replace("/", "_")))
    assert "names no WET files" in str(sources("to be or not to be"))
    assert "names no WET files" in str(sources())
    assert isinstance(sources(there, there.replace("wet", "wat")), ListingError)
    assert "no folder" in str(sources(there, data=tmp_path / "absent"))
    absent = JobRequest(str(crawl / "data"), tmp_path / "absent", spec.STOP_WORDS, 1, 1, tmp_path / "out")
    with pytest.raises(P21Error, match="absent cannot be read"):
        find_sources(absent, settings.producer)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"the\nand so on\n", "'and so on' is not one word"),
        (b"the\n1480698540409\n", "'1480698540409' is not one word"),
        (b"\xff\xfe\x00", "not text"),
        (b"\x1f\x8b not gzip", "cannot read"),
        (b" \n\n", "contains no words"),
        (None, "cannot read"),
    ],
)
def test_invalid_stop_words(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "stop_words"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StopWordsError, match=problem):
        read_stop_words(path)


def test_the_given_stop_words_are_used(run: Run, crawl: Path, tmp_path: Path) -> None:
    path = tmp_path / "stop_words"
    path.write_text("The\ndon’t\n\nof\n")
    assert p21_profile(path).stop_words == {b"the", b"don't", b"of"}
    words = [line.split("\t")[0] for line in spec.p21(files_of(crawl), 0)["dictionary"].splitlines()]
    path.write_text("".join(f"{word}\n" for word in words[::2]))
    run(crawl / "data", crawl / "names", 0, stop_words=path)
    found = spec.read(tmp_path / "out")
    assert found == spec.p21(files_of(crawl), 0, stop_words=path)
    assert len(words) > found["dictionary"].count("\n")


def test_a_full_folder_is_refused(run: Run, crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(FolderError, match=r"holds thesis\.txt already"):
        run(crawl / "data", crawl / "names", 1)


@pytest.mark.parametrize("lengths", [[], [3], [1, 2, 2, 9], list(range(1, 1_001))])
def test_statistics(lengths: list[int]) -> None:
    by_length = {length: lengths.count(length) for length in lengths}
    assert "".join(f"{line}\n" for line in statistics_lines(5, by_length)) == spec.statistics(5, lengths)
