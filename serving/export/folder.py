"""A folder that appears complete or not at all.

It is made beside its place and renamed at the end, so a process that is killed before leaves nothing at its place. The
next one removes what it left beside it; a lock distinguishes that from the folder of a process still at work.
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
    """Give an empty folder to write to, which becomes `target` when the block ends without an error.

    Args:
        target: The place. A link is followed: what it points to is made or replaced, and the link stays.
        own: Names of the files that may be replaced.
        overwrite: Replace a folder that holds nothing but regular files named in `own`. A folder that holds anything is
            refused otherwise.

    Raises:
        FolderError: The target is refused, or an OSError in the block (a full disk).
    """
    try:
        place = _resolved(target)
        _check(place, own, overwrite=overwrite)
        place.parent.mkdir(parents=True, exist_ok=True)
        _clean(place)
        _check(place, own, overwrite=overwrite)  # again: cleaning may have brought an earlier folder back
        folder = place.with_name(f".{place.name}.partial-{uuid.uuid4().hex}")
        folder.mkdir()
        lock = _lock(folder)
        try:
            yield folder
            _sync(folder)
            _check(place, own, overwrite=overwrite)
            crash_point("before-export-rename")
            _put(folder, place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise FolderError(f"{target} cannot be written: {error.strerror or error}{_named(error)}") from error


def _resolved(target: Path) -> Path:
    """Follow links, so that the folder is made and renamed beside the place that it will have."""
    try:
        return target.expanduser().resolve()
    except RuntimeError as error:  # a loop of links, or `~` of an unknown user
        raise FolderError(f"{target} leads nowhere ({error}): name another folder") from error


def _check(target: Path, own: Collection[str], *, overwrite: bool) -> None:
    if not target.exists():
        return
    if Path.cwd().is_relative_to(target):
        # It is replaced by another folder, and whoever is in it would be nowhere.
        raise FolderError(f"{target} is the folder that this command runs in: name a new folder")
    if target.is_mount():
        raise FolderError(f"{target} is a folder that something is mounted on: name a new one below it")
    if not target.is_dir():
        raise FolderError(f"{target} is a file: name a folder that does not exist yet")
    held = sorted(target.iterdir())
    foreign = [path.name for path in held if path.name not in own or path.is_symlink() or not path.is_file()]
    if held and not overwrite:
        raise FolderError(f"{target} holds {held[0].name} already: name another folder, or replace it with --overwrite")
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
    """Remove what killed processes have left, and bring back what one was about to replace."""
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
    """Lock the folder for as long as the returned descriptor is open. Raises OSError if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sync(folder: Path, *, files: bool = True) -> None:
    """Write to disk before the rename: a power failure must not leave a name without content."""
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
