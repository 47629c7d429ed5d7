"""From what a person names (files, folders, globs) to the list of sources, in a fixed order, each once."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from conf.errors import ExplainedError
from producers.source import SUFFIXES, Source, source_id


class SourceNotFoundError(ExplainedError):
    """A named source does not exist or holds no WET file; the message names it and the remedy."""


def discover(names: Iterable[str], *, alias: str | None = None) -> list[Source]:
    """The sources behind `names`: files as they are, folders with every *.wet and *.wet.gz below them, globs.

    `alias` gives a single file another identity. Raises SourceNotFoundError.
    """
    found: dict[str, Source] = {}
    for name in names:
        for path in _paths(name):
            source = Source(source_id(path), str(path))
            found.setdefault(source.id, source)
    if alias is not None:
        if len(found) != 1:
            raise SourceNotFoundError(f"--as names one source, but {len(found)} were found: name one file")
        return [Source(alias, next(iter(found.values())).location)]
    return list(found.values())


def _paths(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
        if not files:
            raise SourceNotFoundError(f"{name}: no WET files (*.wet.gz, *.wet) in this folder or below it")
        return files
    if path.exists():
        return [path]
    # glob, not Path.glob: the pattern may be absolute, and a user means what the shell means by it.
    matched = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [file for match in matched for file in (_paths(str(match)) if match.is_dir() else [match])]
    if not files:
        what = "nothing matches this pattern" if glob.has_magic(name) else "no such file or folder"
        raise SourceNotFoundError(f"{name}: {what}; give WET files, folders of them, or a quoted glob")
    return files
