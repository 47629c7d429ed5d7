"""TOML files that people write, read so that every mistake is named with its file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

MAX_BYTES = 4_000_000
"""Larger files are no settings; a device that never ends would otherwise be read for ever."""

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"^\s*\[+([^\[\]]+)\]+\s*(?:#.*)?$")


class TomlFileError(ValueError):
    """A file is not valid TOML; the message begins with its name and the place."""


def read_toml(file: Path | Traversable, name: str) -> tuple[dict[str, Any], str]:
    """Read a TOML file, with or without a byte order mark.

    Returns:
        Its tables, and its text.

    Raises:
        TomlFileError: It is not valid TOML in UTF-8.
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TomlFileError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB: is it the right file?")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TomlFileError(f"{name}, line {line}: is not UTF-8 text; save the file in UTF-8") from None
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise TomlFileError(_explain(name, str(error), text)) from None
    except RecursionError:
        raise TomlFileError(f"{name} is not valid TOML: its arrays are nested too deeply") from None
    except ValueError:  # more digits than Python takes
        raise TomlFileError(f"{name} is not valid TOML: a number in it has too many digits") from None


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the line (from 1) on which a key is set, as far as a search by line finds it."""
    *sections, key = path
    wanted, here = ".".join(sections), ""
    dotted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    whole = re.compile(rf"\s*{re.escape('.'.join(path))}\s*=")
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            here = re.sub(r"[\s\"']", "", header[1])
            if here == ".".join(path):
                return number
        elif (here == wanted and dotted.match(line)) or (not here and whole.match(line)):
            return number
    return None


def _explain(name: str, problem: str, text: str) -> str:
    place = _PLACE.search(problem)
    what = _PLACE.sub("", problem)
    if place and place[1]:
        return f"{name}, line {place[1]}, column {place[2]}: is not valid TOML: {what}"
    return f"{name}, line {text.count(chr(10)) + 1}: is not valid TOML: {what} at the end of the file"
