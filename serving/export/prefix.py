"""An export in an object store, which appears complete or is seen to be incomplete.

Objects cannot be renamed together, so the files are made in a temporary folder of this machine and sent one by one,
`meta.json` last: an export is complete when it is there. A claim, made by a conditional put, keeps two exports from
mixing their files.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from conf.crash_points import crash_point
from serving.export.files import META
from serving.export.folder import FolderError, new_folder
from sinks.storage.folder import Folder
from sinks.storage.location import ConflictError, Location

CLAIM = ".wetstream-export"


@contextmanager
def new_export(target: Location, own: Collection[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty folder of this machine to write to, which becomes the export when the block ends without an error.

    Args:
        target: Folder or prefix of an object store.
        own: Names of the files that may be replaced.
        overwrite: Replace what an earlier export wrote there.

    Raises:
        FolderError: The target is refused, or cannot be written.
    """
    if isinstance(target, Folder):
        with new_folder(target.path, own, overwrite=overwrite) as folder:
            yield folder
        return
    try:
        version = _check(target, own, overwrite=overwrite)
        claim = uuid.uuid4().hex.encode()
        try:
            (target / CLAIM).replace(claim, version)
        except ConflictError as error:
            raise FolderError(f"another export to {target} has just begun: name another place") from error
        with tempfile.TemporaryDirectory(prefix="wetstream-export-") as scratch:
            try:
                yield Path(scratch)
                _send(Path(scratch), target, claim, own)
            except BaseException:
                _release(target, claim)
                raise
        _release(target, claim)
    except OSError as error:
        raise FolderError(f"{target} cannot be written: {error.strerror or error}") from error


def _check(target: Location, own: Collection[str], *, overwrite: bool) -> str | None:
    """The version of the claim that is there; None for none. Raises FolderError."""
    held = sorted([*target.files(), *target.folders()])
    if held and not overwrite:
        what = f"{held[0]} already" if held != [CLAIM] else "an export that was cut off, or is under way"
        raise FolderError(f"{target} holds {what}: name another place, or replace it with --overwrite")
    foreign = [name for name in held if name not in own and name != CLAIM]
    if foreign or any(target.folders()):
        raise FolderError(f"{target} holds {foreign[0]}, which was not written by this command: name another place")
    return (target / CLAIM).read().version if CLAIM in held else None


def _send(folder: Path, target: Location, claim: bytes, own: Collection[str]) -> None:
    (target / META).delete()  # first: what is there is no complete export any more
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != META)
    for name in names:
        (target / name).upload(folder / name)
    crash_point("before-export-meta")
    for name in own:
        if name not in (*names, META):
            (target / name).delete()
    if (target / CLAIM).read().data != claim:
        raise FolderError(f"another export has replaced this one at {target}: name another place")
    (target / META).replace((folder / META).read_bytes(), None)


def _release(target: Location, claim: bytes) -> None:
    if (target / CLAIM).read().data == claim:
        (target / CLAIM).delete()
