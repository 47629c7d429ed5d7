"""`wetstream sample`: WET files of any size, with made-up text that has the statistics of real pages.

The same arguments give the same records, byte for byte, on any machine; a longer sample begins with the records of a
shorter one. (How they are compressed is up to the version of isal and may differ with the processor.) Distinct words
grow with the sample without end (Heaps' law, exponent about 0.65), across files too: all draw from one vocabulary.
Memory stays bounded: one page is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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
    """What was written to `path`; `records` leaves the warcinfo record out.

    `p21_documents` is how many pages the p21 rule keeps (more than ten valid tokens), counted on the way without its
    code. `raw_bytes` are the records uncompressed, `gz_bytes` the file.
    """

    path: Path
    records: int = 0
    p21_documents: int = 0
    raw_bytes: int = 0
    gz_bytes: int = 0
    languages: dict[str, int] = field(default_factory=dict)


def write_sample(
    path: Path,
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
    """Write one WET file, until `records` records or `raw_bytes` bytes are reached; it appears only when it is whole.

    Args as for `wetstream sample`. If `path` is a folder, the file goes where file number `file` of `crawl` would be.
    `compression`: a gzip member per record (as Common Crawl does), a `single` member, or none. `progress` gets the
    summary so far now and then. Raises ValueError if neither limit is given or a value is out of range.
    """
    _check(records, raw_bytes, seed, file, files_per_segment, english_share)
    crawl_file = CrawlFile(crawl, file, files_per_segment)
    if path.is_dir():
        path /= crawl_file.path if compression != "none" else crawl_file.path.removesuffix(".gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    end = b"\n" if lf_only else b"\r\n"
    summary = SampleSummary(path)
    unfinished = path.with_name(path.name + ".part")
    with ExitStack() as stack:
        output = stack.enter_context(unfinished.open("wb"))
        stack.callback(unfinished.unlink, missing_ok=True)
        compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW)

        def write(record: bytes) -> None:
            summary.raw_bytes += len(record)
            if compression == "members":
                record = isal_zlib.compress(record, GZIP_LEVEL, wbits=GZIP_WINDOW)
            elif compression == "single":
                record = compressor.compress(record)
            summary.gz_bytes += output.write(record)

        write(warcinfo(seed, crawl_file, end))
        for plan, text, kept in _pages(seed, crawl_file, english_share):
            if summary.records == records or (raw_bytes is not None and summary.raw_bytes >= raw_bytes):
                break
            write(conversion(plan, text, language_headers, end))
            summary.records += 1
            summary.p21_documents += kept
            code = LANGUAGES[plan.language].code
            summary.languages[code] = summary.languages.get(code, 0) + 1
            if progress and summary.records % PROGRESS_RECORDS == 0:
                progress(summary)
        if compression == "single":
            summary.gz_bytes += output.write(compressor.flush())
        output.close()
        unfinished.replace(path)
    if progress:
        progress(summary)
    return summary


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
    """Write several files below `folder`, each under the path it would have in the crawl."""
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
    """Yield the pages of a file without an end: plan, text, and whether the p21 rule keeps it."""
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
