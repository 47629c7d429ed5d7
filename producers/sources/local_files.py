"""Local names to WET files: files, folders, globs; and whatever of them cannot be taken."""

# Unlike pathlib, os.path takes names that no file can have for names that do not exist.
# ruff: noqa: PTH110, PTH111, PTH112, PTH114, PTH115, PTH116, PTH118, PTH207

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path

from producers.sources.identity import is_wet_name
from producers.sources.urls import printable

# Pipes that a shell has opened: ingest <(head wet.paths).
OPEN_PIPES = ("/dev/fd/", "/proc/self/fd/")
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
NO_WET_FILES = "no WET files (*.wet.gz, *.wet, *.wet.zst)"


class LocalFiles:
    """Finds the WET files behind a local name.

    `problems` collects what was named, or is called as WET files are, and cannot be read: (path, sentence).
    `notes` collects what a folder leaves out though it is no error.
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def find(self, name: str) -> list[str]:
        """Return the files of a file, a folder or a glob pattern, sorted."""
        try:
            path = name if os.path.lexists(name) else os.path.expanduser(name)
            if os.path.lexists(path):
                return self._named(path)
            matches = sorted(glob.glob(path, recursive=True))
        except (OSError, ValueError) as error:
            return self._problem(name, f"is no file name ({error})")
        if glob.has_magic(path):
            self._check_folders(path)
        elif not matches:
            return self._problem(
                name, "no such file or folder; give WET files, folders of them, a quoted glob, URLs or a listing", ":"
            )
        if not matches and not self.problems:
            return self._problem(
                name, "nothing matches this pattern; give WET files, folders of them, URLs or a listing", ":"
            )
        return [file for match in matches for file in self._named(match)]

    def _named(self, path: str) -> list[str]:
        mode = self._mode(path)
        if mode is None:
            return []
        if stat.S_ISDIR(mode):
            problems = len(self.problems)
            files = self._below(path)
            if not files and len(self.problems) == problems:
                return self._problem(path, f"{NO_WET_FILES} in this folder or below it", ":")
            return files
        kind = KINDS.get(stat.S_IFMT(mode))
        if kind is None or (stat.S_ISFIFO(mode) and path.startswith(OPEN_PIPES)):
            return [str(Path(path))]
        return self._problem(path, f"is {kind}, not a file")

    def _below(self, folder: str) -> list[str]:
        found: list[Path] = []
        for root, folders, names in os.walk(folder, onerror=self._unreadable):
            for name in folders:
                path = os.path.join(root, name)
                if os.path.islink(path):
                    target = printable(os.path.realpath(path))
                    self.notes.append(
                        f"{printable(path)} is a link to the folder {target} and is left out: name it to ingest what "
                        "is there"
                    )
            for name in names:
                path = os.path.join(root, name)
                if not is_wet_name(name):
                    if os.path.islink(path) and not os.path.exists(path):
                        self.notes.append(f"{printable(path)} is a link that leads nowhere and is left out")
                    continue
                mode = self._mode(path)
                if mode is not None and stat.S_ISREG(mode):
                    found.append(Path(path))
                elif mode is not None:
                    self._problem(path, f"is {KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file")
        return [str(path) for path in sorted(found)]

    def _mode(self, path: str) -> int | None:
        try:
            return os.stat(path).st_mode
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            if os.path.islink(path):
                why += f" (it is a link to {printable(os.readlink(path))})"
            self._problem(path, why)
            return None

    def _check_folders(self, pattern: str) -> None:
        """Name the folders that a pattern would have looked into and could not: glob leaves them out silently."""
        parts = Path(pattern).parts
        first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        for number in range(first, len(parts)):
            parent = str(Path(*parts[:number])) if number else "."
            for folder in glob.glob(parent, recursive=True) if glob.has_magic(parent) else [parent]:
                if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
                    self._problem(folder, "cannot be read: Permission denied")

    def _unreadable(self, error: OSError) -> None:
        self._problem(str(error.filename), f"cannot be read: {error.strerror}")

    def _problem(self, path: str, sentence: str, mark: str = "") -> list[str]:
        problem = (path, f"{printable(path)}{mark} {sentence}")
        if problem not in self.problems:
            self.problems.append(problem)
        return []
