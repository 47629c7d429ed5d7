"""Corpora with known topics, and documents tables that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from conf.profiles import load_profile
from conf.settings import load_settings
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generations
from sinks.documents.hosts import host_of
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from tests.sinks.batches import row
from topicmodels.lda.kernel import Bags
from wetstream import read_wet_batches


class Generated(NamedTuple):
    """Documents drawn from latent Dirichlet allocation, and the topics that they were drawn from."""

    bags: Bags
    topics: NDArray[np.float64]  # [words, topics]

    def matrix(self) -> Any:
        return csr_matrix(
            (self.bags.counts.astype(np.float64), self.bags.words, self.bags.starts),
            shape=(len(self.bags.starts) - 1, len(self.topics)),
        )

    def dicts(self) -> list[dict[str, int]]:
        """The bags as the documents table has them; word 7 is `w00007`."""
        starts, words, counts = self.bags
        return [
            {f"w{word:05}": int(n) for word, n in zip(words[low:high], counts[low:high], strict=True)}
            for low, high in pairwise(starts)
        ]


def generate(
    documents: int, topics: int, words: int, *, length: int = 120, seed: int = 0, eta: float = 0.05
) -> Generated:
    """Draw a corpus: topics from Dirichlet(eta), documents' topics from Dirichlet(0.1), lengths from Poisson."""
    rng = np.random.default_rng(seed)
    beta = rng.dirichlet(np.full(words, eta), topics)
    starts, ids, counts = [0], [], []
    for theta in rng.dirichlet(np.full(topics, 0.1), documents):
        drawn = rng.multinomial(max(1, rng.poisson(length)), theta @ beta)
        held = np.flatnonzero(drawn)
        ids.append(held)
        counts.append(drawn[held])
        starts.append(starts[-1] + len(held))
    bags = Bags(
        np.array(starts, np.int64), np.concatenate(ids).astype(np.int32), np.concatenate(counts).astype(np.int32)
    )
    return Generated(bags, beta.T)


def matched_cosine(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of the true topics with the found ones that are matched to them, one to one; both [words, topics]."""
    cosines = (found / np.linalg.norm(found, axis=0)).T @ (true / np.linalg.norm(true, axis=0))
    rows, columns = linear_sum_assignment(-cosines)
    return np.asarray(cosines[rows, columns])


class Table:
    """A documents table in a folder, written as the sink writes it, of one topic partition."""

    def __init__(self, folder: Path, properties: Mapping[str, str] | None = None) -> None:
        told = {"pipeline": "t", "generation": "g1", "profile": "p"} | dict(properties or {})
        self.documents = Documents.create(Folder(folder / "table"), told)
        self.documents.bind_topic("t-wet", "topic", 1)
        self.at = 0

    def add(self, bags: Sequence[Mapping[str, int]], *, source: str = "a", language: str | None = None) -> None:
        """Commit a micro-batch."""
        rows = [
            {**row(self.at + number, bag, source=source), "language": language, "record_offset": self.at + number}
            for number, bag in enumerate(bags)
        ]
        self.add_rows(rows)

    def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        file = write_document_file(
            self.documents.location, pa.Table.from_pylist(list(rows), schema=DOCUMENTS), compression_level=1
        )
        self.at += len(rows)
        self.documents.commit([file], {"topic/0": self.at})

    def open(self) -> Documents:
        return Documents.open(self.documents.location)


class StoredPipeline(Table):
    """The documents of a pipeline in a state directory, as a stream leaves them, without the stream."""

    def __init__(self, home: Path, profile: str = "english", pipeline: str = "main") -> None:
        self.settings = load_settings(flags={"home": str(home), "pipeline": pipeline}, environ={})
        self.documents = Generations.of(self.settings).open_or_create(load_profile(profile).rules).documents
        self.documents.bind_topic(f"{pipeline}-wet", "topic", 1)
        self.at = 0

    def add_pages(self, *files: Path, profile: str = "english") -> None:
        """Commit the pages of WET files, a micro-batch a file."""
        for file in files:
            pages = pa.Table.from_batches(read_wet_batches(file, profile=profile)).to_pylist()
            for number, page in enumerate(pages, self.at):
                page |= {"topic_partition": 0, "topic_offset": number, "host": host_of(page["url"]), "records": 1}
            self.add_rows([{name: page.get(name) for name in DOCUMENTS.names} for page in pages])
