"""Actions of the Delta log that add and remove files, and what a commit says of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deltalake import CommitProperties, Transaction
from deltalake.transaction import AddAction, RemoveAction

from sinks.documents.files import DocumentFile

SOURCES = "wetstream.sources"  # JSON: the sources of whose records a commit adds or removes some
SOURCES_OMITTED = "wetstream.sources_omitted"
MAX_SOURCES = 1_000

Actions = list[AddAction | RemoveAction]


def add_actions(files: Sequence[DocumentFile], *, data_change: bool) -> Actions:
    """The actions that add files."""
    now_ms = int(time.time() * 1000)
    return [AddAction(file.path, file.size, {}, now_ms, data_change, file.stats) for file in files]


def remove_actions(paths: Sequence[str], *, data_change: bool) -> Actions:
    """The actions that remove files."""
    now_ms = int(time.time() * 1000)
    return [RemoveAction(path, data_change=data_change, deletion_timestamp=now_ms) for path in paths]


def commit_properties(transactions: list[Transaction], sources: Iterable[str]) -> CommitProperties:
    """What a commit carries besides its files: app transactions, and the names of at most MAX_SOURCES sources."""
    names = sorted(set(sources))
    said = {SOURCES: json.dumps(names[:MAX_SOURCES], ensure_ascii=False)} if names else {}
    if len(names) > MAX_SOURCES:
        said[SOURCES_OMITTED] = str(len(names) - MAX_SOURCES)
    return CommitProperties(app_transactions=transactions, custom_metadata=said)


def described(commit: Mapping[str, Any]) -> dict[str, Any]:
    """A commit as Delta describes it, with `sources` as a list of names and `sources_omitted` as a number."""
    found = dict(commit)
    sources, omitted = found.pop(SOURCES, "[]"), found.pop(SOURCES_OMITTED, 0)
    return {**found, "sources": json.loads(sources), "sources_omitted": int(omitted)}
