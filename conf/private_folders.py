"""Folders that nobody else on this machine may change: programs and data are loaded from them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from conf.errors import ExplainedError

_ROOT_UID = 0


class UnsafeFolderError(ExplainedError):
    """Another user of this machine owns a folder or can change what lies in it."""


def make_private(folder: Path) -> None:
    """Create `folder` for this user alone (mode 0700), or make one of this user's so.

    Raises:
        UnsafeFolderError: It belongs to another user, or is another user's symbolic link.
        OSError: It cannot be created.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    check_owner(folder)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(0o700)


def check_owner(folder: Path) -> None:
    """Raise UnsafeFolderError unless this user owns the folder, and this user or root every link on the way to it."""
    for found, path in _links(folder):
        if found.st_uid not in (os.geteuid(), _ROOT_UID):
            raise UnsafeFolderError(
                f"{path} is a symbolic link of another user (uid {found.st_uid}): it can lead anywhere at any time; "
                "name the folder itself, or another one"
            )
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise UnsafeFolderError(
            f"{folder} belongs to another user (uid {owner}, this is uid {os.geteuid()}): run this as that user, make "
            "it yours (chown), or name another folder"
        )


def is_trusted(folder: Path) -> bool:
    """Whether only this user and root can change what lies in `folder`, replace it, or replace a folder above it."""
    try:
        path = folder.absolute()
        return all(_is_trusted(part, last=part == path) for part in (path, *path.parents))
    except OSError:
        return False


def is_writable_by_others(found: os.stat_result) -> bool:
    """Whether another user may write to a file or folder. A group that only its namesake is in counts as that user."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and found.st_gid != _ROOT_UID and not _is_own_group(found.st_gid)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read (mode 0600), atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _is_trusted(path: Path, *, last: bool) -> bool:
    found = path.lstat()
    if found.st_uid not in (os.geteuid(), _ROOT_UID):
        return False
    if stat.S_ISLNK(found.st_mode):
        return is_trusted(path.resolve())
    # In a folder like /tmp (sticky), others can neither rename nor remove what is not theirs.
    return not is_writable_by_others(found) or (not last and bool(found.st_mode & stat.S_ISVTX))


def _is_own_group(gid: int) -> bool:
    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


def _links(folder: Path) -> Iterator[tuple[os.stat_result, Path]]:
    for part in (folder, *folder.parents):
        found = part.lstat()
        if stat.S_ISLNK(found.st_mode):
            yield found, part
