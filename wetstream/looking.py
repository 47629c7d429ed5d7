"""What a person means by a page: a URL that was streamed, or a file."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from conf.settings import Settings
from wetstream.connect import find_servers
from wetstream.lookup import NotFoundError, Page, message_at, pages_of, read_page, rows_of_url
from wetstream.writer_lease import live_documents


def find_page(settings: Settings, target: str, record: int) -> Page:
    """The page behind a URL of the pipeline's documents, or page number `record` (from 1) of a file.

    Raises NotFoundError.
    """
    path = Path(target)
    if path.is_file():
        page = next(islice(pages_of(path), record - 1, None), None)
        if page is None:
            raise NotFoundError(f"{target} has fewer than {record:,} pages")
        return page
    if "://" not in target:
        raise NotFoundError(f"{target} is neither a file nor a URL (http://…)")
    rows = [row for row in rows_of_url(live_documents(settings), target) if row["topic_offset"] is not None]
    if not rows:
        raise NotFoundError(
            f"no document of pipeline {settings.pipeline} has the URL {target} (it must be exactly equal)"
        )
    row = rows[-1]
    key, value = message_at(
        settings, find_servers(settings).bootstrap_servers, row["topic_partition"], row["topic_offset"]
    )
    return read_page(key, value)


def parse_position(text: str) -> tuple[int, int]:
    """Partition and offset of `3:4711`. Raises NotFoundError for anything else."""
    match = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text)
    if match is None:
        raise NotFoundError(f"{text} is no position: write PARTITION:OFFSET, as in 3:4711 (`wetstream segments`)")
    return int(match[1]), int(match[2])
