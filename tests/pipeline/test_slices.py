"""Points in time of a real pipeline: what the live statistics answered then, whatever happened since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from serving.queries import LiveStatistics
from serving.slices.statistics import SliceStatistics
from serving.view import View
from sinks.documents.compaction import compact
from tests.harness import Pipeline
from wetstream import Pipeline as PublicPipeline

Make = Callable[..., Pipeline]


def answers(statistics: LiveStatistics | SliceStatistics) -> dict[str, Any]:
    """What both kinds answer, without the state of the stream."""
    found: dict[str, Any] = {
        "stats": statistics.stats(View(2, 0.5)),
        "top": statistics.top(200),
        "by df": statistics.top(20, by="df"),
        "words": statistics.vocabulary().to_pylist(),
        "word": statistics.words(["the", "nowhere"]),
        "lengths": statistics.lengths(),
        "rejected": statistics.rejected(),
        "sources": statistics.sources(),
        **{name: statistics.pages_by(name) for name in ("languages", "tlds", "days")},
    }
    for answer in found.values():
        if isinstance(answer, dict):
            answer["as_of"] = answer["as_of"]["positions"]
    return found


def test_past_answers_are_those_of_then(make_pipeline: Make, tmp_path: Path) -> None:
    paths = [write_sample(tmp_path / f"{n}.warc.wet.gz", records=120, seed=n).path for n in (1, 2, 3)]
    pipeline = make_pipeline(redis__top_words=1_000_000)
    public = PublicPipeline(settings=pipeline.settings)
    then = []
    for path in paths:
        pipeline.ingest(path)
        pipeline.stream()
        then.append(answers(pipeline.live))
        assert answers(public.slice()) == then[-1]
    compact(pipeline.documents, target_bytes=64 << 20, compression_level=1)
    pipeline.remove(paths[2])
    for path, expected in zip(paths[:2], then, strict=False):
        assert answers(public.slice(as_of=f"after {source_id(path)}")) == expected
    assert answers(public.slice(as_of=public.slice(as_of=f"after {source_id(paths[1])}").table_version)) == then[1]
    # A slice of some sources is what a pipeline of its own that had only those would answer.
    other = make_pipeline(pipeline=f"{pipeline.settings.pipeline}-other", redis__top_words=1_000_000)
    other.ingest(paths[1])
    other.stream()
    alone, sliced = answers(other.live), answers(public.slice(sources=[source_id(paths[1])]))
    for name in ("top", "by df", "words", "lengths", "rejected", "languages", "tlds", "days"):
        if isinstance(alone[name], dict):
            alone[name].pop("as_of"), sliced[name].pop("as_of")
        assert sliced[name] == alone[name], name
    comparison = public.diff(f"as-of=after {source_id(paths[0])}", "now")
    assert comparison.gone_words() == 0
    assert comparison.a.stats()["words"] + comparison.new_words() == comparison.b.stats()["words"]
