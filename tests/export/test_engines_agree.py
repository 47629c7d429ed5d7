"""However the documents came into the table, their export is the same, and it is what the P2.1 job gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from serving.export.export import ExportOptions, export
from serving.view import View
from sinks.documents.compaction import compact
from tests.export import corpora
from tests.export import p21_specification as spec
from tests.harness import Pipeline


@pytest.mark.slow
def test_stream_compaction_and_batch_agree(make_pipeline: Callable[..., Pipeline], crawl: Path, tmp_path: Path) -> None:
    files = sorted((crawl / "data").iterdir())
    few, whole = make_pipeline(stream__max_records=60), make_pipeline(pipeline="whole")
    for pipeline, order in ((few, files), (whole, files[::-1])):
        for file in order:
            pipeline.ingest(file)
        pipeline.stream()
    choice = ExportOptions(View(3, 0.9))
    found = []
    for name, pipeline in (("few", few), ("whole", whole), ("compacted", few)):
        if name == "compacted":
            assert len(few.documents.files()) > len(whole.documents.files())
            assert compact(few.documents, target_bytes=1 << 26, compression_level=1).files_before > 1
        found.append(corpora.data_files(corpora.exported(pipeline.documents, tmp_path / name, "p21", choice)))
    assert found[0] == found[1] == found[2]
    assert spec.read(tmp_path / "few") == spec.p21(files, 3)


def test_a_vocabulary_is_the_same_in_every_format(tmp_path: Path) -> None:
    rows = [corpora.row((corpora.SOURCES[n % 4], n, 0), {"é": 1, "b": n + 1, "a": 2}, "eng", None) for n in range(9)]
    documents = corpora.make_table(tmp_path / "tables", rows)
    found = []
    for form in ("p21", "svmlight", "ldac", "matrixmarket", "parquet"):
        export(form, tmp_path / form, documents)
        files = corpora.data_files(tmp_path / form)
        found.append([files[name] for name in ("vocab.txt", "frequency", "documents.parquet")])
    assert found[0][0] == "a\nb\né\n".encode()
    assert all(each == found[0] for each in found)
