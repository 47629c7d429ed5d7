"""One task of the fused pass, without Spark: file and partial rows say the same as the plain specification."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conf.profiles import load_profile
from sinks.documents.takedowns import Takedown, TakedownKind, TakedownMatcher, without_pages
from sinks.statistics.derive import derive
from sinks.storage.folder import Folder
from streaming.tasks.fused import TaskConfig, run_task
from streaming.tasks.partials import InconsistentPartialsError
from streaming.tasks.progress import ReadCounts
from streaming.text.language import language_of
from streaming.text.specification import bag
from tests.streaming.tasks import messages, result, run

PROFILES = ["p21", "english"]


@pytest.mark.parametrize("name", PROFILES)
def test_documents_and_sums_equal_the_specification(name: str, sample: Path, tmp_path: Path) -> None:
    profile = load_profile(name)
    batches = messages(sample)
    batch = result(run(TaskConfig(profile, Folder(tmp_path), 1), batches))
    (file,) = batch.files
    rows = pq.read_table(tmp_path / file.path).to_pylist()
    values = [value for part in batches for value in part.column("value").to_pylist()]
    assert len(rows) == len(values)
    tf: Counter[str] = Counter()
    df: Counter[str] = Counter()
    for row, value in zip(rows, values, strict=True):
        head, _, payload = value.partition(b"\r\n\r\n")
        if b"WARC-Type: conversion" not in head:
            assert row["reason"] == "not_conversion"
            continue
        header = next((line[34:] for line in head.decode().split("\r\n") if line.startswith("WARC-Identified-")), None)
        language, method = language_of(header, payload, profile)
        assert (row["language"], row["language_method"]) == (language, method)
        if profile.language is not None and language != profile.language:
            assert (row["reason"], row["words"]) == ("not_language", None)
            continue
        right = bag(payload, profile)
        if not right.kept:
            assert (row["reason"], row["words"], row["tokens"]) == ("too_few_words", None, 0)
            continue
        counts = {word.decode() if isinstance(word, bytes) else word: n for word, n in right.counts.items()}
        assert row["reason"] is None and row["tokens"] == right.length
        assert list(zip(row["words"], row["counts"], strict=True)) == list(counts.items())
        tf.update(counts)
        df.update(counts.keys())
    words = {word.decode(): (t, d) for word, t, d in zip(*batch.sums.words.to_pydict().values(), strict=True)}
    assert words == {word: (tf[word], df[word]) for word in tf}


@pytest.mark.parametrize("name", PROFILES)
def test_pages_taken_down_are_the_rows_that_a_later_takedown_leaves(name: str, sample: Path, tmp_path: Path) -> None:
    """Except for them, everything is as without takedowns; and their words never reach the sums."""
    profile, table = load_profile(name), Folder(tmp_path)
    takedowns = [Takedown.make(TakedownKind.PATTERN, "[a-m]/"), Takedown.make(TakedownKind.HOST, ".com")]
    plain = result(run(TaskConfig(profile, table, 1), messages(sample)))
    batch = result(run(TaskConfig(profile, table, 1, takedowns=takedowns), messages(sample)))
    before, after = (pq.read_table(tmp_path / each.files[0].path) for each in (plain, batch))
    down = TakedownMatcher(takedowns).match(before["url"].combine_chunks(), before["host"].combine_chunks())
    assert 0 < down.true_count < len(down)
    expected = without_pages(before.combine_chunks(), down)
    assert after.to_pylist() == expected.to_pylist()
    assert batch.sums == derive(expected.to_batches()) != plain.sums
    assert batch.ranges == plain.ranges


def test_partial_rows_equal_what_the_file_derives(sample: Path, tmp_path: Path) -> None:
    batch = result(run(TaskConfig(load_profile("p21"), Folder(tmp_path), 1), messages(sample)))
    file = pq.ParquetFile(tmp_path / batch.files[0].path, read_dictionary=["words.list.element"])
    again = derive(file.iter_batches(batch_size=77))
    assert again.words.equals(batch.sums.words)
    assert again == batch.sums


def test_any_split_into_tasks_gives_the_same(sample: Path, tmp_path: Path) -> None:
    job = TaskConfig(load_profile("p21"), Folder(tmp_path), 1)
    batches = messages(sample, size=40)
    whole = result(run(job, batches))
    split = result(run(job, batches[:3], 0), run(job, batches[3:4], 1), run(job, batches[4:], 2))
    assert split.sums == whole.sums
    assert len(split.files) == 3


def test_failed_task_leaves_no_counts(sample: Path, tmp_path: Path) -> None:
    job = TaskConfig(load_profile("p21"), Folder(tmp_path), 1)
    batches = messages(sample)
    right = result(run(job, batches))

    def broken() -> object:
        yield batches[0]
        raise RuntimeError("the executor lost its input")

    with pytest.raises(RuntimeError):
        list(run_task(job, broken(), 0))  # type: ignore[arg-type]
    assert result(run(job, batches)).sums == right.sums


def test_task_committed_twice_is_detected(sample: Path, tmp_path: Path) -> None:
    job = TaskConfig(load_profile("p21"), Folder(tmp_path), 1)
    batches = messages(sample)
    once, twice = run(job, batches), run(job, batches)
    with pytest.raises(InconsistentPartialsError, match="messages were read"):
        result(once, twice)


def test_two_tasks_that_read_the_same_offsets_are_noticed(sample: Path, tmp_path: Path) -> None:
    job = TaskConfig(load_profile("p21"), Folder(tmp_path), 1)
    batches = messages(sample)
    with pytest.raises(InconsistentPartialsError, match="same offsets"):
        result(run(job, batches, 0), run(job, batches[1:], 1))


def test_poison_messages_become_rows_with_a_reason(sample: Path, tmp_path: Path) -> None:
    schema = messages(sample)[0].schema
    rows = [
        {"key": None, "value": b"\xff" * 9, "partition": 0, "offset": 0},
        {"key": b"s@1", "value": None, "partition": 0, "offset": 1},
    ]
    batch = result(
        run(TaskConfig(load_profile("english"), Folder(tmp_path), 1), [pa.RecordBatch.from_pylist(rows, schema=schema)])
    )
    assert dict(batch.sums.reasons()) == {"malformed": 2}
    stored = pq.read_table(tmp_path / batch.files[0].path)
    assert stored["topic_offset"].to_pylist() == [0, 1]


def test_an_empty_task_writes_nothing(tmp_path: Path) -> None:
    assert run(TaskConfig(load_profile("p21"), Folder(tmp_path), 1), []) == []
    assert list(tmp_path.iterdir()) == []


def test_breaks_in_the_chain_are_counted(sample: Path, tmp_path: Path) -> None:
    job = TaskConfig(load_profile("p21"), Folder(tmp_path), 1)
    rows = pa.Table.from_batches(messages(sample))

    def unjoined(*parts: pa.Table) -> dict[str, int]:
        table = pa.concat_tables(parts)
        table = table.set_column(3, "offset", pa.array(range(len(table)), pa.int64()))
        return result(run(job, table.to_batches(max_chunksize=7))).unjoined

    assert unjoined(rows) == {}
    assert unjoined(rows, rows) == {}, "removed and ingested again"
    assert unjoined(rows[100:]) == {}, "its beginning is in another task"
    assert unjoined(rows[:20], rows[30:]) == {"s": 1}
    assert unjoined(rows[:20], rows[10:]) == {"s": 1}
    assert unjoined(rows[:20], rows[19:]) == {"s": 1}
    other = [key.as_py().replace(b" s@", b" t@") for key in rows["key"]]
    others = rows.set_column(0, "key", pa.array(other, pa.binary()))
    assert unjoined(rows[:20], others[:10], rows[20:], others[12:14]) == {"t": 1}


def test_the_driver_sees_what_tasks_have_read_before_they_end(sample: Path, tmp_path: Path) -> None:
    counts = ReadCounts(tmp_path / "counts")
    config = TaskConfig(load_profile("p21"), Folder(tmp_path), 1, counts=counts.folder)
    batches, seen = messages(sample), []

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            seen.append(counts.records())
            yield batch

    list(run_task(config, watched(), 0))
    list(run_task(config, iter(batches), 1))
    read = [batch.num_rows for batch in batches]
    assert len(read) > 1 and seen == [sum(read[:number]) for number in range(len(read))]
    assert counts.records() == 2 * sum(read)
    counts.fold(time.time() + 60)
    assert counts.records() == 2 * sum(read) and not list(counts.folder.iterdir())
    list(run_task(config, iter(batches), 3))
    counts.fold(time.time() - 60)  # it may still run
    assert counts.records() == 3 * sum(read) and list(counts.folder.iterdir())
    counts.reset()
    assert counts.records() == 0
    counts.close()
    list(run_task(config, iter(batches), 2))  # without the folder nothing is counted, and nothing fails
    assert counts.records() == 0
