"""Compile once, for every worker on this machine, wherever the package lives.

Numba can only cache the machine code of a function whose source file it can find and beside which it can write:
neither holds for a zip that Spark unpacks at a new path for each application, or a read-only site-packages. So the
sources of this package are copied into the user's cache directory, in a folder named by their content, and
each compiled function is told that it comes from there. Numba then caches beside the copy. New sources mean a new
folder: machine code can never be older than the source, also where one file inlines functions of another.

`WETSTREAM_NUMBA_CACHE` names another folder for it. Where nothing can be written, functions are compiled
in every process (some seconds).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

# Without numba's reference counting: the kernels make no arrays, and counting for each look-up halved their speed.
OPTIONS: Final[dict[str, Any]] = {"nogil": True, "_nrt": False}


def shared(function: F) -> F:
    """A helper that several compiled functions call: compiled with them, but not put into each place."""
    return cast(F, numba.njit(**OPTIONS)(function))


def inlined(function: F) -> F:
    """A helper that becomes part of the compiled functions which call it."""
    return cast(F, numba.njit(forceinline=True, **OPTIONS)(function))


def compiled(function: F) -> F:
    """Machine code for a function of this package, cached on disk; it runs without Python's global lock.

    It makes no arrays, and is always called with the same types: so every process caches the same thing.
    """
    home = cache_home()
    if home is None:
        return cast(F, numba.njit(**OPTIONS)(function))
    code = function.__code__
    copy = home / Path(code.co_filename).name
    function.__code__ = code.replace(co_filename=str(copy))
    return cast(F, numba.njit(cache=True, **OPTIONS)(function))


@contextlib.contextmanager
def one_compiler() -> Iterator[None]:
    """Hold this around a first call: of several new processes one compiles, the others wait and load its result."""
    home = cache_home()
    if home is None or sys.platform == "win32":
        yield
        return
    import fcntl

    with (home / "lock").open("w") as lock:
        with contextlib.suppress(OSError):  # a file system without locks: each compiles, the results are the same
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def cache_home() -> Path | None:
    """The folder with the copied sources and their machine code; None where no folder can be written."""
    sources = {
        file.name: file.read_bytes()
        for file in resources.files("streaming.text").iterdir()
        if file.name.endswith(".py")
    }
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(b"%s %d\n" % (name.encode(), len(sources[name])))
        digest.update(sources[name])
    for root in _roots():
        home = root / f"kernel-{digest.hexdigest()[:16]}"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not _ours(home):
                continue
            for name, content in sources.items():
                _write_once(home / name, content)
        except OSError:
            continue
        return home
    return None


def _roots() -> Iterator[Path]:
    if chosen := os.environ.get("WETSTREAM_NUMBA_CACHE"):
        yield Path(chosen)
        return
    with contextlib.suppress(RuntimeError):  # no home directory
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wetstream"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"wetstream-{user}"


def _ours(folder: Path) -> bool:
    """Machine code is loaded from here, so nobody else may be able to put any there."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write_once(path: Path, content: bytes) -> None:
    """Atomically, so that a process which starts at the same time sees the whole file or none."""
    if path.exists() and path.stat().st_size == len(content):
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
