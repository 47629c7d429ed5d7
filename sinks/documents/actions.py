"""Actions of the Delta log that add and remove files."""

from __future__ import annotations

import time
from collections.abc import Sequence

from deltalake.transaction import AddAction, RemoveAction

from sinks.documents.files import DocumentFile


def add_actions(files: Sequence[DocumentFile], *, data_change: bool) -> list[AddAction | RemoveAction]:
    """The actions that add files."""
    now_ms = int(time.time() * 1000)
    return [AddAction(file.path, file.size, {}, now_ms, data_change, file.stats) for file in files]


def remove_actions(paths: Sequence[str], *, data_change: bool) -> list[AddAction | RemoveAction]:
    """The actions that remove files."""
    now_ms = int(time.time() * 1000)
    return [RemoveAction(path, data_change=data_change, deletion_timestamp=now_ms) for path in paths]
