"""A person's file of stop words: one word a line."""

from __future__ import annotations

import zlib
from pathlib import Path

from conf.errors import ExplainedError
from conf.profiles import Profile
from conf.word_lists import parse_words


class StopWordsError(ExplainedError):
    """The file is no list of stop words; the message says what it needs."""


def read_stop_words(path: Path) -> frozenset[bytes]:
    """The words of a file, as the tokenizers write them (`conf.word_lists`). Raises StopWordsError.

    Strict where a profile's lists are lenient: a line with more than a word, or no word at all, means another file.
    """
    needed = "a stop words file has one word a line, in UTF-8, plain or .gz"
    try:
        words = parse_words(path.read_bytes(), Profile.apostrophes)
    except UnicodeDecodeError:
        raise StopWordsError(f"{path} is no text: {needed}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise StopWordsError(f"the stop words file {path} cannot be read: {_cause(error)}") from error
    if not words:
        raise StopWordsError(f"{path} holds no words: {needed}")
    for word in words:
        if len(word.split()) > 1 or not any(letter.isalpha() for letter in word.decode()):
            raise StopWordsError(f"{path}: {word.decode()[:60]!r} is not one word: {needed}")
    return frozenset(words)


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
