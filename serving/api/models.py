"""Shapes of the answers, for the OpenAPI description. (Answers are made as plain dicts, and tested against these.)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Answers hold exactly these fields, all of them."""

    model_config = ConfigDict(extra="forbid")


class AsOf(Model):
    """State of the numbers."""

    time: float | None = Field(description="time of the last commit, Unix seconds")
    positions: dict[str, int] = Field(description="next offset by topic partition")
    lag: int | None = Field(description="offsets in the topic that wait; null when no stream runs")
    applying: bool = Field(description="words of an unfinished micro-batch run ahead of the totals")
    streaming: bool = Field(description="whether a stream runs")


class TakenAsOf(AsOf):
    """State of a snapshot."""

    taken: float = Field(description="when the snapshot was complete, Unix seconds")


class View(Model):
    """Which words count: min_df <= df < max_df x documents."""

    min_df: int
    max_df: float | None


class Answer(Model):
    """Every answer carries the state of its numbers."""

    as_of: AsOf


class Lengths(Model):
    """Document lengths in tokens; null when there are no documents."""

    min: int | None
    max: int | None
    mean: float | None
    p10: int | None
    p30: int | None
    p50: int | None
    p70: int | None
    p90: int | None
    p99: int | None


class Stats(Answer):
    """Totals."""

    records: int
    documents: int
    tokens: int
    words: int
    payload_bytes: int
    rejected: dict[str, int]
    length: Lengths
    sources: int
    view: View
    profile: str | None


class VocabularySize(Answer):
    """Words and tokens under a view, and those of everything."""

    words: int
    tokens: int
    documents: int
    of_words: int
    of_tokens: int
    view: View


class Frequencies(Answer):
    """Words and tokens by document frequency: lists of the same length, df ascending."""

    documents: int
    df: list[int]
    words: list[int]
    tokens: list[int]


class TopWord(Model):
    """A ranked word."""

    word: str
    tf: int
    df: int


class Top(Answer):
    """The most frequent words."""

    words: list[TopWord]
    by: str
    view: View


class Word(TopWord):
    """A word that was looked up."""

    idf: float | None = Field(description="ln(documents / df); null for a word that never came")
    rank: int | None = Field(description="by tf, from 1; of a word that is not kept ranked as of the last snapshot")


class OneWord(Word):
    """One word."""

    as_of: AsOf


class Words(Answer):
    """Several words."""

    words: list[Word]
    documents: int


class FoundWord(TopWord):
    """A word of a snapshot."""

    idf: float | None


class Found(Model):
    """Words of a snapshot. `settled`: nothing was written while it was taken."""

    words: list[FoundWord]
    total: int
    view: View
    settled: bool
    as_of: TakenAsOf


class RankPoint(Model):
    """A point of the rank-frequency curve."""

    rank: int
    tf: int
    word: str


class Zipf(Model):
    """The rank-frequency curve, from a snapshot."""

    points: list[RankPoint]
    words: int
    settled: bool
    as_of: TakenAsOf


class Bin(Model):
    """Documents with `from` <= length < `to`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: int = Field(alias="from")
    to: int
    documents: int


class Histogram(Answer):
    """Document lengths."""

    documents: int
    length: Lengths
    bins: list[Bin]


class Reason(Model):
    """A reason and its records."""

    reason: str
    records: int


class Rejected(Answer):
    """Rejected records by reason."""

    records: int
    rejected: int
    reasons: list[Reason]


class Seen(Model):
    """Pages and kept documents of one language, domain or day."""

    name: str
    pages: int
    documents: int


class Page(Answer):
    """Part of a list: `total` rows are there."""

    total: int


class Languages(Page):
    """By language."""

    languages: list[Seen]


class Tlds(Page):
    """By top-level domain."""

    tlds: list[Seen]


class Days(Page):
    """By day of crawling."""

    days: list[Seen]


SEEN_PAGES: dict[str, type[Page]] = {"languages": Languages, "tlds": Tlds, "days": Days}


class Source(Model):
    """A source from file to statistic."""

    source: str
    crawl: str
    segment: str
    state: str = Field(description="ingesting, streaming, truncated, damaged or done")
    produced: int = Field(description="records in the topic")
    produced_bytes: int | None
    updated: float | None
    size_bytes: int | None = Field(description="of the file, compressed; null when no broker answers")
    read_bytes: int | None
    records: int
    documents: int
    tokens: int
    payload_bytes: int
    rejected: dict[str, int]


class SourcesPage(Page):
    """Sources."""

    sources: list[Source]


class Group(Model):
    """A crawl or a segment, summed over its sources."""

    name: str
    sources: int
    done: int
    produced: int
    records: int
    documents: int
    tokens: int
    payload_bytes: int
    rejected: int


class GroupsPage(Page):
    """Crawls or segments."""

    groups: list[Group]


class GrowthPoint(Model):
    """Size of the vocabulary when this many tokens were seen; time null: now."""

    time: float | None
    tokens: int
    words: int
    documents: int


class Growth(Answer):
    """Growth of the vocabulary."""

    points: list[GrowthPoint]


class Batch(Model):
    """A micro-batch. `seconds` by phase: Spark's names, and table, redis, compact inside its addBatch."""

    model_config = ConfigDict(extra="allow")
    at: float
    rows: int
    rows_per_s: float
    lag: int
    seconds: dict[str, float]


class Batches(Answer):
    """Micro-batches, newest first."""

    batches: list[Batch]


class Host(Model):
    """A host, from the documents table."""

    host: str
    pages: int
    documents: int
    tokens: int


class FromTable(Answer):
    """From version `table_version` of the documents table; `as_of.positions` are those of the table, which the totals
    follow.
    """

    table_version: int


class Hosts(FromTable):
    """Hosts with the most pages."""

    hosts: list[Host]


class Url(Model):
    """A page, from the documents table. `reason` null: kept."""

    url: str
    source: str
    record_offset: int
    date: str | None
    language: str | None
    reason: str | None
    tokens: int


class Urls(FromTable):
    """Pages of a host or of exactly one URL."""

    urls: list[Url]


class Problem(Model):
    """An error."""

    error: str
    message: str


class Probe(Model):
    """Whether the server lives or is ready."""

    status: str
    reason: str | None = None
