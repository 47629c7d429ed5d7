"""The corpora of the benchmarks: made once, kept below .wetstream/bench/."""

from __future__ import annotations

from pathlib import Path

from producers.sample.writer import write_sample
from wetstream import IngestOptions, Pipeline

HOME = Path(".wetstream/bench").resolve()


def sample_files(mb: int, files: int) -> list[Path]:
    """`files` WET files of `wetstream sample`, `mb` MB raw in all; the vocabulary keeps growing over them."""
    folder = HOME / f"sample-{mb}mb-{files}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(files):
        path = folder / f"{number:05}.warc.wet.gz"
        if not path.exists():
            write_sample(path, raw_bytes=mb * 1_000_000 // files, file=number)
        paths.append(path)
    return paths


def ingest(pipeline: Pipeline, paths: list[Path]) -> None:
    """Ingest WET files, also those that are the same as others.

    Raises:
        RuntimeError: One of them was not ingested whole.
    """
    outcomes = pipeline.ingest(*paths, options=IngestOptions(allow_copies=True))
    for outcome in outcomes:
        if outcome.state != "done":
            raise RuntimeError(f"{outcome.source}: {outcome.state}")


def raw_bytes(paths: list[Path]) -> int:
    """Bytes of the records of WET files, without the line ends between them."""
    from producers.wet.records import Record, read_records

    return sum(len(item.raw) for path in paths for item in read_records(path) if isinstance(item, Record))


def page_copies(copies: int) -> list[Path] | None:
    """Copies of the real pages of web-pages-1519, two a file; None where those data are not there."""
    import gzip
    import os

    shared = Path(os.environ.get("WETSTREAM_SHARED_DATA", "../shared/data"))
    source = shared / "web" / "web-pages-1519.warc.wet.gz"
    if not source.is_file():
        return None
    folder = HOME / f"web-pages-{copies}"
    folder.mkdir(parents=True, exist_ok=True)
    packed = source.read_bytes()
    assert gzip.decompress(packed)[:5] == b"WARC/"
    paths = []
    for number in range(copies // 2):
        path = folder / f"{number:05}.warc.wet.gz"
        if not path.exists():
            path.write_bytes(packed * 2)
        paths.append(path)
    return paths
