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

import numpy as np
from numpy.typing import NDArray

from producers.sample.languages import LANGUAGES, Language
from producers.sample.page import HEAD, MARKS, OCTAVES, PADDING, STEPS, Tables

# Of one language; a mixture of large and small ones grows a little faster: 0.65 to 0.66 up to 10**7 tokens.
HEAPS = Decimal("0.62")
SLOTS = 1 << 16

# A date, price, address or number, in which # becomes a digit and ~ an English word.
FACTS = (
    *("20##", "19##", "#", "##", "###", "#,###", "##%", "$##.99", "€ ##,00", "£#.50", "##:##", "0#/1#/20##"),
    *("1#.0#.20##", "202#-0#-1#", "+## ### ######", "v#.#.#", "(##)", "#####", "## km", "#D", "№ ##", "#½"),
    *("https://www.~-example.com/~/##.html", "http://~.example.org/", "~@example.com", "978-#-##-######-#"),
)


@cache
def load_tables() -> Tables:
    """Build the tables: about 0.1 s and 1 MB."""
    strings: list[bytes] = [string.encode() for string in (*MARKS, *FACTS)]
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
        len(FACTS),
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
