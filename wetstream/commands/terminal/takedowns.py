"""Pages that were taken down, and what a purge has found, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conf.errors import counted
from wetstream.commands.terminal.output import Terminal

if TYPE_CHECKING:
    from wetstream import Purge, TakenDown


def show_taken_down(out: Terminal, taken: TakenDown) -> None:
    """Print what was taken down, and the report of the purge if there was one."""
    for takedown in taken.takedowns:
        out.line(f"kept out from now on: {takedown.kind} {takedown.value}")
    if taken.takedowns:
        out.line(f"{counted(taken.pages, 'page')} taken down from documents and statistics")
    if taken.purge is not None:
        _show_purge(out, taken.purge)


def _show_purge(out: Terminal, purge: Purge) -> None:
    for path in purge.files_deleted:
        out.line(f"deleted {path}")
    for partition, offset in purge.deleted_before.items():
        out.line(f"deleted the messages of partition {partition} before offset {offset:,}")
    for name in purge.models:
        out.line(f"deleted the pages from the examples of topic model {name}; its weights have learnt from them")
    for generation, (first, last) in purge.versions.items():
        out.line(f"searched generation {generation}, versions {first:,} to {last:,}")
    out.line(f"searched {counted(purge.files, 'file')} and {counted(purge.messages, 'message')}")
    for partition, (first, end) in purge.offsets.items():
        out.line(f"searched partition {partition}, offsets {first:,} to {end:,}")
    for where in purge.left:
        out.line(f"left in {where}", "red")
    if purge.complete:
        out.line("nothing is left")
