"""The figures that an independent, naive P2.1 gives for real data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.harness import Pipeline

MERGED = {"records": 136, "documents": 87, "tokens": 42_068, "words": 11_034}
PAGES = {"records": 1_519, "documents": 1_474, "tokens": 1_330_944, "words": 129_634}


def test_p21_counts_real_wet_records_exactly(make_pipeline: Callable[..., Pipeline], shared_data: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(shared_data / "wet" / "cc-2014-2024-merged.warc.wet.gz")
    pipeline.stream()
    stats = pipeline.live.stats()
    assert {name: stats[name] for name in MERGED} == MERGED
    assert (stats["length"]["min"], stats["length"]["max"], stats["length"]["p50"]) == (9, 4032, 285)
    pipeline.ingest(shared_data / "web" / "web-pages-1519.warc.wet.gz")
    pipeline.stream()
    stats = pipeline.live.stats()
    for name in ("records", "documents", "tokens"):
        assert stats[name] == MERGED[name] + PAGES[name]
    pipeline.verified()


def test_p21_counts_the_pages_exactly(make_pipeline: Callable[..., Pipeline], shared_data: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(shared_data / "web" / "web-pages-1519.warc.wet.gz")
    pipeline.stream()
    stats = pipeline.live.stats()
    assert {name: stats[name] for name in PAGES} == PAGES
