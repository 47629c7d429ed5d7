"""Models on disk: Parquet and JSON in a folder of their own, complete at every moment.

`model.json` names the files of the model, and is replaced last, so a reader finds one model or the next. A training
that is under way has its state in `training.parquet`, which is replaced as a whole; a killed one goes on from there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from topicmodels.errors import TopicError
from topicmodels.lda.inference import InferenceOptions
from topicmodels.lda.online import Priors
from topicmodels.model import TopicModel
from topicmodels.vocabulary import TopicVocabulary

FORMAT: Final = 1
MODEL, TRAINING, LOCK = "model.json", "training.parquet", ".lock"
STATE: Final = b"wetstream.pipeline.topics"


@dataclass(frozen=True)
class Checkpoint:
    """A training between two mini-batches: words, weights, and what `described` says of it (JSON)."""

    vocabulary: TopicVocabulary
    weights: NDArray[np.float64]
    described: dict[str, Any]


class ModelStore:
    """The models of a pipeline, a folder each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of all models, also of those whose first training has not ended."""
        if not self.folder.is_dir():
            return []
        files = (MODEL, TRAINING)
        return sorted(path.name for path in self.folder.iterdir() if any((path / file).exists() for file in files))

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        """Hold a model while it is trained.

        Raises:
            TopicError: The name cannot be that of a folder, or somebody else trains it.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise TopicError(f"{name!r} cannot name a model: use letters, digits, dots, dashes and underscores")
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / LOCK, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise TopicError(f"model {name} is being trained by another process: wait for it, or end it") from None
        try:
            yield
        finally:
            lock.release()

    def exists(self, name: str) -> bool:
        """Whether a training of this model has ended."""
        return (self.folder / name / MODEL).exists()

    def info(self, name: str) -> dict[str, Any]:
        """Return what `model.json` holds.

        Raises:
            TopicError: There is no such model, or its file is damaged.
        """
        path = self.folder / name / MODEL
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            known = ", ".join(each for each in self.names() if self.exists(each))
            remedy = f"there are: {known}" if known else "make one with `wetstream topics train`"
            unfinished = " (its training has not ended)" if (path.parent / TRAINING).exists() else ""
            raise TopicError(f"there is no topic model {name}{unfinished}; {remedy}") from None
        except ValueError as error:
            raise TopicError(f"{path} is damaged ({error}): train the model again with --overwrite") from None
        if found.get("format") != FORMAT:
            raise TopicError(f"{path} has format {found.get('format')}, not {FORMAT}: train the model again")
        return found

    def load(self, name: str) -> TopicModel:
        """Load a model.

        Raises:
            TopicError: There is no such model, or a file of it is missing or damaged.
        """
        info = self.info(name)
        place = self.folder / name
        try:
            vocabulary, weights, _ = _read_words(place / info["files"]["words"])
            documents, shares = (pq.read_table(place / info["files"][part]) for part in ("documents", "shares"))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            if self.info(name) != info:
                return self.load(name)  # it was replaced meanwhile
            raise TopicError(f"model {name} in {place} cannot be read ({error}): train it again") from error
        priors, inference = Priors(**info["priors"]), InferenceOptions(**info["inference"])
        return TopicModel(name, vocabulary, weights, priors, inference, info, documents, shares)

    def save(self, model: TopicModel) -> None:
        """Save a model, in place of the one of its name, and end its training."""
        place = self.folder / model.name
        old = self.info(model.name)["files"] if self.exists(model.name) else {}
        number = 1 + max((int(name.rpartition("-")[2].partition(".")[0]) for name in old.values()), default=0)
        files = {part: f"{part}-{number}.parquet" for part in ("words", "documents", "shares")}
        _write(place / files["words"], _words_table(model.vocabulary, model.weights, {}))
        _write(place / files["documents"], model.documents)
        _write(place / files["shares"], model.shares)
        info = {"format": FORMAT, **model.info, "files": files}
        _replace(place / MODEL, json.dumps(info, indent=2, ensure_ascii=False).encode() + b"\n")
        (place / TRAINING).unlink(missing_ok=True)
        for name in old.values():
            (place / name).unlink(missing_ok=True)

    def replace_documents(self, name: str, documents: pa.Table) -> None:
        """Replace the example documents of a model; a training of it that is under way goes on later."""
        place, info = self.folder / name, self.info(name)
        old = info["files"]["documents"]
        number = int(old.rpartition("-")[2].partition(".")[0]) + 1
        info["files"]["documents"] = f"documents-{number}.parquet"
        _write(place / info["files"]["documents"], documents)
        _replace(place / MODEL, json.dumps(info, indent=2, ensure_ascii=False).encode() + b"\n")
        (place / old).unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Delete a model and its checkpoint. Raises TopicError if there is none, or if it is being trained."""
        if name not in self.names():
            raise TopicError(f"there is no topic model {name}: `wetstream topics list` names them")
        with self.training(name):
            shutil.rmtree(self.folder / name)

    def checkpoint(self, name: str) -> Checkpoint | None:
        """Return the training that is under way, if there is one. Raises TopicError if its file is damaged."""
        path = self.folder / name / TRAINING
        try:
            return Checkpoint(*_read_words(path))
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise TopicError(f"{path} is damaged ({error}): delete it, and train again") from error

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of a training."""
        table = _words_table(checkpoint.vocabulary, checkpoint.weights, checkpoint.described)
        _write(self.folder / name / TRAINING, table)

    def discard_checkpoint(self, name: str) -> None:
        """Forget a training that is under way."""
        (self.folder / name / TRAINING).unlink(missing_ok=True)


def _words_table(vocabulary: TopicVocabulary, weights: NDArray[np.float64], described: dict[str, Any]) -> pa.Table:
    column = pa.FixedSizeListArray.from_arrays(pa.array(weights.ravel()), weights.shape[1])
    table = vocabulary.table.select(["word", "tf", "df"]).append_column("weights", column)
    table = table.set_column(0, "word", table["word"].cast(pa.string()))
    return table.replace_schema_metadata({STATE: json.dumps(described).encode()})


def _read_words(path: Path) -> tuple[TopicVocabulary, NDArray[np.float64], dict[str, Any]]:
    if not path.exists():
        raise FileNotFoundError(path)
    table = pq.ParquetFile(path, page_checksum_verification=True).read()
    weights = table["weights"].combine_chunks()
    if isinstance(weights, pa.ChunkedArray):
        weights = pa.concat_arrays(weights.chunks)
    topics = table.schema.field("weights").type.list_size
    values = weights.flatten().to_numpy().reshape(-1, topics).copy()
    words = table.set_column(0, "word", table["word"].cast(pa.binary())).select(["word", "tf", "df"])
    described: dict[str, Any] = json.loads((table.schema.metadata or {}).get(STATE, b"{}"))
    return TopicVocabulary(words.replace_schema_metadata(None)), values, described


def _write(path: Path, table: pa.Table) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, made, compression="zstd", compression_level=1, write_page_checksum=True)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}")
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
