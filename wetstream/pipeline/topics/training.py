"""Trains and updates a pipeline's topic models: from the documents table to a saved model, whatever is killed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from serving.slices.points import documents_as_of
from serving.slices.rows import kept_by_source, kept_rows
from serving.slices.slice import NOW, Slice
from sinks.documents.log import REMOVALS
from sinks.documents.table import Documents
from topicmodels.corpus import Corpus, Cursor
from topicmodels.errors import TopicError
from topicmodels.lda.inference import InferenceOptions, LocalInference
from topicmodels.lda.online import LearningRate, OnlineLda, Priors
from topicmodels.model import TopicModel
from topicmodels.store import Checkpoint, ModelStore
from topicmodels.survey import Survey, best_of, sum_shares, survey
from topicmodels.training import Progress, train
from topicmodels.vocabulary import TopicVocabulary, WordRules
from wetstream.pipeline.events import OnEvent, Status, TopicProgress
from wetstream.pipeline.topics.options import TrainingOptions
from wetstream.pipeline.topics.takedowns import without_taken_down

CHECKPOINT_S = 20.0
"""Seconds of work that a kill may cost; the model is the same in any case."""


@dataclass
class Task:
    """A training or an update under way.

    Attributes:
        plan: What decides the result, as JSON: the action, its options, and the version of the documents.
        lda: The state.
        vocabulary: The words of the weights.
        progress: How far it is.
        documents: Documents that it goes through, also those without a word of the vocabulary.
        earlier: Documents of earlier trainings.
        new_words: Words that the vocabulary has grown by.
    """

    plan: dict[str, Any]
    lda: OnlineLda
    vocabulary: TopicVocabulary
    progress: Progress
    documents: int
    earlier: int = 0
    new_words: int = 0

    def described(self) -> dict[str, Any]:
        """Return what a checkpoint says beside the weights."""
        lda = self.lda
        return {
            "plan": self.plan,
            "priors": asdict(lda.priors),
            "rate": asdict(lda.rate),
            "inference": asdict(lda.inference),
            "step": lda.step,
            "progress": asdict(self.progress) | {"cursor": list(self.progress.cursor)},
            "documents": self.documents,
            "earlier": self.earlier,
            "new_words": self.new_words,
        }

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Task:
        """Go on from a checkpoint."""
        told = checkpoint.described
        lda = OnlineLda(
            checkpoint.weights,
            Priors(**told["priors"]),
            LearningRate(**told["rate"]),
            InferenceOptions(**told["inference"]),
            told["step"],
        )
        progress = Progress(**{**told["progress"], "cursor": Cursor(*told["progress"]["cursor"])})
        return cls(
            told["plan"],
            lda,
            checkpoint.vocabulary,
            progress,
            told["documents"],
            told["earlier"],
            told["new_words"],
        )


class Trainer:
    """Trains one model; holds its lock from `training` of the store.

    Args:
        store: Where models are.
        name: The model.
        newest: The documents table as it is now.
        on_event: Gets the progress.
    """

    def __init__(self, store: ModelStore, name: str, newest: Documents, on_event: OnEvent) -> None:
        self._store = store
        self._name = name
        self._newest = newest
        self._on_event = on_event
        self._began = time.monotonic()

    def train(self, options: TrainingOptions, *, overwrite: bool) -> TopicModel:
        """Train from scratch, or go on with the same training."""
        wanted = {"action": "train", "options": options.to_json()}
        kept = self._kept(wanted)
        if kept is None:
            if self._store.exists(self._name) and not overwrite:
                raise TopicError(
                    f"there is a model {self._name} already: `topics update` trains it with what is new, --overwrite "
                    "replaces it, --name makes another one"
                )
            if self._store.checkpoint(self._name) is not None and not overwrite:
                raise TopicError(
                    f"a training of model {self._name} with other options has not ended: repeat its options to go on, "
                    "or begin anew with --overwrite"
                )
            self._store.discard_checkpoint(self._name)
        documents = self._at(kept, options.slice.as_of)
        corpus = Corpus(documents, self._selection(documents, options.slice, "true"))
        if kept is None:
            self._on_event(Status("counting words"))
            counts = corpus.count()
            vocabulary = TopicVocabulary(counts.chosen(options.words))
            if not len(vocabulary):
                raise TopicError(
                    f"no word of the {counts.documents:,} documents is in as many as the options ask for: lower "
                    "--min-df, or choose more documents"
                )
            lda = OnlineLda.start(len(vocabulary), options.topics, options.priors, options.seed, options.rate)
            plan = wanted | _version(documents) | {"too_frequent": counts.too_frequent(options.words)}
            kept = Task(plan, lda, vocabulary, Progress(), counts.documents)
        found = self._run(kept, corpus, options.passes, options.batch_of(kept.documents))
        return self._save(kept, documents, found, {"lineage": [], "sources": {}}, "true", options)

    def update(self, passes: int) -> TopicModel:
        """Train a model with the documents that came since, or go on with doing so."""
        model = without_taken_down(self._store.load(self._name), self._newest)
        info = model.info
        options = options_of(info)
        wanted = {"action": "update", "options": {"passes": passes}, "base": info["table_version"]}
        kept = self._kept(wanted)
        if kept is None and self._store.checkpoint(self._name) is not None:
            raise TopicError(
                f"another training of model {self._name} has not ended: repeat it with its options, or drop it with "
                f"`wetstream topics train --name {self._name} --overwrite`"
            )
        documents = self._at(kept, NOW)
        if info["table_id"] != documents.table_id:
            raise TopicError(
                f"model {self._name} is of generation {info['generation']} of the documents, and another one is live: "
                "train it again with --overwrite"
            )
        condition = _since(info)
        corpus = Corpus(documents, self._selection(documents, options.slice, condition))
        if kept is None:
            self._on_event(Status("counting words"))
            counts = corpus.count()
            vocabulary = model.vocabulary.updated(counts, options.words, info["too_frequent"])
            lda = OnlineLda(model.weights.copy(), model.priors, options.rate, model.inference, info["step"])
            fresh = len(vocabulary) - len(model.vocabulary)
            lda.grow(fresh)
            frequent = set(counts.too_frequent(options.words)) - set(vocabulary.words)
            plan = wanted | _version(documents) | {"too_frequent": sorted(frequent.union(info["too_frequent"]))}
            kept = Task(plan, lda, vocabulary, Progress(), counts.documents, info["documents"], fresh)
        found = self._run(kept, corpus, passes, options.batch_of(kept.documents))
        merged = replace(
            found,
            tokens=found.tokens + np.array(info["tokens"]),
            shares=sum_shares(model.shares, found.shares),
            documents=best_of(model.documents, found.documents),
        )
        if not kept.documents:
            merged = replace(merged, coherence=np.array(info["coherence"]), bound_per_word=info["bound_per_word"])
        return self._save(kept, documents, merged, info, condition, options)

    def _kept(self, wanted: dict[str, Any]) -> Task | None:
        """The task of the checkpoint, if it is the one wanted."""
        checkpoint = self._store.checkpoint(self._name)
        if checkpoint is None:
            return None
        plan = checkpoint.described["plan"]
        if {name: plan.get(name) for name in wanted} != _as_json(wanted):
            return None
        task = Task.of(checkpoint)
        self._on_event(Status(f"going on after pass {task.progress.passed}, document {task.progress.documents:,}"))
        return task

    def _at(self, kept: Task | None, as_of: str) -> Documents:
        if kept is None:
            return documents_as_of(self._newest, as_of)
        version, table = kept.plan["version"], kept.plan["table_id"]
        if table != self._newest.table_id:
            raise TopicError(
                f"the training of model {self._name} began with documents that a replay has replaced: begin anew with "
                "--overwrite, and another seed or option"
            )
        return self._newest if version == self._newest.version else self._newest.at(version)

    def _selection(self, documents: Documents, wanted: Slice, condition: str) -> Any:
        """The rows of a slice; None for all kept documents."""
        if replace(wanted, as_of=NOW) == Slice() and condition == "true":
            return None
        return kept_rows(documents, wanted, condition)

    def _run(self, task: Task, corpus: Corpus, passes: int, batch_size: int) -> Survey:
        saved = time.monotonic()

        def after_batch(progress: Progress) -> None:
            nonlocal saved
            task.progress = progress
            if progress.tokens:
                self._report(task, passes, progress.documents, progress.bound_per_word)
            if time.monotonic() - saved >= CHECKPOINT_S:
                self._checkpoint(task)
                saved = time.monotonic()

        def surveyed(documents: int) -> None:
            self._on_event(TopicProgress("survey", passes, passes, documents, task.documents))

        workers = LocalInference(len(os.sched_getaffinity(0)))
        try:
            done = task.progress.passed == passes
            total = task.earlier + task.documents
            task.progress = train(
                task.lda,
                corpus,
                task.vocabulary,
                workers,
                passes=passes,
                batch_size=batch_size,
                corpus_documents=total,
                progress=task.progress,
                after_batch=after_batch,
            )
            if not done and time.monotonic() - self._began > CHECKPOINT_S:
                self._checkpoint(task)
            return survey(task.lda, corpus, task.vocabulary, workers, surveyed)
        finally:
            workers.close()

    def _report(self, task: Task, passes: int, documents: int, bound: float) -> None:
        self._on_event(TopicProgress("train", task.progress.passed + 1, passes, documents, task.documents, bound))

    def _checkpoint(self, task: Task) -> None:
        self._store.save_checkpoint(self._name, Checkpoint(task.vocabulary, task.lda.weights, task.described()))

    def _save(
        self,
        task: Task,
        documents: Documents,
        found: Survey,
        before: dict[str, Any],
        condition: str,
        options: TrainingOptions,
    ) -> TopicModel:
        added = kept_by_source(documents, options.slice, condition)
        sources: dict[str, int] = dict(before["sources"])
        for source, kept in added.items():
            sources[source] = sources.get(source, 0) + kept
        present = kept_by_source(documents, options.slice)
        removed = sorted(source for source in sources if source not in present)
        version = _version(documents)
        entry = {
            "action": task.plan["action"],
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "table_version": version["version"],
            "passes": task.progress.passed,
            "documents": task.documents,
            "words_added": task.new_words or len(task.vocabulary) * (not task.earlier),
            "sources": len(added),
            "bound_per_word": task.progress.bound_per_word,
            "removed_sources": removed,
        }
        info = {
            "pipeline": documents.properties.get("pipeline"),
            "generation": documents.properties.get("generation"),
            "profile": documents.properties.get("profile"),
            "rules_hash": documents.properties.get("rules_hash"),
            "topics": task.lda.topics,
            "words": len(task.vocabulary),
            "documents": task.earlier + task.documents,
            "options": options.to_json(),
            "priors": asdict(task.lda.priors),
            "inference": asdict(task.lda.inference),
            "step": task.lda.step,
            "table_id": version["table_id"],
            "table_version": version["version"],
            "position": documents.position(),
            "removals": documents.position().get(REMOVALS, 0),
            "sources_from_files": documents.sources_from_files(),
            "too_frequent": task.plan["too_frequent"],
            "bound_per_word": found.bound_per_word,
            "coherence": found.coherence.tolist(),
            "tokens": found.tokens.tolist(),
            "removed_sources": removed,
            "lineage": [*before["lineage"], entry],
            "sources": sources,
        }
        lda = task.lda
        model = TopicModel(
            self._name, task.vocabulary, lda.weights, lda.priors, lda.inference, info, found.documents, found.shares
        )
        self._store.save(model)
        return model


def options_of(info: dict[str, Any]) -> TrainingOptions:
    """The options of a model, from its `model.json`."""
    told = dict(info["options"])
    told["words"] = WordRules(**told["words"])
    told["rate"] = LearningRate(**told["rate"])
    told["slice"] = replace(Slice.parse(told["slice"]), as_of=NOW)
    return TrainingOptions(**told)


def _version(documents: Documents) -> dict[str, Any]:
    return {"table_id": documents.table_id, "version": documents.version}


def _since(info: dict[str, Any]) -> str:
    """The condition, in DuckDB's SQL, for documents that came after a model's position."""
    ends = {
        int(partition): int(end)
        for name, end in info["position"].items()
        for _, slash, partition in [name.rpartition("/")]
        if slash and partition.isdigit()
    }
    cases = " ".join(f"when {partition} then {end}" for partition, end in sorted(ends.items()))
    first = f"case topic_partition {cases} else 0 end" if cases else "0"
    known = ", ".join("'" + source.replace("'", "''") + "'" for source in info["sources_from_files"])
    files = f"and source not in ({known})" if known else ""
    return f"(topic_partition is not null and topic_offset >= {first}) or (topic_partition is null {files})"


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found
