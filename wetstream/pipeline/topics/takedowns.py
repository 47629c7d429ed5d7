"""Pages taken down after a model was trained: they are no examples of its topics, and a purge deletes them."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from conf.crash_points import crash_point
from conf.errors import counted
from sinks.documents.hosts import host_of
from sinks.documents.table import Documents
from sinks.documents.takedowns import TakedownMatcher
from topicmodels.errors import TopicError
from topicmodels.model import TopicModel
from topicmodels.store import ModelStore


def without_taken_down(model: TopicModel, documents: Documents) -> TopicModel:
    """Return a model whose example documents are none that a takedown of the table fits."""
    matcher = TakedownMatcher(documents.takedowns())
    if not matcher or not model.documents.num_rows:
        return model
    urls = model.documents["url"].combine_chunks()
    if isinstance(urls, pa.ChunkedArray):
        urls = pa.concat_arrays(urls.chunks)
    hosts = pa.array([None if url is None else host_of(url) for url in urls.to_pylist()], pa.string())
    return replace(model, documents=model.documents.filter(pc.invert(matcher.match(urls, hosts))))


def purge_models(store: ModelStore, documents: Documents) -> tuple[list[str], list[str]]:
    """Delete the rows of pages that were taken down from the example documents of all models, and read those again.

    Returns:
        The names of the models that held some, and where something is left, and why.
    """
    purged, left = [], []
    for name in filter(store.exists, store.names()):
        try:
            with store.training(name):
                model = store.load(name)
                kept = without_taken_down(model, documents).documents
                if kept.num_rows == model.documents.num_rows:
                    continue
                crash_point("before-purge-model")
                store.replace_documents(name, kept)
                purged.append(name)
                again = store.load(name)
                if pages := again.documents.num_rows - without_taken_down(again, documents).documents.num_rows:
                    left.append(f"topic model {name}: {counted(pages, 'page')}; purge again")
        except TopicError as error:
            left.append(f"topic model {name}, which was not searched: {error}")
    return purged, left
