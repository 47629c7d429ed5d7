"""A folder that is there as a whole or not at all.

It is made beside its place and renamed at the end, so whatever is killed before leaves nothing at its place. What a
killed one left beside it is removed by the next one; a lock tells it from one that is still at work.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conf.crash_points import crash_point
from conf.errors import ExplainedError


class FolderError(ExplainedError):
    """The folder cannot be made; the message says why and what helps."""


@contextmanager
def new_folder(target: Path, own: Collection[str], *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to write to, which becomes `target` when the block ends without an error.

    A `target` that holds something is refused, but with `overwrite` one that holds nothing but files named in `own`
    is replaced. Raises FolderError, also for an OSError in the block (a full disk).
    """
    target = target.expanduser().absolute()
    _check(target, own, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clean(target)
        folder = target.with_name(f".{target.name}.partial-{uuid.uuid4().hex}")
        folder.mkdir()
        lock = _lock(folder)
        try:
            yield folder
            _sync(folder)
            _check(target, own, overwrite=overwrite)
            crash_point("before-export-rename")
            _put(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise FolderError(f"{target} cannot be written: {error.strerror or error}{_named(error)}") from error


def _check(target: Path, own: Collection[str], *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise FolderError(f"{target} is a file: name a folder that is not there yet")
    held = sorted(path.name for path in target.iterdir())
    foreign = [name for name in held if name not in own]
    if held and not overwrite:
        raise FolderError(f"{target} holds {held[0]} already: name another folder, or replace it with --overwrite")
    if foreign:
        raise FolderError(f"{target} holds {foreign[0]}, which was not written by this command: name another folder")


def _put(folder: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.replaced")
    if target.exists():
        target.rename(old)
    crash_point("between-export-renames")
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent, files=False)


def _clean(target: Path) -> None:
    """Remove what killed runs have left; bring back what one was about to replace."""
    for folder in target.parent.glob(f".{_literal(target.name)}.partial-*"):
        with suppress(OSError):
            lock = _lock(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    old = target.with_name(f".{target.name}.replaced")
    if old.exists():
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def _lock(folder: Path) -> int:
    """The folder's lock, as long as the descriptor is open. Raises OSError when a living process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sync(folder: Path, *, files: bool = True) -> None:
    """On disk before its name is: a power cut must not leave a name without content."""
    for path in [*(folder.iterdir() if files else ()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _named(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""
