"""WET files as tasks of a batch: each file is in one task, and nothing is counted of one that cannot be read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streaming.tasks.files
import streaming.tasks.message_batches
from conf.profiles import load_profile
from conf.settings import load_settings
from producers.sample.writer import write_sample
from producers.sources.discover import discover
from producers.sources.source import Source
from sinks.storage.folder import Folder
from streaming.tasks.files import TASK_BYTES, plan_parts, process_files
from streaming.tasks.fused import TaskConfig
from streaming.tasks.partials import SCHEMA, MicroBatch, read_partials


@given(st.lists(st.integers(0, 3 * TASK_BYTES), max_size=20), st.integers(1, 5))
def test_every_file_is_in_one_task_and_no_part_is_too_large(sizes: list[int], tasks: int) -> None:
    sources = [Source(str(number), str(number)) for number in range(len(sizes))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming.tasks.files, "stored_bytes", lambda source: sizes[int(source.id)])
        parts = list(plan_parts(sources, tasks))
    flat = [source for part in parts for group in part for source in group]
    assert sorted(int(source.id) for source in flat) == list(range(len(sizes)))
    for part in parts:
        held = [int(source.id) for group in part for source in group]
        assert 1 <= len(part) <= tasks and all(part)
        assert len(held) == 1 or sum(sizes[number] for number in held) <= tasks * TASK_BYTES
        assert min(held) + len(held) - 1 == max(held), "a part is not in the order of the sources"


def counted(sources: list[Source], folder: Path) -> MicroBatch:
    import pyarrow as pa

    job = TaskConfig(load_profile("p21"), Folder(folder), 1, direct=True)
    rows = list(process_files(sources, job, load_settings(flags={}, environ={}).producer))
    return read_partials(pa.Table.from_batches(rows, schema=SCHEMA))


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_truncated_file_is_named_and_the_others_are_counted(
    broken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_sample(tmp_path / f"{n}.warc.wet.gz", records=2500, seed=n).path for n in range(3)]
    sources = discover([str(path) for path in paths])
    right = counted([source for number, source in enumerate(sources) if number != broken], tmp_path)
    real, reads = streaming.tasks.message_batches.open_source, []

    class Breaking(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 3_000_000:
                reads.append(size)
                raise OSError(5, "Input/output error")
            return super().read(size)

    def open_source(source: Source, settings: Any, **options: Any) -> Any:
        if source != sources[broken]:
            return real(source, settings, **options)
        return Breaking(io.FileIO(source.location))

    monkeypatch.setattr(streaming.tasks.message_batches, "open_source", open_source)
    found = counted(sources, tmp_path)
    assert reads, "the file did not break off in the middle"
    assert list(found.unreadable) == [sources[broken].id]
    assert "Input/output error" in found.unreadable[sources[broken].id]
    assert found.sums == right.sums
    assert sum(file.rows for file in found.files) == sum(file.rows for file in right.files) == 5002
