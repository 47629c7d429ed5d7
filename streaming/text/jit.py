"""Compile the kernels once per machine, wherever the package is installed.

Numba caches machine code beside the source file, which must exist and be in a writable folder. Neither holds for a
zip that Spark unpacks at a new path for each application, nor for a read-only site-packages. The sources of this
package are therefore copied to the user's cache directory, into a folder named by their hash, and each compiled
function claims to come from there. New sources mean a new folder, so machine code is never older than its source,
even where one module inlines functions of another.

`WETSTREAM_NUMBA_CACHE` names another folder. One that cannot be written to, as in an image, is used if `bake` has
filled it for this kind of processor. Where no folder is usable, every process compiles again (some seconds).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from filelock import FileLock
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator
from numba.core.registry import cpu_target

from conf.private_folders import is_trusted

F = TypeVar("F", bound=Callable[..., object])

# No numba reference counting: the kernels allocate no arrays, and counting references halved their speed.
OPTIONS: Final[dict[str, Any]] = {"nogil": True, "_nrt": False}
TEXT: Final = "streaming.text"

# What lets LLVM use vector instructions for sums of floating point: it may reorder them (the same way each time, being
# the same machine code), and a division by zero is an infinity.
VECTORIZED: Final[dict[str, Any]] = {
    **OPTIONS,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
}

MACHINE: Final = "machine.json"
"""In a folder that `bake` has filled: the interpreter and processor that its machine code is for."""


class _BakedLocator(InTreeCacheLocator):
    """Numba's folder of machine code beside a source, which need not be writable."""

    def ensure_cache_path(self) -> None:
        """Numba would look elsewhere if the folder could not be written to."""


class _BakedImpl(CompileResultCacheImpl):
    _locator_classes = [_BakedLocator]  # noqa: RUF012


class _BakedCache(FunctionCache):
    """A cache that is only read."""

    _impl_class = _BakedImpl

    def save_overload(self, sig: object, data: object) -> None:
        """Keep what was missing in this process only."""


def shared(function: F) -> F:
    """Mark a helper that compiled functions call: compiled with them, not inlined."""
    return cast(F, numba.njit(**OPTIONS)(function))


def inlined(function: F) -> F:
    """Mark a helper that is inlined into the compiled functions which call it."""
    return cast(F, numba.njit(forceinline=True, **OPTIONS)(function))


def compiled(function: F) -> F:
    """Compile a function, cache it on disk, and run it without the GIL.

    The function allocates no arrays and is always called with the same types, so every process caches the same code.
    What it inlines must be in modules of its own package, whose sources name the cache.
    """
    return _compiled(function, OPTIONS)


def vectorized(function: F) -> F:
    """Compile a function of floating-point arrays as `compiled` does, with vector instructions also for sums."""
    return _compiled(function, VECTORIZED)


def _compiled(function: F, options: dict[str, Any]) -> F:
    home = cache_home(function.__module__.rpartition(".")[0])
    if home is None:
        return cast(F, numba.njit(**options)(function))
    code = function.__code__
    copy = home / Path(code.co_filename).name
    function.__code__ = code.replace(co_filename=str(copy))
    if is_writable(home):
        return cast(F, numba.njit(cache=True, **options)(function))
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = _BakedCache(function)  # type: ignore[no-untyped-call]
    return cast(F, dispatcher)


@contextlib.contextmanager
def one_compiler(package: str = TEXT) -> Iterator[None]:
    """Guard a first call: of several new processes one compiles, the others wait and load its result."""
    home = cache_home(package)
    if home is None or not is_writable(home) or sys.platform == "win32":
        yield
        return
    lock = FileLock(home / "lock", mode=0o600)
    with contextlib.suppress(OSError, NotImplementedError):  # no locks here: each compiles, with equal results
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@functools.cache
def cache_home(package: str = TEXT) -> Path | None:
    """Return the folder of a package's copied sources and their machine code; None where no folder is writable."""
    sources = {file.name: file.read_bytes() for file in resources.files(package).iterdir() if file.name.endswith(".py")}
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(b"%s %d\n" % (name.encode(), len(sources[name])))
        digest.update(sources[name])
    for root in _roots():
        home = root / f"kernel-{digest.hexdigest()[:16]}"
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
            # Machine code is loaded from there: nobody else may put any there, or another folder in its place.
            if not is_trusted(home):
                continue
            for name, content in sources.items():
                _write_once(home / name, content)
        except OSError:
            continue
        if is_writable(home) or _is_baked(home):
            return home
    return None


def is_writable(home: Path) -> bool:
    """Whether machine code can be added to a folder."""
    return os.access(home, os.W_OK)


def bake(folder: Path) -> None:
    """Mark the machine code in `folder` as complete, and let every user of the machine read it.

    Call it when everything is compiled, in the process or image that has compiled it.

    Args:
        folder: What WETSTREAM_NUMBA_CACHE names.
    """
    home = cache_home()
    if home is None or home.parent != folder:
        raise OSError(f"{folder} cannot be written to, or others can change it: name a folder of your own")
    for each in folder.glob("kernel-*"):
        (each / MACHINE).write_text(json.dumps(_machine()))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _is_baked(home: Path) -> bool:
    try:
        return bool(json.loads((home / MACHINE).read_text()) == _machine())
    except (OSError, ValueError):
        return False


def _machine() -> list[str]:
    """What machine code depends on beside its source: interpreter, compiler, and processor as numba sees it."""
    processor = cpu_target.target_context.codegen().magic_tuple()
    return [str(sys.implementation.cache_tag), str(numba.__version__), *map(str, processor)]


def _roots() -> Iterator[Path]:
    if chosen := os.environ.get("WETSTREAM_NUMBA_CACHE"):
        yield Path(chosen)
        return
    with contextlib.suppress(RuntimeError):  # no home directory
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wetstream"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"wetstream-{user}"


def _write_once(path: Path, content: bytes) -> None:
    """Write a file atomically: a process that starts at the same time sees all of it or nothing."""
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
