"""`format("wet")`: the rows that a producer and a stream make of the same files, each once, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxFiles, ReadMaxRows

from conf.settings import SettingsError
from producers.wet.items import Record
from producers.wet.recognise import NotWetError
from tests.conftest import SHARED_DATA
from tests.examples import examples
from tests.harness import Pipeline
from tests.producers.damage import damages, whole
from tests.producers.wet_forms import FORMS, read_bytes
from wetstream import WetDataSource, read_wet, write_sample
from wetstream.wet.rows import record_schema

ROOT = Path(__file__).resolve().parents[2]
# What the topic adds, or the table leaves out.
NOT_COMPARED = {"topic_partition", "topic_offset", "language_header", "detail", "text"}


@pytest.fixture(scope="module")
def wet(spark: SparkSession) -> SparkSession:
    spark.dataSource.register(WetDataSource)
    return spark


def damaged(file: Path, target: Path) -> Path:
    """A copy with a hole and a cut end."""
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = b"x" * 60
    target.write_bytes(data[:-30])
    return target


def rows_of(table: pa.Table) -> Counter[tuple[Any, ...]]:
    names = [name for name in record_schema(judged=True).names if name not in NOT_COMPARED]
    return Counter(tuple(repr(row[name]) for name in names) for row in table.select(names).to_pylist())


def test_rows_equal_those_that_come_through_the_topic(
    wet: SparkSession, make_pipeline: Callable[..., Pipeline], sample: Path, tmp_path: Path
) -> None:
    """For every file of the shared data, where there is any; with a hole, a cut end, and records that are too long."""
    files = [sample, damaged(sample, tmp_path / "damaged.warc.wet.gz"), *sorted(SHARED_DATA.rglob("*.wet*"))]
    files = [file for file in files if is_wet(file)]
    pipeline = make_pipeline("english", producer__max_record_bytes=40_000)
    pipeline.ingest(*files, allow_copies=True)
    pipeline.stream()
    streamed = pa.Table.from_batches(pipeline.documents.scan())
    reader = wet.read.format("wet").option("profile", "english").option("max_record_bytes", "40000")
    read = reader.load([str(file) for file in files]).toArrow()
    assert rows_of(read) == rows_of(streamed)
    found = Counter(read["reason"].to_pylist())
    assert found["damaged"] and found["truncated"] and found["oversize"] and found[None]
    texts = {(row["record_id"], row["text"]) for row in read.to_pylist() if row["text"] is not None}
    whole_texts = {(record.record_id, record.text) for record in read_wet(*files) if record.text is not None}
    assert texts and texts <= whole_texts


def is_wet(file: Path) -> bool:
    try:
        next(read_wet(file), None)
    except NotWetError:
        return False
    return True


@examples(25)
@given(draw=st.data())
def test_records_are_those_of_the_reader_whatever_the_damage(draw: st.DataObject) -> None:
    """The producer sends what its reader hands out: the same places, reasons and texts."""
    data = draw.draw(damages(whole(draw.draw(st.sampled_from(FORMS))).data)).data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.warc.wet.gz"
        path.write_bytes(data)
        try:
            items = read_bytes(data)
        except NotWetError:
            with pytest.raises(NotWetError):
                list(read_wet(path))
            return
        records = list(read_wet(path))
    places = [(r.record_offset, r.inner_offset, r.next_offset, r.next_inner) for r in records]
    assert places == [(*item.place, *item.next) for item in items]
    for record, item in zip(records, items, strict=True):
        if isinstance(item, Record):
            assert record.reason in (None, "not_conversion", "malformed")
            if record.text is not None:
                assert record.text == item.raw[item.header_bytes :].decode("utf-8", "replace")
        else:
            assert (record.reason, record.payload_bytes, record.text) == (item.reason, item.length, None)
            assert record.detail == item.detail


class Query:
    """What Spark does with a stream's reader: offsets are logged before a micro-batch and resumed after a restart."""

    def __init__(self, path: str, **options: str) -> None:
        self._options = CaseInsensitiveDict({"path": path, "follow_rest_s": "0", **options})
        self.offset: dict[str, Any] = self._reader().initialOffset()
        self.rows: list[dict[str, Any]] = []

    def _reader(self) -> Any:
        source = WetDataSource(self._options)
        return source.streamReader(source.schema())  # type: ignore[arg-type]

    def trigger(self, limit: ReadLimit, *, killed: bool) -> int:
        """One micro-batch; killed, it is read to no avail, and again by another process. Returns its rows."""
        end = self._reader().latestOffset(self.offset, limit)
        attempts = [list(self._batch(end)) for _ in range(1 + killed)]
        assert all(attempt == attempts[0] for attempt in attempts)
        self.rows += attempts[0]
        self.offset = end
        return len(attempts[0])

    def _batch(self, end: dict[str, Any]) -> Iterator[dict[str, Any]]:
        reader = self._reader()
        for part in reader.partitions(self.offset, end):
            for batch in reader.read(part):
                yield from batch.to_pylist()

    def net(self) -> Counter[str]:
        """Rows, without those that were retracted; every one counts once."""
        net: Counter[str] = Counter()
        for row in self.rows:
            net[repr({**row, "records": 1})] += row["records"]
        assert set(net.values()) <= {0, 1}
        return +net


@examples(25)
@given(draw=st.data())
def test_a_growing_file_is_read_once_in_any_steps(draw: st.DataObject) -> None:
    """Cut anywhere, in micro-batches of any number of records, with micro-batches that are killed and repeated."""
    data = whole(draw.draw(st.sampled_from(FORMS))).data
    sizes = sorted(draw.draw(st.lists(st.integers(1, len(data)), max_size=3)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.warc.wet.gz"
        query = Query(folder)
        for size in (*sizes, len(data)):
            path.write_bytes(data[:size])
            for _ in range(draw.draw(st.integers(0, 3))):
                records = draw.draw(st.integers(1, 9))
                assert query.trigger(ReadMaxRows(records), killed=draw.draw(st.booleans())) <= records
        while query.trigger(ReadMaxRows(7), killed=False):
            pass
        once = Query(folder)
        once.trigger(ReadAllAvailable(), killed=False)
    assert query.net() == Counter(repr(row) for row in once.rows)


def test_limits_new_files_and_files_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "crawl"
    folder.mkdir()
    query = Query(str(folder))
    assert query.trigger(ReadMaxFiles(1), killed=False) == 0  # nothing is there yet
    for number in range(3):
        write_sample(folder / f"{number}.warc.wet.gz", records=5, seed=number)
    (folder / "1a.warc.wet.gz").write_text("<!doctype html>")
    assert [query.trigger(ReadMaxFiles(2), killed=True) for _ in range(3)] == [12, 6, 0]
    assert "1a.warc.wet.gz" in caplog.text and "looked at again" in caplog.text
    write_sample(folder / "0a.warc.wet.gz", records=4)
    assert query.trigger(ReadAllAvailable(), killed=False) == 5
    assert len({(row["source"], row["record_offset"]) for row in query.rows}) == len(query.rows) == 23
    (folder / "0.warc.wet.gz").unlink()
    assert query.trigger(ReadAllAvailable(), killed=False) == 0  # what is read may go


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"maxFilesPerTrigger": "2", "maxRecordsPerTrigger": "2"}, "leave one of them out"),
        ({"maxFilesPerTrigger": "none"}, "at least 1"),
        ({"profil": "english"}, "did you mean profile"),
        ({"max_record_bytes": "many"}, "max_record_bytes"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, str], sentence: str) -> None:
    source = WetDataSource(CaseInsensitiveDict({"path": ".", **options}))
    with pytest.raises(SettingsError, match=sentence):
        source.streamReader(source.schema())  # type: ignore[arg-type]


def test_columns_by_schema(wet: SparkSession, sample: Path) -> None:
    def read(schema: str) -> DataFrame:
        return wet.read.schema(schema).format("wet").load(str(sample))

    assert read("text string, url string").columns == ["text", "url"]
    assert read("url string").filter("url is not null").count() == 300
    for schema, sentence in (("words array<string>", "set the option profile"), ("url int", "is string, not int32")):
        with pytest.raises(Exception, match=sentence):
            read(schema).count()


STREAM = """
import sys
from pathlib import Path
from conf.settings import load_settings
from streaming.session import start_session
from wetstream import WetDataSource
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

source, home = sys.argv[1], Path(sys.argv[2])
settings = load_settings(flags={"home": str(home), "stream.driver_memory": "1g"}, environ={})
java = find_java(home)
spark = start_session(settings, java_home=quiet_java(java.executable, home), jars=[])
spark.dataSource.register(WetDataSource)
stream = spark.readStream.format("wet").option("maxRecordsPerTrigger", "40").option("follow_rest_s", "0").load(source)
stream = stream.writeStream.format("parquet").option("checkpointLocation", str(home / "checkpoint"))
query = stream.trigger(availableNow=True).start(str(home / "rows"))
query.awaitTermination()
"""


def test_a_stream_killed_goes_on_without_a_row_twice_or_missing(
    wet: SparkSession, sample: Path, tmp_path: Path
) -> None:
    file = damaged(sample, tmp_path / "damaged.warc.wet.gz")

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", STREAM, str(file), str(tmp_path)],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    process = run()
    deadline = time.monotonic() + 120
    # Killed in the middle: some micro-batches are committed, and not all of the eight.
    while len(list((tmp_path / "checkpoint" / "commits").glob("[0-9]"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(list((tmp_path / "checkpoint" / "commits").glob("[0-9]"))) < 8
    assert run().wait(timeout=120) == 0
    rows = wet.read.parquet(str(tmp_path / "rows")).select("record_offset", "reason", "text").toArrow().to_pylist()
    expected = [{"record_offset": r.record_offset, "reason": r.reason, "text": r.text} for r in read_wet(file)]
    assert sorted(map(repr, rows)) == sorted(map(repr, expected))
    assert len(list((tmp_path / "rows" / "_spark_metadata").iterdir())) >= 8  # micro-batches of at most 40 records
