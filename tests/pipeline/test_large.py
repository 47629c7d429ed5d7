"""One digest for a corpus of half a gigabyte, whichever way it was counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from tests.harness import Pipeline

Make = Callable[..., Pipeline]
FILES = 8
RAW_BYTES = 512 << 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_way_gives_the_same_on_half_a_gigabyte(make_pipeline: Make, tmp_path: Path) -> None:
    paths = [
        write_sample(tmp_path / f"{n}.warc.wet.gz", raw_bytes=RAW_BYTES // FILES, file=n).path for n in range(FILES)
    ]
    pipeline = make_pipeline(stream__max_records=100_000)
    pipeline.ingest(*paths)
    pipeline.stream()
    right = pipeline.verified().digest

    seed = random.randrange(1 << 30)
    many = make_pipeline(pipeline=f"many-{seed}", stream__max_records=random.Random(seed).randrange(5_000, 30_000))
    many.ingest(*paths[:3])
    many.stream()
    many.ingest(*paths[3:])
    many.stream()
    assert many.verified().digest == right, f"in many micro-batches (seed {seed})"

    assert pipeline.remove(paths[2], paths[5]) > 0
    assert pipeline.verified().digest != right
    pipeline.ingest(paths[2], paths[5])
    pipeline.stream()
    assert pipeline.verified().digest == right, "removed and added again"

    pipeline.replay()
    assert pipeline.verified().digest == right, "replayed from the topic"

    pipeline.forget_redis()
    pipeline.stream()
    assert pipeline.verified().digest == right, "rebuilt from the documents"

    loaded = make_pipeline(pipeline=f"files-{seed}")
    loaded.replay(*paths)
    assert loaded.verified().digest == right, "from the files"
