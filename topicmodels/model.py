"""A trained topic model: its topics, its words, and what it makes of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from topicmodels.errors import TopicError
from topicmodels.lda.inference import InferenceOptions, LocalInference, expected_beta, numbered
from topicmodels.lda.kernel import Bags
from topicmodels.lda.online import Priors
from topicmodels.vocabulary import TopicVocabulary

if TYPE_CHECKING:
    from gensim.models import LdaModel
    from sklearn.decomposition import LatentDirichletAllocation

RELEVANCE: Final = 0.6
"""Weight of a word's probability against its lift; Sievert and Shirley (2014) found 0.6 the most helpful."""

Order = Literal["relevance", "probability"]


@dataclass(frozen=True)
class TopicModel:
    """A trained model of latent topics. Topics are numbered from 0; their order says nothing.

    Attributes:
        name: Its name in the pipeline.
        vocabulary: Its words.
        weights: lambda, the Dirichlet parameters of the topics, [words, topics].
        priors: `alpha` of a document's topics, `eta` of a topic's words.
        inference: When the iterations over a document end.
        info: What `model.json` holds: options, lineage, the position in the documents table, tokens and coherence of
            each topic.
        documents: The documents that show each topic best: topic, share, url, source, record_offset, inner_offset.
        shares: Expected tokens of each topic by source, language and day: by, value, topic, tokens.
    """

    name: str
    vocabulary: TopicVocabulary
    weights: NDArray[np.float64]
    priors: Priors
    inference: InferenceOptions = field(default_factory=InferenceOptions)
    info: dict[str, Any] = field(default_factory=dict)
    documents: pa.Table = field(default_factory=lambda: pa.table({}))
    shares: pa.Table = field(default_factory=lambda: pa.table({}))

    def __repr__(self) -> str:
        return f"TopicModel({self.name!r}, {self.topics} topics, {len(self.vocabulary):,} words)"

    @property
    def topics(self) -> int:
        """Number of topics."""
        return int(self.weights.shape[1])

    @property
    def words(self) -> list[str]:
        """The words by their id, which is their row in `weights`."""
        return self._words

    @cached_property
    def _words(self) -> list[str]:
        return self.vocabulary.words

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each word in each topic, [words, topics]: the mean of the posterior."""
        return np.asarray(self.weights / self.weights.sum(axis=0))

    def top_words(self, topic: int, limit: int = 10, *, by: Order = "relevance") -> pa.Table:
        """Return the words that say most about a topic.

        Args:
            topic: Its number, from 0.
            limit: Number of words.
            by: `probability` in the topic, or `relevance`: 0.6 times the logarithm of the probability and 0.4 times
                that of the lift, the probability in the topic by the share of the word in all tokens.

        Returns:
            Columns `word`, `probability`, `lift` and `relevance`, best first.

        Raises:
            TopicError: There is no such topic.
        """
        if not 0 <= topic < self.topics:
            raise TopicError(f"model {self.name} has no topic {topic}: its topics are 0 to {self.topics - 1}")
        probability = self.probabilities[:, topic]
        tf = self.vocabulary.table["tf"].to_numpy()
        lift = probability / (tf / tf.sum())
        relevance = RELEVANCE * np.log(probability) + (1 - RELEVANCE) * np.log(lift)
        order = np.argsort(-(relevance if by == "relevance" else probability), kind="stable")[:limit]
        return pa.table(
            {
                "word": pa.array([self._words[word] for word in order], pa.string()),
                "probability": probability[order],
                "lift": lift[order],
                "relevance": relevance[order],
            }
        )

    def topic_shares(self) -> NDArray[np.float64]:
        """Share of each topic in all tokens of the documents, [topics]."""
        tokens = np.array(self.info["tokens"]) if "tokens" in self.info else self.weights.sum(axis=0)
        return np.asarray(tokens / tokens.sum())

    def infer(self, bags: Sequence[Mapping[str, int]]) -> NDArray[np.float64]:
        """Infer the topics of documents.

        Args:
            bags: Their bags of words, as the rules of the pipeline make them; other words do not count.

        Returns:
            Shares of the topics, [documents, topics]. Without any word of the model all topics have the same share.
        """
        lengths, ids, counts = [], [], []
        for bag in bags:
            found = self.vocabulary.ids(pa.array(list(bag), pa.string()))
            held = found >= 0
            lengths.append(int(held.sum()))
            ids.append(found[held])
            counts.append(np.array(list(bag.values()), np.int32)[held])
        if not lengths:
            return np.zeros((0, self.topics))
        given = Bags(np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(ids), np.concatenate(counts))
        rows, local = numbered(given, len(self.vocabulary))
        workers = LocalInference(1)
        try:
            beta = expected_beta(self.weights, self.weights.sum(axis=0), rows)
            chunks = list(workers.run(local, beta, self.priors.alpha, self.inference, statistics=False))
        finally:
            workers.close()
        gamma = np.concatenate([chunk.gamma for chunk in chunks])
        return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))

    def to_arrow(self) -> pa.Table:
        """Return the probabilities as a table: `word`, `tf`, `df`, and a list of one probability a topic."""
        flat = pa.array(self.probabilities.ravel())
        return pa.table(
            {
                "word": self._words,
                "tf": self.vocabulary.table["tf"],
                "df": self.vocabulary.table["df"],
                "probability": pa.FixedSizeListArray.from_arrays(flat, self.topics),
            }
        )

    def to_gensim(self) -> LdaModel:
        """Return it as gensim's LdaModel. Raises TopicError without gensim."""
        try:
            from gensim.corpora import Dictionary
            from gensim.models import LdaModel
        except ImportError as error:
            raise TopicError("gensim is not installed: pip install gensim") from error
        dictionary = Dictionary()
        dictionary.token2id = {word: number for number, word in enumerate(self._words)}
        dictionary.dfs = dict(enumerate(self.vocabulary.table["df"].to_pylist()))
        dictionary.num_docs = int(self.info.get("documents", 0))
        dictionary.id2token = dict(enumerate(self._words))
        model = LdaModel(
            num_topics=self.topics,
            id2word=dictionary,
            alpha=[self.priors.alpha] * self.topics,
            eta=self.priors.eta,
            iterations=self.inference.iterations,
            gamma_threshold=self.inference.tolerance,
            dtype=np.float64,
        )
        model.state.sstats = np.ascontiguousarray(self.weights.T) - self.priors.eta
        model.sync_state()
        return model

    def to_sklearn(self) -> LatentDirichletAllocation:
        """Return it as scikit-learn's fitted LatentDirichletAllocation. Raises TopicError without scikit-learn."""
        try:
            from sklearn.decomposition import LatentDirichletAllocation
        except ImportError as error:
            raise TopicError("scikit-learn is not installed: pip install scikit-learn") from error
        model = LatentDirichletAllocation(
            n_components=self.topics,
            doc_topic_prior=self.priors.alpha,
            topic_word_prior=self.priors.eta,
            learning_method="online",
            max_doc_update_iter=self.inference.iterations,
            mean_change_tol=self.inference.tolerance,
        )
        weights = np.ascontiguousarray(self.weights.T)
        model.components_ = weights
        totals = weights.sum(axis=1, keepdims=True)
        model.exp_dirichlet_component_ = np.exp(_psi(weights) - _psi(totals))
        model.doc_topic_prior_, model.topic_word_prior_ = self.priors.alpha, self.priors.eta
        model.n_features_in_, model.n_batch_iter_, model.n_iter_ = weights.shape[1], int(self.info.get("step", 1)), 1
        model.bound_ = float("nan")
        return model


def _psi(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from topicmodels.lda.kernel import digamma

    result = np.empty(values.size)
    digamma(np.ascontiguousarray(values).ravel(), result)
    return result.reshape(values.shape)
