"""Slices for a server: counted one at a time, the last ones kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from serving.slices.count import count_slice
from serving.slices.points import documents_as_of
from serving.slices.slice import Slice, SliceError
from serving.slices.statistics import SliceStatistics
from serving.unreadable import unreadable_explained
from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.table import Documents

KEPT_WORDS = 5_000_000  # some 200 MB


class SliceQueries:
    """Counts slices of a documents table; each may read all of it, so one at a time.

    Args:
        open_documents: Opens the table as it is now.
        cache: Folder of the counts that were made before.
    """

    def __init__(self, open_documents: Callable[[], Documents], cache: Path) -> None:
        self._open = open_documents
        self._cache = cache
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], SliceStatistics] = OrderedDict()

    def statistics(self, wanted: Slice) -> SliceStatistics:
        """Return the statistics of a slice.

        Raises:
            SliceError: There is no such slice, or the table's log does not reach back so far.
            DamagedFileError: A file of the table is missing or damaged.
            DocumentsUnreadableError: The table cannot be read for another reason.
        """
        with self._lock, unreadable_explained():
            newest = self._open()
            try:
                documents = documents_as_of(newest, wanted.as_of)
                key = (f"{documents.table_id}/{documents.version}", str(wanted))
                found = self._kept.pop(key, None) or SliceStatistics(count_slice(newest, wanted, self._cache))
            except DamagedFileError:
                raise
            except DocumentsError as error:
                raise SliceError(str(error)) from error
            self._kept[key] = found
            while len(self._kept) > 1 and sum(each.counted.words.num_rows for each in self._kept.values()) > KEPT_WORDS:
                self._kept.popitem(last=False)
            return found
