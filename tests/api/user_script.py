"""A user's script, as mypy --strict sees it against the installed package."""

from __future__ import annotations

from datetime import datetime

import wetstream


def pages(path: str) -> dict[str, datetime | None]:
    return {record.url: record.date for record in wetstream.read_wet(path) if record.url is not None}


def run(path: str) -> tuple[int, float]:
    with wetstream.Pipeline("main", home="state") as pipeline:
        outcomes: list[wetstream.Outcome] = pipeline.run(path, options=wetstream.IngestOptions(limit=1))
        for event in pipeline.events(pipeline.ingest, path):
            if isinstance(event, wetstream.SourceProgress):
                print(event.file_bytes / event.size)
        words = pipeline.vocabulary(min_df=2).to_arrow()
        check: wetstream.Verification = pipeline.verify()
        assert check.ok
        documents: int = pipeline.statistics.stats(wetstream.View(min_df=2))["documents"]
        return words.num_rows + documents, sum(outcome.seconds for outcome in outcomes)


bag: dict[str, int] = wetstream.Profile.load("english").bag("to be").bag
