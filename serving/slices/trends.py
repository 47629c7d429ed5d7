"""Words by day or by segment, and where their frequency departs from what their past lets expect.

Each period is compared with everything before it: how many of its documents hold a word, against the share of all
earlier documents that do. Documents are counted, not occurrences, since a word that occurs once tends to occur again in
the same document (K. Church and W. Gale, Poisson mixtures, 1995). How sure the departure is says the log-likelihood
ratio of two binomials (T. Dunning, Accurate Methods for the Statistics of Surprise and Coincidence, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.slices.count import condition_of
from serving.slices.keyness import Counts, Values, log_likelihood, log_ratio, significance
from serving.slices.points import documents_as_of
from serving.slices.slice import Slice, SliceError
from serving.unreadable import unreadable_explained
from sinks.documents.table import Documents

if TYPE_CHECKING:
    import duckdb

Period = Literal["day", "segment"]
PERIODS = {
    "day": "strftime(date at time zone 'UTC', '%Y-%m-%d')",
    "segment": "nullif(regexp_extract(source, '(?:^|/)segments/([^/]+)/', 1), '')",
}
DOCUMENTS = """
create view documents as
select {period} as period, * from read_parquet({files}) where reason is null and {condition}"""
# In order of time: a segment is as old as its first document.
TOTALS = """
select period, count(*) as documents, sum(tokens)::bigint as tokens from documents where period is not null
group by period order by {order}, period"""
ORDERS = {"day": "period", "segment": "min(date) nulls last"}
WORDS = """
create table by_period as
select word, period, count(*) as df, sum(n)::bigint as tf
from (select period, unnest(words) as word, unnest(counts) as n from documents where period is not null)
where {chosen} group by word, period"""
FREQUENT = """
select word, period, df, tf from by_period
where word in (select word from by_period group by word having sum(df) >= ?) order by word"""
MAX_PERIODS = 1_000
BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Trends:
    """Frequencies of words by period.

    Attributes:
        periods: Names of the periods, in order of time.
        documents: Documents of each period, [periods].
        tokens: Tokens of each period, [periods].
        words: Words, each once, in bytewise order.
        rows: For each entry of `df`, the index of its word, ascending.
        columns: For each entry of `df`, the index of its period.
        df: Documents of that period with that word; periods without any have no entry.
        tf: Occurrences of that word in that period.
    """

    periods: list[str]
    documents: Counts
    tokens: Counts
    words: pa.Array
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    df: Counts
    tf: Counts

    def departures(self, limit: int | None = 20) -> pa.Table:
        """Return the greatest departure of each word from its past, the surest first.

        Args:
            limit: So many words at most; None: all.

        Returns:
            Columns `word`, `period`, `df` (documents of that period with the word), `documents` (of that period),
            `expected` (documents with the word, by the share of all earlier ones), `log_ratio`, `g2` (negative where
            the word is rarer than expected), `p` (of one word in one period, not corrected for their number) and
            `curve` (share of the documents of each period, list of float64).
        """
        schema = pa.schema(
            [
                ("word", pa.string()),
                ("period", pa.string()),
                *((name, pa.int64()) for name in ("df", "documents")),
                *((name, pa.float64()) for name in ("expected", "log_ratio", "g2", "p")),
                ("curve", pa.list_(pa.float64())),
            ]
        )
        if not len(self.words) or len(self.periods) < 2:
            return schema.empty_table()
        best = [self._best(first, df) for first, df in self._blocks()]
        word, period, df, expected, ratio, g2 = (np.concatenate(column) for column in zip(*best, strict=True))
        order = np.argsort(-np.abs(g2), kind="stable")[:limit]
        curves = [(self._dense(int(at), int(at) + 1)[0] / self.documents).tolist() for at in word[order]]
        return pa.table(
            [
                self.words.take(pa.array(word[order])),
                pa.array(self.periods).take(pa.array(period[order])),
                df[order],
                self.documents[period[order]],
                expected[order],
                ratio[order],
                g2[order],
                significance(g2[order]),
                pa.array(curves, schema.field("curve").type),
            ],
            schema=schema,
        )

    def curve(self, word: str) -> list[dict[str, Any]]:
        """Return a word period by period, in order of time.

        Returns:
            Rows with `period`, `documents`, `df`, `tf`, `share`, and `expected`, `log_ratio` and `g2` against all
            earlier periods; these are None in the first one.
        """
        at = pc.index(self.words, word).as_py()
        df = np.zeros(len(self.periods), np.int64) if at < 0 else self._dense(at, at + 1)[0]
        tf = np.zeros(len(self.periods), np.int64)
        if at >= 0:
            mine = self.rows == at
            tf[self.columns[mine]] = self.tf[mine]
        expected, ratio, g2 = self._against_past(df[None, :])
        rows = []
        for number, period in enumerate(self.periods):
            departs = number > 0
            rows.append(
                {
                    "period": period,
                    "documents": int(self.documents[number]),
                    "df": int(df[number]),
                    "tf": int(tf[number]),
                    "share": float(df[number] / self.documents[number]),
                    "expected": float(expected[0, number]) if departs else None,
                    "log_ratio": float(ratio[0, number]) if departs else None,
                    "g2": float(g2[0, number]) if departs else None,
                }
            )
        return rows

    def _best(self, first: int, df: Counts) -> tuple[Counts, Counts, Counts, Values, Values, Values]:
        """Of each word of a block: its index, and period, df, expected, log ratio and G2 of its greatest departure."""
        expected, ratio, g2 = self._against_past(df)
        period = 1 + np.argmax(np.abs(g2[:, 1:]), axis=1)  # the first one has no past
        at = (np.arange(len(df)), period)
        return first + np.arange(len(df)), period, df[at], expected[at], ratio[at], g2[at]

    def _against_past(self, df: Counts) -> tuple[Values, Values, Values]:
        """Return expected df, log ratio and G2, each [words, periods]; 0 in the first period."""
        past, documents_before = np.cumsum(df, axis=1) - df, np.cumsum(self.documents) - self.documents
        expected, ratio, g2 = (np.zeros(df.shape) for _ in range(3))
        for number in range(1, len(self.periods)):
            now, before = int(self.documents[number]), int(documents_before[number])
            a, b = df[:, number], past[:, number]
            with_word = log_likelihood(a, b, now, before)
            without = log_likelihood(now - a, before - b, now, before)
            expected[:, number] = b * (now / before)
            ratio[:, number] = np.where(a + b > 0, log_ratio(a, b, now, before), 0.0)
            g2[:, number] = np.where(with_word < 0, -1.0, 1.0) * (np.abs(with_word) + np.abs(without))
        return expected, ratio, g2

    def _blocks(self) -> Iterator[tuple[int, Counts]]:
        """Yield the first word's index and df, [words, periods], of blocks of words."""
        size = max(1, BLOCK_CELLS // max(1, len(self.periods)))
        for first in range(0, len(self.words), size):
            yield first, self._dense(first, min(first + size, len(self.words)))

    def _dense(self, first: int, end: int) -> Counts:
        begin, stop = np.searchsorted(self.rows, [first, end])
        dense = np.zeros((end - first, len(self.periods)), np.int64)
        dense[self.rows[begin:stop] - first, self.columns[begin:stop]] = self.df[begin:stop]
        return dense


def count_trends(newest: Documents, chosen: Slice, by: Period, *, min_df: int = 1, words: Sequence[str] = ()) -> Trends:
    """Count words by period.

    Args:
        newest: The documents table as it is now.
        chosen: The documents to count.
        by: What a period is. Documents without one (no date, no segment) are left out.
        min_df: Only words that occur in at least this many documents.
        words: Only these words; empty: all.

    Raises:
        SliceError: There is no such slice, or it has too many periods.
        DocumentsError: The table's log does not reach back so far, or a file is damaged.
    """
    documents = documents_as_of(newest, chosen.as_of)
    files = documents.parquet_files()
    if not files:
        return _trends([], pa.table({"word": [], "period": [], "df": [], "tf": []}))
    with unreadable_explained(), documents.naming_damage(), files.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        condition = condition_of(connection, files, chosen)
        connection.execute(DOCUMENTS.format(period=PERIODS[by], files=files.sql_list, condition=condition))
        totals = connection.execute(TOTALS.format(order=ORDERS[by])).fetchall()
        if len(totals) > MAX_PERIODS:
            raise SliceError(f"{len(totals):,} periods, more than {MAX_PERIODS:,}: choose fewer days, or by segment")
        found = _count_words(connection, [word.lower() for word in words], min_df)
    return _trends(totals, found)


def _count_words(connection: duckdb.DuckDBPyConnection, words: Sequence[str], min_df: int) -> pa.Table:
    if words:
        connection.execute("create table chosen as select unnest(?::varchar[]) as word", [list(words)])
    connection.execute(WORDS.format(chosen="word in (select word from chosen)" if words else "true"))
    return connection.execute(FREQUENT, [min_df]).to_arrow_table()


def _trends(totals: Sequence[tuple[str, int, int]], counted: pa.Table) -> Trends:
    periods = [period for period, _, _ in totals]
    text = counted["word"].cast(pa.string()).combine_chunks()
    words = pc.unique(text)
    rows = pc.index_in(text, value_set=words).to_numpy(zero_copy_only=False).astype(np.int64)
    columns = pc.index_in(
        counted["period"].cast(pa.string()).combine_chunks(), value_set=pa.array(periods, pa.string())
    )
    return Trends(
        periods,
        np.array([documents for _, documents, _ in totals], np.int64),
        np.array([tokens for _, _, tokens in totals], np.int64),
        words,
        rows,
        columns.to_numpy(zero_copy_only=False).astype(np.int64),
        *(counted[name].cast(pa.int64()).to_numpy() for name in ("df", "tf")),
    )
