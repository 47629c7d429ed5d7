"""What to train a topic model with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from serving.slices.slice import Slice
from topicmodels.errors import TopicError
from topicmodels.lda.online import LearningRate, Priors
from topicmodels.vocabulary import WordRules

BATCHES_A_PASS = 20
SMALLEST_BATCH, LARGEST_BATCH = 64, 1024
MOST_TOPICS = 10_000


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What decides a model, beside the documents.

    Attributes:
        topics: Number of topics.
        passes: How often to go through the documents.
        batch_size: Documents in a mini-batch; None: a twentieth of the documents, 64 at least and 1,024 at most.
        seed: Of the first, random weights.
        words: Which words the model has.
        alpha: Prior of a document's topics; None: 1 / topics.
        eta: Prior of a topic's words; None: 1 / topics.
        rate: The learning rate.
        slice: Which documents, at which version.
    """

    topics: int = 100
    passes: int = 5
    batch_size: int | None = None
    seed: int = 1
    words: WordRules = field(default_factory=WordRules)
    alpha: float | None = None
    eta: float | None = None
    rate: LearningRate = field(default_factory=LearningRate)
    slice: Slice = field(default_factory=Slice)

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float | None, float, float]] = {
            "topics": (self.topics, 2, MOST_TOPICS),
            "passes": (self.passes, 1, 1e6),
            "batch_size": (self.batch_size, 1, 1e9),
            "min_df": (self.words.min_df, 1, 2**53),
            "max_df": (self.words.max_df, 0, 1),
            "vocabulary_size": (self.words.size, 1, 1e9),
            "seed": (self.seed, 0, 2**63),
        }
        for name, (value, least, most) in ranges.items():
            if value is not None and not least <= value <= most:
                raise TopicError(f"{name} = {value} is not between {least:g} and {most:g}")
        for name, prior in (("alpha", self.alpha), ("eta", self.eta)):
            if prior is not None and not 1e-6 <= prior <= 1e6:
                raise TopicError(f"{name} = {prior} is not between 0.000001 and 1,000,000")

    @property
    def priors(self) -> Priors:
        """Both priors."""
        default = 1 / self.topics
        return Priors(default if self.alpha is None else self.alpha, default if self.eta is None else self.eta)

    def batch_of(self, documents: int) -> int:
        """Documents in a mini-batch of so many in all."""
        if self.batch_size is not None:
            return self.batch_size
        return min(LARGEST_BATCH, max(SMALLEST_BATCH, documents // BATCHES_A_PASS))

    def to_json(self) -> dict[str, Any]:
        """Return the options as `model.json` has them; the slice as text."""
        return {**asdict(self), "slice": str(self.slice)}
