"""Passes over a corpus in mini-batches, from any place between two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from topicmodels.corpus import START, Corpus, Cursor
from topicmodels.lda.inference import LocalInference
from topicmodels.lda.online import OnlineLda
from topicmodels.vocabulary import TopicVocabulary


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is, between two mini-batches.

    Attributes:
        passed: Passes that are complete.
        cursor: Place in the pass that is under way.
        documents: Documents of this pass so far, which have words of the vocabulary.
        tokens: Their tokens in the vocabulary.
        bound: Their part of the evidence lower bound.
    """

    passed: int = 0
    cursor: Cursor = START
    documents: int = 0
    tokens: int = 0
    bound: float = 0.0

    @property
    def bound_per_word(self) -> float:
        """Lower bound of the log-likelihood of a token (natural logarithm), given the topics; 0 without tokens."""
        return self.bound / self.tokens if self.tokens else 0.0


def train(
    lda: OnlineLda,
    corpus: Corpus,
    vocabulary: TopicVocabulary,
    workers: LocalInference,
    *,
    passes: int,
    batch_size: int,
    corpus_documents: int,
    progress: Progress,
    after_batch: Callable[[Progress], None],
) -> Progress:
    """Go through the corpus, and return the progress of the last pass.

    Where it is continued from a progress that `after_batch` got, with the weights of that moment, the weights at the
    end are the same, bit by bit.

    Args:
        lda: Its weights are moved.
        corpus: The documents.
        vocabulary: Their words, in the order of the weights.
        workers: Who infers.
        passes: How often to go through the corpus.
        batch_size: Documents in a mini-batch.
        corpus_documents: Documents that the weights stand for.
        progress: Where to begin.
        after_batch: Called after each mini-batch.
    """
    while progress.passed < passes:
        for bags, cursor in corpus.batches(vocabulary, batch_size, progress.cursor):
            done = lda.learn(bags, corpus_documents, workers)
            progress = replace(
                progress,
                cursor=cursor,
                documents=progress.documents + done.documents,
                tokens=progress.tokens + done.tokens,
                bound=progress.bound + done.bound,
            )
            after_batch(progress)
        if progress.passed + 1 == passes:
            return replace(progress, passed=passes)
        progress = Progress(progress.passed + 1)
        after_batch(progress)
    return progress
