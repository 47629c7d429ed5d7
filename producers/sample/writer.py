"""`wetstream sample`: WET files of any size, with made-up text that has the statistics of real pages.

The same arguments give the same records, byte for byte, on any machine; a longer sample begins with the records of a
shorter one. (How they are compressed is up to the version of isal and may differ with the processor.) The
vocabulary keeps growing with the sample (Heaps' law, exponent about 0.65), also across files, which share it. Memory is
bounded: one page is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from isal import isal_zlib

from producers.sample.foretell import p21_keeps
from producers.sample.languages import LANGUAGES
from producers.sample.page import OUT_BYTES, PIECES, write_page
from producers.sample.record import CRAWL, FILES_PER_SEGMENT, CrawlFile, RecordPlan, conversion, plan_record, warcinfo
from producers.sample.tables import load_tables

Compression = Literal["members", "single", "none"]
ENGLISH_SHARE = 0.55
GZIP_LEVEL = 1
GZIP_WINDOW = 31
PROGRESS_RECORDS = 256


@dataclass
class SampleSummary:
    """What was written to `path`.

    Attributes:
        path: The file.
        records: Number of pages; the warcinfo record is not counted.
        p21_documents: Number of pages that the p21 rule keeps, by an independent count.
        raw_bytes: Size of the uncompressed records.
        gz_bytes: Size of the file.
        languages: Pages by ISO 639-3 code.
    """

    path: Path
    records: int = 0
    p21_documents: int = 0
    raw_bytes: int = 0
    gz_bytes: int = 0
    languages: dict[str, int] = field(default_factory=dict)

    def add_page(self, language: str, kept: bool) -> None:
        """Count a page."""
        self.records += 1
        self.p21_documents += kept
        self.languages[language] = self.languages.get(language, 0) + 1


class _RecordWriter:
    """Compresses records into a file, and adds their sizes to the summary."""

    def __init__(self, output: BinaryIO, compression: Compression, summary: SampleSummary) -> None:
        self._output = output
        self._compression = compression
        self._summary = summary
        self._member = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW)

    def write(self, record: bytes) -> None:
        self._summary.raw_bytes += len(record)
        if self._compression == "members":
            record = isal_zlib.compress(record, GZIP_LEVEL, wbits=GZIP_WINDOW)
        elif self._compression == "single":
            record = self._member.compress(record)
        self._summary.gz_bytes += self._output.write(record)

    def finish(self) -> None:
        if self._compression == "single":
            self._summary.gz_bytes += self._output.write(self._member.flush())


def write_sample(
    path: str | Path,
    *,
    records: int | None = None,
    raw_bytes: int | None = None,
    seed: int = 1,
    crawl: str = CRAWL,
    file: int = 0,
    files_per_segment: int = FILES_PER_SEGMENT,
    language_headers: bool = True,
    english_share: float = ENGLISH_SHARE,
    compression: Compression = "members",
    lf_only: bool = False,
    progress: Callable[[SampleSummary], None] | None = None,
) -> SampleSummary:
    """Write one WET file of `records` pages or about `raw_bytes` bytes; it appears under its name only when complete.

    Args:
        path: The file, or a folder, in which it then gets the path of file number `file` in `crawl`.
        records: Number of pages.
        raw_bytes: Size of the uncompressed records at which to stop.
        seed: Equal arguments and seed give equal records.
        crawl: Name of the crawl, such as CC-MAIN-2016-50.
        file: Number of the file in the crawl; each has other pages.
        files_per_segment: Determines the segment of the file.
        language_headers: Whether pages carry WARC-Identified-Content-Language.
        english_share: Fraction of English pages, 0 to 1.
        compression: A gzip member a record (as Common Crawl has it), a `single` member, or none.
        lf_only: End header lines with LF instead of CRLF.
        progress: Called now and then with the summary so far.

    Raises:
        ValueError: Neither limit is given, or a value is out of range.
    """
    _check(records, raw_bytes, seed, file, files_per_segment, english_share)
    path, crawl_file = Path(path), CrawlFile(crawl, file, files_per_segment)
    if path.is_dir():
        path /= crawl_file.path if compression != "none" else crawl_file.path.removesuffix(".gz")
    _make_room(path)
    end = b"\n" if lf_only else b"\r\n"
    summary = SampleSummary(path)
    unfinished = path.with_name(path.name + ".part")
    with ExitStack() as stack:
        output = stack.enter_context(unfinished.open("wb"))
        stack.callback(unfinished.unlink, missing_ok=True)
        writer = _RecordWriter(output, compression, summary)
        writer.write(warcinfo(seed, crawl_file, end))
        for plan, text, kept in _pages(seed, crawl_file, english_share):
            if summary.records == records or (raw_bytes is not None and summary.raw_bytes >= raw_bytes):
                break
            writer.write(conversion(plan, text, language_headers, end))
            summary.add_page(LANGUAGES[plan.language].code, kept)
            if progress and summary.records % PROGRESS_RECORDS == 0:
                progress(summary)
        writer.finish()
        output.close()
        unfinished.replace(path)
    if progress:
        progress(summary)
    return summary


def _make_room(path: Path) -> None:
    if path.exists() and not path.is_file():  # a device, say, would be replaced by a file
        raise OSError(f"{path} is no regular file: name another one")
    path.parent.mkdir(parents=True, exist_ok=True)


def _check(
    records: int | None, raw_bytes: int | None, seed: int, file: int, files_per_segment: int, english_share: float
) -> None:
    if records is None and raw_bytes is None:
        raise ValueError("write_sample needs a limit: records or raw_bytes")
    if min(records or 0, raw_bytes or 0, seed, file) < 0:
        raise ValueError("records, raw_bytes, seed and file must not be negative")
    if files_per_segment < 1 or not 0 <= english_share <= 1:
        raise ValueError("files_per_segment must be 1 or more, and english_share from 0 to 1")


def write_samples(
    folder: Path,
    *,
    files: int,
    records_each: int,
    seed: int = 1,
    crawl: str = CRAWL,
    files_per_segment: int = FILES_PER_SEGMENT,
    language_headers: bool = True,
    english_share: float = ENGLISH_SHARE,
    progress: Callable[[SampleSummary], None] | None = None,
) -> list[SampleSummary]:
    """Write several files below `folder`, each at its path in the crawl."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_sample(
            folder,
            records=records_each,
            seed=seed,
            crawl=crawl,
            file=file,
            files_per_segment=files_per_segment,
            language_headers=language_headers,
            english_share=english_share,
            progress=progress,
        )
        for file in range(files)
    ]


def _pages(seed: int, crawl_file: CrawlFile, english_share: float) -> Iterator[tuple[RecordPlan, bytes, bool]]:
    """Yield endless pages of a file: the plan, the text, and whether the p21 rule keeps it."""
    tables = load_tables()
    pieces, out = np.empty(PIECES, np.int64), np.empty(OUT_BYTES, np.uint8)
    record = 0
    while True:
        plan = plan_record(seed, crawl_file, record, english_share)
        length = write_page(out, pieces, np.uint64(plan.page_seed), plan.language, plan.second, plan.words, tables)
        page = out[:length].tobytes()
        if plan.page_seed % 4 == 0:
            page = page.replace(b"'", "’".encode())
        yield plan, page, p21_keeps(np.frombuffer(page, np.uint8))
        record += 1
