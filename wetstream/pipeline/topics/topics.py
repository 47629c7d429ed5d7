"""The topic models of a pipeline, for notebooks, programs and the command line alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from conf.errors import NotFoundError
from conf.settings import Settings
from wetstream.pipeline.events import OnEvent
from wetstream.tables.slices import identity_of

# Whatever takes time to import is imported where it is used.
if TYPE_CHECKING:
    import pyarrow as pa

    from sinks.documents.table import Documents
    from topicmodels.model import TopicModel
    from topicmodels.store import ModelStore

Group = Literal["source", "segment", "crawl", "language", "day"]


@dataclass(frozen=True, slots=True)
class PageTopics:
    """The topics of one page.

    Attributes:
        page: Its URL, its place in a file, or `text`.
        tokens: Its tokens that are words of the model; with none, all topics have the same share.
        topics: Number and share of each topic of at least `min_share`, largest first.
    """

    page: str
    tokens: int
    topics: list[tuple[int, float]]


class Topics:
    """Topic models of a pipeline's documents: latent Dirichlet allocation by online variational Bayes.

    Models are below `home`/topics, as Parquet and JSON. Training reads the documents table alone.
    """

    def __init__(self, settings: Settings, open_documents: Callable[[], Documents], on_event: OnEvent) -> None:
        self._settings = settings
        self._open_documents = open_documents
        self._on_event = on_event

    @property
    def _store(self) -> ModelStore:
        from topicmodels.store import ModelStore

        return ModelStore(self._settings.topic_models_path)

    def train(
        self,
        name: str = "main",
        *,
        topics: int = 100,
        passes: int = 5,
        min_df: int = 5,
        max_df: float | None = 0.5,
        vocabulary_size: int = 100_000,
        batch_size: int | None = None,
        seed: int = 1,
        alpha: float | None = None,
        eta: float | None = None,
        as_of: str | int | None = None,
        sources: Sequence[str] = (),
        languages: Sequence[str] = (),
        tlds: Sequence[str] = (),
        hosts: Sequence[str] = (),
        days: str | None = None,
        once: str | None = None,
        overwrite: bool = False,
    ) -> TopicModel:
        """Train a model. Interrupted or killed, the same call goes on, and gives the same model bit by bit.

        Args:
            name: Name of the model.
            topics: Number of topics.
            passes: How often to go through the documents.
            min_df: Only words in at least this many of the documents.
            max_df: Only words in less than this share of the documents; None: no upper bound.
            vocabulary_size: At most so many words, those in most documents.
            batch_size: Documents in a mini-batch; None: a twentieth of all, 64 at least and 1,024 at most.
            seed: Of the random weights that training begins with.
            alpha: Dirichlet prior of a document's topics; None: 1 / topics.
            eta: Dirichlet prior of a topic's words; None: 1 / topics.
            as_of: Version of the documents, see `Pipeline.slice`.
            sources: Only these sources, segments or crawls.
            languages: Only pages in these languages.
            tlds: Only pages of these top-level domains.
            hosts: Only pages of these hosts.
            days: Only pages of these days of crawling.
            once: Pages that come again only once, see `Pipeline.slice`.
            overwrite: Replace a model of this name, and forget a training of it with other options.

        Raises:
            TopicError: There is such a model already, it is being trained, or an option cannot be.
            SliceError: There is no such slice.
            DocumentsError: There are no documents yet.
        """
        from serving.slices.slice import Slice
        from topicmodels.vocabulary import WordRules
        from wetstream.pipeline.topics.options import TrainingOptions
        from wetstream.pipeline.topics.training import Trainer

        chosen = Slice.make(as_of, sources=sources, languages=languages, tlds=tlds, hosts=hosts, days=days, once=once)
        chosen, words = chosen.with_identities(identity_of), WordRules(min_df, max_df, vocabulary_size)
        options = TrainingOptions(topics, passes, batch_size, seed, words, alpha, eta, slice=chosen)
        documents = self._open_documents()
        with self._store.training(name):
            return Trainer(self._store, name, documents, self._on_event).train(options, overwrite=overwrite)

    def update(self, name: str = "main", *, passes: int = 1) -> TopicModel:
        """Train a model with the documents that came since it was trained. Interrupted, the same call goes on.

        Each new document counts once a pass. Words that are new enter with the prior's weight, by the model's own
        thresholds on the new documents. Documents of sources that were removed since stay in the weights, and are
        named in `info["removed_sources"]`.

        Raises:
            TopicError: There is no such model, it is being trained, or a replay has replaced its documents.
        """
        from wetstream.pipeline.topics.training import Trainer

        documents = self._open_documents()
        self._store.info(name)
        with self._store.training(name):
            return Trainer(self._store, name, documents, self._on_event).update(passes)

    def models(self) -> list[dict[str, Any]]:
        """Return name, topics, words, documents and state (`ready`, `unfinished`) of each model, by name."""
        rows = []
        for name in self._store.names():
            if self._store.exists(name):
                info = self._store.info(name)
                numbers = {each: info[each] for each in ("topics", "words", "documents", "table_version")}
                rows.append({"name": name, "state": "ready", **numbers, "trained": info["lineage"][-1]["time"]})
            else:
                rows.append({"name": name, "state": "unfinished"})
        return rows

    def open(self, name: str = "main") -> TopicModel:
        """Load a model; pages that were taken down since are not among its documents. Raises TopicError."""
        from wetstream.pipeline.topics.takedowns import without_taken_down

        return without_taken_down(self._store.load(name), self._open_documents())

    def drop(self, name: str) -> None:
        """Delete a model, or a training that has not ended. Raises TopicError."""
        self._store.drop(name)

    def assign(self, *targets: str | Path, name: str = "main", min_share: float = 0.05) -> list[PageTopics]:
        """Infer the topics of pages.

        Args:
            *targets: A URL of the documents; a WET file or a text file; or text itself.
            name: The model.
            min_share: Topics below this share are left out.

        Raises:
            TopicError: There is no such model.
            NotFoundError: There is no such page.
        """
        model = self.open(name)
        pages = [page for target in targets for page in self._bags(target)]
        known = set(model.words)
        found = model.infer([bag for _, bag in pages])
        assigned = []
        for (page, bag), shares in zip(pages, found, strict=True):
            order = [int(topic) for topic in (-shares).argsort(kind="stable") if shares[topic] >= min_share]
            tokens = sum(count for word, count in bag.items() if word in known)
            assigned.append(PageTopics(page, tokens, [(topic, float(shares[topic])) for topic in order]))
        return assigned

    def shares(self, by: Group, name: str = "main") -> pa.Table:
        """Return how many tokens each topic has in the parts of a model's documents.

        Args:
            by: What the parts are.
            name: The model.

        Returns:
            Columns `value` (the part), `topic`, `tokens` (expected) and `share` (of the part's tokens).
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        shares = self.open(name).shares
        wanted = "source" if by in ("segment", "crawl") else by
        rows = shares.filter(pc.equal(shares["by"], wanted))
        values = rows["value"].to_pylist()
        if wanted != by:
            values = [_part_of(source, by) for source in values]
        table = pa.table({"value": pa.array(values, pa.string()), "topic": rows["topic"], "tokens": rows["tokens"]})
        added = table.group_by(["value", "topic"], use_threads=False).aggregate([("tokens", "sum")])
        added = added.rename_columns(["value", "topic", "tokens"]).sort_by(
            [("value", "ascending"), ("topic", "ascending")]
        )
        tokens = added["tokens"].to_numpy()
        _, place = np.unique(added["value"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
        whole = np.bincount(place, weights=tokens)[place] if len(tokens) else tokens
        return added.append_column("share", pa.array(tokens / whole))

    def _bags(self, target: str | Path) -> Sequence[tuple[str, dict[str, int]]]:
        from streaming.text.explain import explain
        from wetstream.pipeline.lookup import pages_of
        from wetstream.pipeline.profile import pipeline_profile

        text = str(target)
        profile = pipeline_profile(self._settings)
        if os.path.isfile(text):  # noqa: PTH113 - unlike Path.is_file, for any text
            pages = islice(pages_of(Path(text)), MOST_PAGES)
            return [
                (page.url or page.name, explain(page.payload, page.language_header, profile, 0).bag) for page in pages
            ]
        if "://" in text and not any(each.isspace() for each in text):
            return [(text, self._bag_of_url(text))]
        return [("text", explain(text.encode("utf-8", "replace"), None, profile, 0).bag)]

    def _bag_of_url(self, url: str) -> dict[str, int]:
        documents = self._open_documents()
        files = documents.parquet_files()
        rows: list[tuple[list[str], list[int]]] = []
        if files:
            query = "select words, counts from read_parquet(?) where url = ? and reason is null order by date limit 1"
            with documents.naming_damage(), files.connect() as connection:
                rows = connection.execute(query, [files.uris, url]).fetchall()
        if not rows:
            raise NotFoundError(f"no kept document of pipeline {self._settings.pipeline} has the URL {url}")
        return dict(zip(*rows[0], strict=True))


MOST_PAGES = 1_000
"""Pages of a file that are looked at."""


def _part_of(source: str, by: str) -> str:
    from producers.sources.identity import crawl_and_segment

    crawl, segment = crawl_and_segment(source)
    return (segment if by == "segment" else crawl) or source
