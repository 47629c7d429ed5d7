"""The corpora of the benchmarks: made once, kept below .wetstream/bench/."""

from __future__ import annotations

from pathlib import Path

from producers.sample.writer import write_sample

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


def raw_bytes(paths: list[Path]) -> int:
    """Bytes of the records of WET files, without the line ends between them."""
    from producers.records import Record, read_records

    return sum(len(item.raw) for path in paths for item in read_records(path) if isinstance(item, Record))
