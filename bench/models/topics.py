"""Training topics beside gensim and scikit-learn: documents a second on one core, and held-out perplexity.

    python -m bench.models.topics [--documents 3000] [--topics 100] [--passes 3] [--seeds 3]

The same documents, vocabulary, mini-batches, priors, learning rate and tolerance for all, one thread each. Of each
held-out document, scikit-learn infers the topics from half of its words; perplexity is that of the other half.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import LdaModel
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation
from threadpoolctl import threadpool_limits

from bench import report
from tests.topicmodels.corpora import generate
from topicmodels.lda.inference import InferenceOptions, LocalInference, slice_bags, warm_up
from topicmodels.lda.kernel import Bags
from topicmodels.lda.online import LearningRate, OnlineLda, Priors
from topicmodels.model import TopicModel
from topicmodels.vocabulary import WordCounts, WordRules
from wetstream import read_wet_batches

HELD_OUT = 5  # every fifth document
BATCH = 256
Array = NDArray[np.float64]


def pages(profile: str) -> Bags | None:
    """The bags of web-pages-1519 under a profile; None where those data are not there."""
    import pyarrow as pa

    from topicmodels.corpus import _bags
    from topicmodels.vocabulary import TopicVocabulary

    shared = Path(os.environ.get("WETSTREAM_SHARED_DATA", "../shared/data"))
    file = shared / "web" / "web-pages-1519.warc.wet.gz"
    if not file.is_file():
        return None
    table = pa.Table.from_batches(read_wet_batches(file, profile=profile, columns=["reason", "words", "counts"]))
    kept = table.filter(pa.compute.is_null(table["reason"])).select(["words", "counts"]).combine_chunks()
    vocabulary = TopicVocabulary(WordCounts.of([kept]).chosen(WordRules(5, 0.5, 10_000)))
    return _bags(kept.append_column("row", pa.array(np.arange(kept.num_rows))), vocabulary).bags


def matrix(bags: Bags, words: int) -> Any:
    return csr_matrix((bags.counts.astype(float), bags.words, bags.starts), shape=(len(bags.starts) - 1, words))


def wetstream_topics(bags: Bags, words: int, topics: int, passes: int, seed: int) -> Array:
    lda = OnlineLda.start(words, topics, Priors(1 / topics, 1 / topics), seed, LearningRate(10.0, 0.7))
    workers = LocalInference(1)
    documents = len(bags.starts) - 1
    for _ in range(passes):
        for first in range(0, documents, BATCH):
            lda.learn(slice_bags(bags, first, min(documents, first + BATCH)), documents, workers)
    workers.close()
    return lda.weights


def sklearn_topics(bags: Bags, words: int, topics: int, passes: int, seed: int) -> Array:
    options: dict[str, Any] = {"learning_method": "online", "learning_offset": 10.0, "learning_decay": 0.7}
    model = LatentDirichletAllocation(topics, batch_size=BATCH, max_iter=passes, random_state=seed, **options)
    return np.asarray(model.fit(matrix(bags, words)).components_.T)


def gensim_topics(bags: Bags, words: int, topics: int, passes: int, seed: int) -> Array:
    corpus = [
        list(zip(bags.words[low:high].tolist(), bags.counts[low:high].tolist(), strict=True))
        for low, high in zip(bags.starts[:-1], bags.starts[1:], strict=True)
    ]
    options: dict[str, Any] = {"decay": 0.7, "offset": 10.0, "iterations": 100, "eval_every": None}
    model = LdaModel(
        corpus,
        num_topics=topics,
        id2word={word: str(word) for word in range(words)},
        chunksize=BATCH,
        passes=passes,
        random_state=seed,
        **options,
    )
    return np.asarray(model.state.get_lambda().T, dtype=float)


WAYS: dict[str, Callable[[Bags, int, int, int, int], Array]] = {
    "wetstream": wetstream_topics,
    "scikit-learn": sklearn_topics,
    "gensim": gensim_topics,
}


def completion_perplexity(model: TopicModel, documents: Any) -> float:
    """Perplexity of every other word of documents whose topics scikit-learn infers from the rest of their words."""
    given, asked = documents.copy(), documents.copy()
    even = np.concatenate([np.arange(n) % 2 == 0 for n in np.diff(documents.indptr)])
    given.data[~even] = 0
    asked.data[even] = 0
    given.eliminate_zeros()
    theta = model.to_sklearn().transform(given)
    asked = asked.tocoo()
    held = asked.data > 0
    row, word, count = asked.row[held], asked.col[held], asked.data[held]
    likelihood = (theta[row] * model.probabilities[word]).sum(axis=1)
    return float(np.exp(-(count * np.log(likelihood)).sum() / count.sum()))


def measure(name: str, bags: Bags, words: int, topics: int, passes: int, seeds: int) -> list[dict[str, Any]]:
    """Train in each way on four fifths of the documents, and judge by the others."""
    documents = len(bags.starts) - 1
    whole = matrix(bags, words)
    held = np.arange(documents) % HELD_OUT == 0
    train = whole[~held].tocsr()
    given = Bags(train.indptr.astype(np.int64), train.indices.astype(np.int32), train.data.astype(np.int32))
    rows = []
    for way, run in WAYS.items():
        seconds, perplexity = 0.0, 0.0
        for seed in range(1, seeds + 1):
            began = time.process_time()
            weights = run(given, words, topics, passes, seed)
            seconds += (time.process_time() - began) / seeds
            judge = TopicModel(way, _vocabulary(words), weights, Priors(1 / topics, 1 / topics), InferenceOptions())
            perplexity += completion_perplexity(judge, whole[held].tocsr()) / seeds
        rate = passes * train.shape[0] / seconds
        rows.append({"corpus": name, "way": way, "documents/s": rate, "CPU seconds": seconds, "perplexity": perplexity})
        print(rows[-1], flush=True)
    return rows


def _vocabulary(words: int) -> Any:
    import pyarrow as pa

    from topicmodels.vocabulary import TopicVocabulary

    names = pa.array([str(word).encode() for word in range(words)], pa.binary())
    return TopicVocabulary(pa.table({"word": names, "tf": np.ones(words, int), "df": np.ones(words, int)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=3_000)
    parser.add_argument("--topics", type=int, default=100)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warm_up()
    corpora: dict[str, tuple[Bags, int]] = {}
    for profile in ("english", "p21"):
        if (found := pages(profile)) is not None:
            corpora[f"web pages, {profile}"] = found, int(found.words.max()) + 1
    corpora["generated"] = generate(arguments.documents, 100, 5_000, length=200, seed=1).bags, 5_000
    rows, ratios = [], {}
    for name, (bags, words) in corpora.items():
        with threadpool_limits(1):
            measured = measure(name, bags, words, arguments.topics, arguments.passes, arguments.seeds)
        rows += measured
        ours = measured[0]
        for other in measured[1:]:
            ratios[f"{name}: speed / {other['way']}"] = ours["documents/s"] / other["documents/s"]
            ratios[f"{name}: perplexity / {other['way']} (at most 1.01)"] = ours["perplexity"] / other["perplexity"]
    notes = (
        f"K = {arguments.topics}, {arguments.passes} passes, mini-batches of {BATCH}, one thread; means of "
        f"{arguments.seeds} seeds; processor seconds of training, without reading; every fifth document is held "
        "out, and half of its words predicted."
    )
    report.write("topics", "Topic models", ratios, rows, notes)


if __name__ == "__main__":
    main()
