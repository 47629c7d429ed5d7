"""Exports the live documents, with languages and sources as people name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conf.languages import three_letters
from conf.settings import Settings
from conf.stop_words import read_stop_words
from producers.sources.identity import source_id
from producers.sources.urls import is_url
from serving.export.export import ExportOptions, export
from serving.view import View
from wetstream.pipeline.writer_lease import live_documents


def export_live(
    settings: Settings,
    form: str,
    target: Path,
    view: View,
    *,
    stop_words: Path | None = None,
    languages: Sequence[str] = (),
    sources: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Export the live documents; return what `meta.json` holds. Needs neither Kafka nor Redis."""
    choice = ExportOptions(
        view,
        frozenset() if stop_words is None else read_stop_words(stop_words),
        tuple(dict.fromkeys(three_letters(code) for code in languages)),
        tuple(dict.fromkeys(_identity(source) for source in sources)),
    )
    return export(form, target, live_documents(settings), choice, overwrite=overwrite)


def _identity(source: str) -> str:
    """Return the identity of a file or URL; any other name is an identity, or a part of one, already."""
    return source_id(source) if is_url(source) or Path(source).exists() else source
