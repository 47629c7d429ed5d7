"""Statistics of parts of a pipeline's corpus, and of earlier points in time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conf.settings import Settings
    from serving.slices.comparison import Comparison
    from serving.slices.slice import Slice
    from serving.slices.statistics import SliceStatistics
    from serving.slices.trends import Period, Trends
    from sinks.documents.table import Documents


class SliceReader:
    """What a pipeline answers from its documents table alone, without Kafka and Redis."""

    settings: Settings

    def _live_documents(self) -> Documents:
        raise NotImplementedError

    def slice(
        self,
        as_of: str | int | None = None,
        *,
        sources: Sequence[str] = (),
        languages: Sequence[str] = (),
        tlds: Sequence[str] = (),
        hosts: Sequence[str] = (),
        days: str | None = None,
        once: str | None = None,
    ) -> SliceStatistics:
        """Count a part of the corpus, now or at an earlier point in time; what was counted before is kept on disk.

        Needs neither Kafka nor Redis: the numbers come from the documents table, and are those that Redis would hold if
        nothing else had been processed.

        Args:
            as_of: Version of the documents table, a time (ISO 8601), or `after NAME`: when all of a source, segment or
                crawl was in it. None: now.
            sources: Only these sources, segments or crawls, by identity or a part of it; empty: all.
            languages: Only pages in these languages (ISO 639 codes, `unknown`).
            tlds: Only pages of these top-level domains.
            hosts: Only pages of these hosts, each exactly.
            days: Only pages of a day of crawling, `2016-12-03`, or of several, `2016-12-01..2016-12-03`.
            once: Count pages that come again once: those of a URL (`url`, `url-latest`), or with the same bag of words
                (`bag`, `bag-latest`); the first of them in time, or the latest. None: each time.

        Raises:
            SliceError: There is no such slice.
            DocumentsError: There are no documents yet, or the table's log does not reach back so far.
        """
        from serving.slices.slice import Slice

        chosen = Slice.make(as_of, sources=sources, languages=languages, tlds=tlds, hosts=hosts, days=days, once=once)
        return self._count(chosen)

    def diff(self, a: str | Slice, b: str | Slice) -> Comparison:
        """Compare two parts of the corpus, or two points in time.

        Args:
            a: A slice, or one as text: `now`, or KEY=VALUE,… with the keys as-of, source, segment, crawl, language,
                tld, host, day and once, as in `segment=1480698540409.8,language=deu`.
            b: The other one.

        Raises:
            SliceError: There is no such slice.
            DocumentsError: There are no documents yet, or the table's log does not reach back so far.
        """
        from serving.slices.comparison import Comparison
        from serving.slices.slice import Slice

        sides = [Slice.parse(each) if isinstance(each, str) else each for each in (a, b)]
        return Comparison(*(self._count(side) for side in sides))

    def trends(
        self,
        *words: str,
        by: Period = "day",
        chosen: str | Slice = "now",
        min_df: int = 5,
    ) -> Trends:
        """Count words by day of crawling or by segment, to see where they depart from their past.

        Args:
            *words: Only these words, however rare; none: all words.
            by: What a period is: `day` or `segment`.
            chosen: The documents to count, a slice or one as text; see `diff`.
            min_df: Of all words, only those that occur in at least this many documents.

        Raises:
            SliceError: There is no such slice, or it has more than 1,000 periods.
            DocumentsError: There are no documents yet, or the table's log does not reach back so far.
        """
        from serving.slices.slice import Slice
        from serving.slices.trends import count_trends

        wanted = Slice.parse(chosen) if isinstance(chosen, str) else chosen
        documents = self._live_documents()
        least = 1 if words else min_df
        return count_trends(documents, wanted.with_identities(identity_of), by, min_df=least, words=words)

    def _count(self, wanted: Slice) -> SliceStatistics:
        from serving.slices.count import count_slice
        from serving.slices.statistics import SliceStatistics

        cache = self.settings.slices_path
        found = wanted.with_identities(identity_of)
        return SliceStatistics(count_slice(self._live_documents(), found, cache))


def identity_of(name: str) -> str:
    """The identity of a file or URL. Any other name is one, or a part of one, already."""
    from producers.sources.identity import source_id
    from producers.sources.urls import is_url

    return source_id(name) if is_url(name) or os.path.exists(name) else name  # noqa: PTH110  # fails for long names
