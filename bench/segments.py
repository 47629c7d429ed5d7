"""One more segment, and one less, beside counting all of them anew.

    python -m bench.segments [--mb 1050]

20 segments are streamed; then one more comes in by Kafka, and is taken out again; then all 21 are counted anew from
their files, by `wetstream replay`, the fastest recount there is here. The session is warm in all three.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench import report
from bench.corpus import HOME, raw_bytes, sample_files
from bench.stream import Bench, timed
from producers.source import source_id
from wetstream.removing import remove
from wetstream.servers import embedded

SEGMENTS = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1050)
    arguments = parser.parse_args()
    paths = sample_files(arguments.mb, SEGMENTS)
    endpoints = embedded.up(HOME / "servers")
    try:
        bench = Bench(endpoints)
        settings = bench.settings("segments")
        bench.fill(settings, paths[:-1])
        bench.stream(settings)
        ingest_s = timed(lambda: bench.fill(settings, paths[-1:]))
        stream_s = timed(lambda: bench.stream(settings))
        remove_s = timed(lambda: remove(settings, [source_id(paths[-1])], lambda line: None))
        recount_s = timed(lambda: bench.replay(bench.settings("recount"), paths))
        bench.close()
    finally:
        embedded.down(HOME / "servers")
    mb = raw_bytes(paths) / 1e6
    rows: list[dict[str, Any]] = [
        {"what": "ingest one more segment", "MB": mb / SEGMENTS, "seconds": ingest_s},
        {"what": "stream it", "MB": mb / SEGMENTS, "seconds": stream_s},
        {"what": "remove it again", "MB": mb / SEGMENTS, "seconds": remove_s},
        {"what": f"count {SEGMENTS} segments anew from their files", "MB": mb, "seconds": recount_s},
    ]
    ratios = {
        "one more segment / a full recount": (ingest_s + stream_s) / recount_s,
        "one segment less / a full recount": remove_s / recount_s,
    }
    report.write("segments", "One segment more or less", ratios, rows, "Profile p21, `wetstream sample`.")


if __name__ == "__main__":
    main()
