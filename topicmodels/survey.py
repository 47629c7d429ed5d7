"""What a finished model says about its documents: shares of topics, the documents that show them best, coherence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from topicmodels.coherence import CoOccurrence
from topicmodels.corpus import Corpus
from topicmodels.lda.inference import LocalInference, expected_beta, numbered, slice_bags
from topicmodels.lda.kernel import Bags
from topicmodels.lda.online import OnlineLda
from topicmodels.vocabulary import TopicVocabulary

BEST_DOCUMENTS: Final = 20
LEAST_SHARE: Final = 0.05
"""A document that shows a topic holds at least so much of it."""
COHERENCE_WORDS: Final = 10
DOCUMENTS_AT_ONCE: Final = 8192
BEST: Final = pa.schema(
    [
        pa.field("topic", pa.int32()),
        pa.field("share", pa.float64()),
        pa.field("url", pa.string()),
        pa.field("source", pa.string()),
        pa.field("record_offset", pa.int64()),
        pa.field("inner_offset", pa.int64()),
    ]
)
UNKNOWN: Final = "unknown"
GROUPS: Final = ("source", "language", "day")


@dataclass(frozen=True)
class Survey:
    """What a model says about its documents.

    Attributes:
        tokens: [K] expected tokens of each topic.
        coherence: [K] NPMI of the ten most probable words over documents.
        bound_per_word: The documents' part of the evidence lower bound, per token, under the final topics.
        shares: Columns by (`source`, `language` or `day`), value, topic and tokens.
        documents: Columns topic, share, url, source, record_offset, inner_offset; the best of each topic, best first.
    """

    tokens: NDArray[np.float64]
    coherence: NDArray[np.float64]
    bound_per_word: float
    shares: pa.Table
    documents: pa.Table


def survey(
    lda: OnlineLda,
    corpus: Corpus,
    vocabulary: TopicVocabulary,
    workers: LocalInference,
    on_documents: Callable[[int], None] = lambda documents: None,
) -> Survey:
    """Infer the topics of every document under the final weights."""
    top = np.argsort(-lda.weights, axis=0, kind="stable")[:COHERENCE_WORDS]
    pairs = CoOccurrence(np.unique(top))
    sums: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in GROUPS}
    best = BEST.empty_table()
    tokens, bound, words, documents = np.zeros(lda.topics), 0.0, 0, 0
    totals = lda.weights.sum(axis=0)
    for bags, rows in _parts(corpus, vocabulary):
        known, local = numbered(bags, len(vocabulary))
        beta = expected_beta(lda.weights, totals, known)
        found = list(workers.run(local, beta, lda.priors.alpha, lda.inference, statistics=False))
        gamma = np.concatenate([chunk.gamma for chunk in found])
        bound += sum(chunk.bound for chunk in found)
        words += int(bags.counts.sum())
        expected = gamma - lda.priors.alpha
        tokens += expected.sum(axis=0)
        for name in GROUPS:
            _add_sums(sums[name], _group(rows, name), expected)
        fresh = _best(gamma / gamma.sum(axis=1, keepdims=True), rows)
        best = best_of(best, fresh)
        pairs.add(bags, len(vocabulary))
        documents += len(gamma)
        on_documents(documents)
    return Survey(
        tokens,
        np.array([pairs.npmi(top[:, topic]) for topic in range(lda.topics)]),
        bound / words if words else 0.0,
        _shares(sums, lda.topics),
        best,
    )


def _parts(corpus: Corpus, vocabulary: TopicVocabulary) -> Iterator[tuple[Bags, pa.Table]]:
    for bags, rows in corpus.described(vocabulary):
        for first in range(0, rows.num_rows, DOCUMENTS_AT_ONCE):
            end = min(first + DOCUMENTS_AT_ONCE, rows.num_rows)
            yield slice_bags(bags, first, end), rows.slice(first, end - first)


def _group(rows: pa.Table, name: str) -> pa.Array:
    column = pc.strftime(rows["date"], format="%Y-%m-%d") if name == "day" else rows[name].cast(pa.string())
    return pc.fill_null(column, UNKNOWN).combine_chunks()


def _add_sums(sums: dict[str, NDArray[np.float64]], values: Any, expected: NDArray[np.float64]) -> None:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    encoded = values.dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1))
    names = encoded.dictionary.to_pylist()
    for code, added in zip(codes[order][bounds], np.add.reduceat(expected[order], bounds), strict=True):
        name = names[code]
        sums[name] = sums[name] + added if name in sums else added


def _best(theta: NDArray[np.float64], rows: pa.Table) -> pa.Table:
    """The candidates of a part for the best documents of each topic."""
    topics = theta.shape[1]
    wanted = min(BEST_DOCUMENTS, len(theta))
    chosen = np.argpartition(-theta, wanted - 1, axis=0)[:wanted].T.ravel()
    topic = np.repeat(np.arange(topics, dtype=np.int32), wanted)
    shown = theta[chosen, topic] >= LEAST_SHARE
    chosen, topic = chosen[shown], topic[shown]
    found = rows.select(["url", "source", "record_offset", "inner_offset"]).take(pa.array(chosen))
    found = found.set_column(1, "source", found["source"].cast(pa.string()))
    return found.add_column(0, "share", pa.array(theta[chosen, topic])).add_column(0, "topic", pa.array(topic))


def best_of(some: pa.Table, others: pa.Table) -> pa.Table:
    """The best documents of each topic among those of two tables with the columns BEST."""
    candidates = pa.concat_tables([some, others.cast(BEST)])
    order = [("topic", "ascending"), ("share", "descending")]
    order += [(name, "ascending") for name in ("source", "record_offset", "inner_offset")]
    ordered = candidates.sort_by(order).combine_chunks()
    topic = ordered["topic"].to_numpy()
    first = np.searchsorted(topic, topic, side="left")
    return ordered.filter(pa.array(np.arange(len(topic)) - first < BEST_DOCUMENTS)).combine_chunks()


def sum_shares(some: pa.Table, others: pa.Table) -> pa.Table:
    """Add up the tokens of two tables of shares."""
    joined = pa.concat_tables([some, others])
    added = joined.group_by(["by", "value", "topic"], use_threads=False).aggregate([("tokens", "sum")])
    order = [("by", "ascending"), ("value", "ascending"), ("topic", "ascending")]
    return added.rename_columns(["by", "value", "topic", "tokens"]).sort_by(order)


def _shares(sums: dict[str, dict[str, NDArray[np.float64]]], topics: int) -> pa.Table:
    rows = [(by, value, held) for by, values in sums.items() for value, held in sorted(values.items())]
    repeated = [(by, value) for by, value, _ in rows for _ in range(topics)]
    return pa.table(
        {
            "by": pa.array([by for by, _ in repeated], pa.string()),
            "value": pa.array([value for _, value in repeated], pa.string()),
            "topic": pa.array(np.tile(np.arange(topics, dtype=np.int32), len(rows))),
            "tokens": pa.array(np.concatenate([held for _, _, held in rows]) if rows else np.zeros(0)),
        }
    )
