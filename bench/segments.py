"""One more segment, and one less, beside recounting all of them.

    python -m bench.segments [--mb 1050]

20 segments are streamed; then one more comes in by Kafka, and is taken out again. Beside it, all 21 are recounted:
the same way (ingested and streamed), from their files by `wetstream replay`, and by the batch jobs that people use,
which know no other way. The Spark session is warm; the batch jobs count their own seconds without Spark's start.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench import report
from bench.corpus import HOME, ingest, raw_bytes, sample_files
from bench.stream import BATCH_JOBS, Bench, own_seconds, timed
from wetstream import Pipeline
from wetstream.servers import embedded

SEGMENTS = 21
FILES = 4  # of a segment; those of Common Crawl have hundreds


def count_all(pipeline: Pipeline, paths: list[Path]) -> None:
    ingest(pipeline, paths)
    pipeline.stream()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1050)
    arguments = parser.parse_args()
    paths = sample_files(arguments.mb, SEGMENTS * FILES)
    endpoints = embedded.up(HOME / "servers")
    try:
        bench = Bench(endpoints)
        pipeline, recount = bench.pipeline("segments"), bench.pipeline("recount")
        recounts = {"ingest and stream all": timed(lambda: count_all(pipeline, paths[:-FILES]))}
        ingest_s = timed(lambda: ingest(pipeline, paths[-FILES:]))
        stream_s = timed(pipeline.stream)
        remove_s = timed(lambda: pipeline.remove(*paths[-FILES:]))
        recounts["replay all from their files"] = timed(lambda: recount.replay(*paths))
        bench.close()
    finally:
        embedded.down(HOME / "servers")
    for what, command in BATCH_JOBS.items():
        recounts[f"{what}, all"] = own_seconds(command, paths)
    mb = raw_bytes(paths) / 1e6
    more_s = ingest_s + stream_s
    rows: list[dict[str, Any]] = [
        {"what": "ingest one more segment", "MB": mb / SEGMENTS, "seconds": ingest_s},
        {"what": "stream it", "MB": mb / SEGMENTS, "seconds": stream_s},
        {"what": "remove it again", "MB": mb / SEGMENTS, "seconds": remove_s},
        *({"what": what, "MB": mb, "seconds": seconds} for what, seconds in recounts.items()),
    ]
    ratios = {f"one more segment / {what}": more_s / seconds for what, seconds in recounts.items()}
    ratios["one segment less / replay all from their files"] = remove_s / recounts["replay all from their files"]
    report.write("segments", "One segment more or less", ratios, rows, "Profile p21, `wetstream sample`.")


if __name__ == "__main__":
    main()
