"""Word frequencies and spellings as arrays, for the compiled page writer.

Frequencies follow Zipf's law in two regimes, as in real text: rank k of the HEAD first ranks has a probability
proportional to 1 / (k + 2.7), and beyond them it falls as k ** (-1 / HEAPS), without an end. So the number of distinct
words grows as tokens ** HEAPS (Heaps' law), with no state to keep: any number of files share one vocabulary.
Head weights are integers and the tail's powers come from `decimal`, so no machine's `pow` can change a sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.sample.languages import LANGUAGES, Language

HEAD = 1000
HEAPS = Decimal("0.65")
SLOTS = 1 << 16
STEPS = 256
OCTAVES = 21
PADDING = 8

# A date, price, address or number, in which # becomes a digit and ~ an English word.
FACTS = (
    *("20##", "19##", "#", "##", "###", "#,###", "##%", "$##.99", "€ ##,00", "£#.50", "##:##", "0#/1#/20##"),
    *("1#.0#.20##", "202#-0#-1#", "+## ### ######", "v#.#.#", "(##)", "#####", "## km", "#D", "№ ##", "#½"),
    *("https://www.~-example.com/~/##.html", "http://~.example.org/", "~@example.com", "978-#-##-######-#"),
)

FACT_COUNT = len(FACTS)
# Marks, the strings after the FACTS: straight and curly quotation marks, possessive, hyphen, bullet, end of line.
MARKS = ('"', '"', "“", "”", "'s", "-", "• ", "\n")
QUOTES = FACT_COUNT
POSSESSIVE, HYPHEN, BULLET, NEWLINE = range(FACT_COUNT + 4, FACT_COUNT + 8)

# Columns of `Tables.layout`: first string and number of strings of each kind, for one language, and its marks.
WORDS, WORD_COUNT, STARTS, START_COUNT, JOINTS, JOINT_COUNT, ENDINGS, ENDING_COUNT = range(8)
SPACE, RARE_SPACE, COMMA, STOP = range(8, 12)


class Tables(NamedTuple):
    """What the page writer reads; string i is `blob[offsets[i]:offsets[i + 1]]`, in UTF-8.

    `heads[slot]` is a head rank, which has as many slots as it is probable; `steps[i]` and `octaves[i]` are powers of
    which the product, times HEAD, is a tail rank. The first strings are FACTS and MARKS.
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    layout: NDArray[np.int64]
    heads: NDArray[np.int16]
    steps: NDArray[np.float64]
    octaves: NDArray[np.float64]


@cache
def load_tables() -> Tables:
    """Build the tables: about 0.1 s and 1 MB."""
    strings: list[bytes] = [string.encode() for string in FACTS + MARKS]
    layout = [_add_language(strings, language) for language in LANGUAGES]
    with localcontext(prec=40):
        power = HEAPS / (1 - HEAPS)
        steps = [float((1 - Decimal(i) / (2 * STEPS)) ** -power) for i in range(STEPS + 1)]
        octaves = [float(Decimal(2) ** (power * i)) for i in range(OCTAVES)]
    return Tables(
        np.frombuffer(b"".join(strings) + bytes(PADDING), np.uint8),
        np.cumsum([0, *map(len, strings)]).astype(np.int64),
        np.array(layout, np.int64),
        _head_slots(),
        np.array(steps),
        np.array(octaves),
    )


def _add_language(strings: list[bytes], language: Language) -> list[int]:
    row: list[int] = []

    def add(new: Iterable[str]) -> None:
        first = len(strings)
        strings.extend(string.encode() for string in new)
        row.extend((first, len(strings) - first))

    for group in (language.words(), language.starts, language.joints, language.endings):
        add(group)
    rare_space = "\u00a0" if language.space else "\u3000"
    for mark in (language.space, rare_space, language.comma, language.stop):
        row.append(len(strings))
        strings.append(mark.encode())
    return row


def _head_slots() -> NDArray[np.int16]:
    weights = [10**12 // (10 * rank + 37) for rank in range(HEAD)]
    ends, total, running = [0], sum(weights), 0
    for weight in weights:
        running += weight
        ends.append(running * SLOTS // total)
    return np.repeat(np.arange(HEAD, dtype=np.int16), np.diff(ends))
