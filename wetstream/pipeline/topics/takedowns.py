"""Pages that were taken down after a model was trained are not shown as examples of its topics."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from sinks.documents.hosts import host_of
from sinks.documents.table import Documents
from sinks.documents.takedowns import TakedownMatcher
from topicmodels.model import TopicModel


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
