"""The text of one page, compiled: a title, then menus, headlines, paragraphs and facts, until enough words are written.

There are two passes: `compose` chooses the pieces (words, spaces, marks), `spell` writes them as bytes. Everything is
derived from the page's seed by integer arithmetic, so a page depends on nothing else. Words of a topic come in bursts,
and menu lines and teasers repeat. As in real crawls, about half of all words therefore occur only once; independent
draws would give the share that the exponent of Heaps' law predicts.

All compiled code and its constants are in this one file: Numba's cache of machine code is invalidated by a change of
the file that holds a function, but not by a change of other files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

# Ranks below HEAD are drawn from a table, those beyond from a power law in OCTAVES of probability, each of STEPS.
HEAD = 1000
OCTAVES = 21
STEPS = 256
# Strings may be read this far beyond their end.
PADDING = 8
# The first strings of the tables: straight and curly quotation marks, possessive, hyphen, bullet, end of line.
MARKS = ('"', '"', "“", "”", "'s", "-", "• ", "\n")
QUOTES, POSSESSIVE, HYPHEN, BULLET, NEWLINE, FACTS = 0, 4, 5, 6, 7, 8
# Columns of `Tables.layout`: first string and number of strings of each kind, for one language, and its marks.
WORDS, WORD_COUNT, STARTS, START_COUNT, JOINTS, JOINT_COUNT, ENDINGS, ENDING_COUNT = 0, 1, 2, 3, 4, 5, 6, 7
SPACE, RARE_SPACE, COMMA, STOP = 8, 9, 10, 11
ENGLISH = 0

# The tail takes over where its first rank is about as probable as the head's last one.
TAIL_PER_256 = 64
BURST_PER_256 = 90
# Ranks from here on come in bursts.
SUBJECT = 64
RECENT = 512
MAX_WORDS = 100_000
PIECES = 4 * MAX_WORDS
OUT_BYTES = 8 << 20
ROOM_BYTES = 4096
# Kinds of line, of 16.
PARAGRAPHS, MENUS, BULLETS, HEADLINES = 4, 9, 11, 15
# Of 16 sentences, or lines without sentences, how many repeat one from above: as menus and teasers do.
REPEATED, REPEATED_LINES = 2, 6
REMEMBERED = 64
# Odd tokens, of 1024: the ends of their ranges.
A_FACT, HYPHENATED, QUOTED, SHOUTED, OWNING, NAME = 16, 26, 36, 44, 56, 160
# A piece is number << 8 | case << 4 | kind: a string, a fact, or the number of a coined word of language `kind`.
STRING, FACT = 14, 15
CAPITAL, UPPER = 1, 2
# In a fact, # stands for a digit and ~ for a word.
DIGIT, ENGLISH_WORD = 35, 126


class Tables(NamedTuple):
    """The strings and distributions that pages are made from; string i is `blob[offsets[i]:offsets[i + 1]]`, in UTF-8.

    The first strings are MARKS and then `fact_count` facts. `heads[slot]` is a head rank; the number of its slots is
    proportional to its probability. `steps[i]` and `octaves[i]` are powers whose product, times HEAD, is a tail rank.
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    layout: NDArray[np.int64]
    heads: NDArray[np.int16]
    steps: NDArray[np.float64]
    octaves: NDArray[np.float64]
    fact_count: int


def compiled(function: F) -> F:
    """Compile `function`; the machine code is cached on disk where a folder is writable."""
    try:
        return cast(F, njit(cache=True, error_model="numpy")(function))
    except RuntimeError:
        return cast(F, njit(error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile `function` and inline it into its callers."""
    return cast(F, njit(error_model="numpy", forceinline=True)(function))


@inlined
def mix(key: np.uint64, number: int) -> np.uint64:
    """Return the 64 random bits with this number under this key (splitmix64)."""
    z = key + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inlined
def field(bits: np.uint64, first: int, width: int) -> int:
    """Return `width` bits of `bits`, from bit `first` on."""
    return int((bits >> np.uint64(first)) & np.uint64((1 << width) - 1))


@inlined
def tail_rank(bits: np.uint64, steps: NDArray[np.float64], octaves: NDArray[np.float64]) -> int:
    """Draw a rank of at least HEAD: HEAD * u ** -(b / (1 - b)) for uniform u, b being the exponent of Heaps' law."""
    octave = 0
    while octave < OCTAVES - 1 and field(bits, octave, 1):
        octave += 1
    step = field(bits, 24, 8)
    part = field(bits, 32, 32) / (1 << 32)
    return int(HEAD * (octaves[octave] * (steps[step] + (steps[step + 1] - steps[step]) * part)))


@inlined
def word_piece(rank: int, case: int, language: int, first: int, listed: int) -> int:
    """Make the piece of this rank's word: a string from the language's list, or a coined word beyond it."""
    if rank < listed:
        return (first + rank) << 8 | case << 4 | STRING
    return (rank - listed) << 8 | case << 4 | language


@inlined
def compose_words(
    pieces: NDArray[np.int64],
    end: int,
    key: np.uint64,
    language: int,
    count: int,
    title: bool,
    commas: bool,
    style: int,
    recent: NDArray[np.int64],
    used: int,
    tables: Tables,
) -> tuple[int, int]:
    """Add `count` tokens and what is between them; returns the ends of `pieces` and of the ring `recent`."""
    heads, steps, octaves, layout = tables.heads, tables.steps, tables.octaves, tables.layout
    first, listed = layout[language, WORDS], layout[language, WORD_COUNT]
    last = -1
    for position in range(count):
        bits = mix(key, position)
        if position > 0:
            if commas and field(bits, 42, 4) == 0:
                pieces[end] = layout[language, COMMA] << 8 | STRING
                end += 1
            rare = style & 2 != 0 and field(bits, 46, 6) == 0
            pieces[end] = (layout[language, RARE_SPACE] if rare else layout[language, SPACE]) << 8 | STRING
            end += 1
        odd = field(bits, 32, 10)
        if odd < A_FACT:
            pieces[end] = field(mix(bits, 0), 0, 48) << 8 | FACT
            end += 1
            continue
        tail = field(bits, 0, 8) < TAIL_PER_256
        rank = tail_rank(mix(bits, 1), steps, octaves) if tail else int(heads[field(bits, 8, 16)])
        if rank >= SUBJECT and used > 0 and field(bits, 24, 8) < BURST_PER_256:
            rank = int(recent[field(bits, 52, 12) * min(used, RECENT) >> 12])
        if rank == last:
            rank = int(heads[field(mix(bits, 2), 0, 16)])
        last = rank
        if rank >= SUBJECT:
            recent[used % RECENT] = rank
            used += 1
        case = CAPITAL if title or position == 0 or (rank >= HEAD and OWNING <= odd < NAME) else 0
        if HYPHENATED <= odd < QUOTED:
            mark = QUOTES + 2 * (style & 1)
            pieces[end], pieces[end + 1] = mark << 8 | STRING, word_piece(rank, case, language, first, listed)
            pieces[end + 2] = (mark + 1) << 8 | STRING
            end += 3
            continue
        if QUOTED <= odd < SHOUTED:
            case = UPPER
        pieces[end] = word_piece(rank, case, language, first, listed)
        end += 1
        if odd < HYPHENATED:
            pieces[end] = HYPHEN << 8 | STRING
            pieces[end + 1] = word_piece(int(heads[field(mix(bits, 3), 0, 16)]), 0, language, first, listed)
            end += 2
        elif SHOUTED <= odd < OWNING and language == ENGLISH:
            pieces[end] = POSSESSIVE << 8 | STRING
            end += 1
    return end, used


@compiled
def compose(pieces: NDArray[np.int64], seed: np.uint64, language: int, second: int, words: int, tables: Tables) -> int:
    """Fill `pieces` with a page of `words` words; returns their number.

    An eighth of the lines is in the language `second`, if that is not negative. `words` is at most MAX_WORDS, `pieces`
    holds PIECES.
    """
    layout = tables.layout
    recent, elsewhere = np.empty(RECENT, np.int64), np.empty(RECENT, np.int64)
    spans = np.empty((REMEMBERED, 3), np.int64)
    used = end = line = remembered = 0
    style = field(mix(seed, 0), 0, 2)
    left = min(words, MAX_WORDS)
    while left > 0 and end < len(pieces) - 1024:
        bits = mix(seed, line + 1)
        kind = field(bits, 0, 4) if line > 0 else HEADLINES - 1
        paragraph = kind < PARAGRAPHS
        own = second < 0 or field(bits, 4, 3) > 0
        current = language if own else second
        if kind >= HEADLINES:
            pieces[end] = field(mix(bits, 0), 0, 48) << 8 | FACT
            pieces[end + 1] = layout[current, SPACE] << 8 | STRING
            end += 2
        elif MENUS <= kind < BULLETS:
            pieces[end] = BULLET << 8 | STRING
            end += 1
        for sentence in range(1 + field(bits, 8, 8) % 6 if paragraph else 1):
            key = mix(bits, 1 + sentence)
            chance = field(mix(key, MAX_WORDS), 0, 16)
            count = 5 + chance % 20 if paragraph else 1 + chance % 4 if kind < BULLETS else 3 + chance % 7
            count = min(left, count)
            if count == 0:
                break
            if sentence > 0:
                pieces[end] = layout[current, SPACE] << 8 | STRING
                end += 1
            above = field(mix(key, MAX_WORDS + 1), 0, 6)
            repeat = field(mix(key, MAX_WORDS + 1), 6, 4) < (REPEATED if paragraph else REPEATED_LINES)
            if own and repeat and above < remembered and spans[above, 2] <= left:
                count = spans[above, 2]
                for piece in range(spans[above, 0], spans[above, 1]):
                    pieces[end] = pieces[piece]
                    end += 1
            else:
                begin = end
                ring, ring_used = (recent, used) if own else (elsewhere, 0)
                end, ring_used = compose_words(
                    pieces, end, key, current, count, line == 0, paragraph, style, ring, ring_used, tables
                )
                if own:
                    used = ring_used
                    above = remembered % REMEMBERED
                    spans[above, 0], spans[above, 1], spans[above, 2] = begin, end, count
                    remembered += 1
            if paragraph:
                pieces[end] = layout[current, STOP] << 8 | STRING
                end += 1
            left -= count
        pieces[end] = NEWLINE << 8 | STRING
        end += 1
        line += 1
    return end


@inlined
def put(out: NDArray[np.uint8], at: int, string: int, blob: NDArray[np.uint8], offsets: NDArray[np.int64]) -> int:
    """Copy one string; returns its end. Copies PADDING bytes at once: most strings are no longer."""
    begin, end = offsets[string], offsets[string + 1]
    for i in range(PADDING):
        out[at + i] = blob[begin + i]
    for i in range(PADDING, end - begin):
        out[at + i] = blob[begin + i]
    return int(at + end - begin)


@compiled
def put_coined(
    out: NDArray[np.uint8],
    at: int,
    language: int,
    number: int,
    blob: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    layout: NDArray[np.int64],
) -> int:
    """Write a coined word: a syllable for each digit of its number, so that no two numbers share a spelling."""
    left = number
    ending = left % layout[language, ENDING_COUNT]
    left //= layout[language, ENDING_COUNT]
    digit = left % layout[language, START_COUNT]
    left //= layout[language, START_COUNT]
    at = put(out, at, layout[language, STARTS] + digit, blob, offsets)
    while left >= 0:
        # The digit before is mixed in, so that neighbours in rank do not look alike.
        digit = (left + 31 * digit) % layout[language, JOINT_COUNT]
        at = put(out, at, layout[language, JOINTS] + digit, blob, offsets)
        left = left // layout[language, JOINT_COUNT] - 1
    return put(out, at, layout[language, ENDINGS] + ending, blob, offsets)


@inlined
def capitalise(out: NDArray[np.uint8], begin: int, end: int) -> None:
    """Make the letters in this range capitals, if they are of ASCII, Latin-1 or basic Cyrillic."""
    for at in range(begin, end):
        byte, following = out[at], out[at + 1]
        if 97 <= byte <= 122:
            out[at] = byte - 32
        elif (byte == 0xC3 and 0xA0 <= following <= 0xBE) or (byte == 0xD0 and 0xB0 <= following <= 0xBF):
            out[at + 1] = following - 32
        elif byte == 0xD1 and 0x80 <= following <= 0x8F:
            out[at] = 0xD0
            out[at + 1] = following + 32


@compiled
def spell(out: NDArray[np.uint8], pieces: NDArray[np.int64], tables: Tables) -> int:
    """Write the pieces to `out`; returns the length in bytes. Ends early when `out` is nearly full."""
    blob, offsets, layout = tables.blob, tables.offsets, tables.layout
    at = 0
    room = len(out) - ROOM_BYTES
    for piece in pieces:
        if at > room:
            break
        number, case, kind = piece >> 8, piece >> 4 & 15, piece & 15
        begin = at
        if kind == STRING:
            at = put(out, at, number, blob, offsets)
        elif kind == FACT:
            fact = FACTS + number % tables.fact_count
            for i in range(offsets[fact], offsets[fact + 1]):
                byte, bits = blob[i], mix(np.uint64(number), i)
                if byte == ENGLISH_WORD:
                    at = put_coined(out, at, ENGLISH, field(bits, 0, 16), blob, offsets, layout)
                else:
                    out[at] = 48 + field(bits, 0, 16) % 10 if byte == DIGIT else byte
                    at += 1
        else:
            at = put_coined(out, at, kind, number, blob, offsets, layout)
        if case:
            capitalise(out, begin, begin + 1 if case == CAPITAL else at)
    return at


@compiled
def write_page(
    out: NDArray[np.uint8],
    pieces: NDArray[np.int64],
    seed: np.uint64,
    language: int,
    second: int,
    words: int,
    tables: Tables,
) -> int:
    """Write a page to `out` (of OUT_BYTES), with `pieces` (of PIECES) as scratch; returns its length in bytes."""
    return spell(out, pieces[: compose(pieces, seed, language, second, words, tables)], tables)
