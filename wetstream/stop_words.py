"""Stop word files given on the command line: one word per line."""

from __future__ import annotations

import zlib
from pathlib import Path

from conf.errors import ExplainedError
from conf.profiles import Profile
from conf.word_lists import parse_words


class StopWordsError(ExplainedError):
    """The file is not a list of stop words; the message says what is expected."""


def read_stop_words(path: Path) -> frozenset[bytes]:
    """Read a stop word file; words are normalised as the tokenizers write them (`conf.word_lists`).

    Stricter than the lists of a profile: a line that is not exactly one word suggests that this is some other file.

    Raises:
        StopWordsError: The file cannot be read, is empty, or is not a list of words.
    """
    needed = "a stop word file has one word per line, in UTF-8, plain or .gz"
    try:
        words = parse_words(path.read_bytes(), Profile.apostrophes)
    except UnicodeDecodeError:
        raise StopWordsError(f"{path} is not text: {needed}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise StopWordsError(f"cannot read the stop word file {path}: {_cause(error)}") from error
    if not words:
        raise StopWordsError(f"{path} contains no words: {needed}")
    for word in words:
        if len(word.split()) > 1 or not any(letter.isalpha() for letter in word.decode()):
            raise StopWordsError(f"{path}: {word.decode()[:60]!r} is not one word: {needed}")
    return frozenset(words)


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
