"""The kernel equals the specification, on any bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conf.profiles import Profile
from streaming.text.kernel import Bagger
from tests.text.pages import assert_same, packed, rows, specified
from tests.text.profiles import shared_bagger

SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ASCII = r"""
the The word words don't It's writer's who's e-mail rock'n'roll dogs' a I s abcdefgh abcdefghabcdefgh
internationalization antidisestablishmentarianism's ' " - -- '-" ` . , ... / // @ www. WWW. ww w _
1 2nd mp3 1999 3.5 U.S. e.g. example.com http://a.bc/d me@example.com
"""
BEYOND = """
’ ‘ “ ” ´ ʼ ＇ – — … • « » café CAFÉ naïve ÄÖÜ ß ẞ İ ı Ǆ Ⱥ Ж жж ΣΑΣ K ﬁ שלום हिन्दी ไทย 漢字 かな 😀 𝐀 𐐀 𠀀 ² ½ ٣ Ⅷ
"""
UNSEEN = (
    "\u00a0\u0085\u1680\u2003\u200b\u2028\u202f\u205f\u3000\u00ad\u200c\u200d\u2060\ufeff\u0301\ufe0f\u2010\u2011\ufffd"
)
PIECES = [
    *(bytes([byte]) for byte in b"   \n\t\r\x0b\x0c\0\x1f\x7f"),
    *(text.encode() for text in (*ASCII.split(), *BEYOND.split(), *UNSEEN)),
    *(
        b"\xff",
        b"\xc2",
        b"\xe2\x80",
        b"\xe2",
        b"\xa0",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
        b"\xf0\x9f\x98",
    ),
]

mixes = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)
spaced = st.lists(st.sampled_from(PIECES), max_size=60).map(b" ".join)
letters = st.text(alphabet="aB's-\"’. é1@/w", max_size=150).map(str.encode)
payloads = st.lists(st.one_of(st.binary(max_size=300), mixes, spaced, letters), max_size=8)


@SETTINGS
@given(payloads=payloads, gap=st.sampled_from([b"", b"x", b" ", b"'s", b"\xe2\x80", b"abcdefghijklmnopqrst"]))
def test_equals_the_specification(bagger: Bagger, payloads: list[bytes], gap: bytes) -> None:
    assert_same(bagger, payloads, gap)


@SETTINGS
@given(text=st.text(max_size=300))
def test_equals_the_specification_on_any_text(bagger: Bagger, text: str) -> None:
    assert_same(bagger, [text.encode("utf-8", errors="surrogatepass")])


def test_every_character(bagger: Bagger) -> None:
    """Each alone, after, before and between letters: also what is white space, what is lower case, what is no UTF-8."""
    points = [
        *range(0x2100),
        *range(0x3000, 0x3100),
        *range(0x2100, 0x110000, 37),
        0xFB01,
        0xFEFF,
        0xFFFD,
        0x1D400,
        0x20000,
    ]
    for first in range(0, len(points), 1 << 14):
        characters = [chr(point).encode("utf-8", errors="surrogatepass") for point in points[first : first + (1 << 14)]]
        pages = [b"%s a%s %sa a%sb @a%sb www%s. " % (c, c, c, c, c, c) for c in characters]
        assert_same(bagger, [b"".join(pages[n::256]) for n in range(256)])  # no neighbours in one page


@pytest.mark.parametrize(
    "wrong",
    [
        *(b"\xc1\x81", b"\xe0\x81\x81", b"\xf0\x80\x81\x81"),  # A in two, three and four bytes
        *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),  # half a pair, beyond Unicode
        *(b"\x81", b"\xc3", b"\xc3A", b"\xe3\x81", b"\xe3\x81A", b"\xf0\x9f\x98", b"\xf0\x9f\x98A"),  # cut
    ],
)
def test_invalid_utf8(bagger: Bagger, wrong: bytes) -> None:
    assert_same(bagger, [b"word %s a%s %sa a%sb " % (wrong, wrong, wrong, wrong) * 3, b"a " * 12 + wrong])


@pytest.mark.parametrize("length", [*range(1, 70), 1023, 1024, 1025, 2048, 10_000])
def test_words_of_any_length(bagger: Bagger, length: int) -> None:
    word = b"abcdefghijklmnopqrstuvwxyz" * (length // 26 + 1)
    word = word[:length]
    texts = [word, b" ".join([word] * 12), word + b"'s", b"'" + word + b"'", word + b"1 " + word, word.upper() + b"."]
    texts += ["é".encode() * length, b"x" * (1024 - length % 1024) + b" " + word + b" " + word[:-1]]
    assert_same(bagger, texts)


HUGE = {
    "letters": b"x" * (1 << 20),
    "quotes and hyphens": b"'\"-" * (1 << 18),
    "NUL": b"\0" * (1 << 20),
    "not UTF-8": b"\xff" * (1 << 18),
    "cut characters": "é".encode()[:1] * (1 << 18),
    "apostrophes inside": b"x'" * (1 << 18),
    "one letter words": b"a " * (1 << 18),
    "at signs": b"@x" * (1 << 18),
    "growing lower case": "Ⱥ".encode() * (1 << 18),
    "no-break spaces": "a\u00a0".encode() * (1 << 17),
}


@pytest.mark.parametrize("what", HUGE)
def test_a_megabyte_of(bagger: Bagger, what: str) -> None:
    assert_same(bagger, [HUGE[what], b"a few words behind it " * 5])


def test_many_different_long_words(p21: Profile, english: Profile) -> None:
    """More blocks than the scratch holds, and more words than the first tables."""
    rng = np.random.default_rng(4)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    pages = [b" ".join(rng.choice(letters, int(n)).tobytes() for n in rng.integers(1, 60, 4000)) for _ in range(30)]
    bagger = Bagger(p21)
    assert_same(bagger, pages)
    assert len(bagger) > 90_000
    assert_same(bagger, pages[::-1])


def test_empty_and_skipped() -> None:
    bagger = shared_bagger("p21")
    pages = [b"", b"word " * 12, b"  ", b"other " * 12]
    data, starts, ends = packed(pages)
    starts = starts.copy()
    starts[1] = -1
    found = rows(bagger, bagger.bag(data, starts, ends))
    assert found == [(0, 0, False, 0, [])] * 3 + specified(pages[3:], bagger.profile)
    bagger.reset()
    nothing = bagger.bag(data[:0], starts[:0], ends[:0])
    assert nothing.offsets.tolist() == [0]
    assert nothing.words.size == 0


def test_only_stop_words_is_kept(bagger: Bagger) -> None:
    data, starts, ends = packed([b"the the the these those and ours you what for because yourselves"])
    bags = bagger.bag(data, starts, ends)
    assert bags.kept.tolist() == [True]
    assert bags.lengths.tolist() == [0]
    bagger.reset()


@pytest.mark.parametrize("span", [(0, 6), (3, 2), (5, 9)])
def test_spans_outside_are_refused(bagger: Bagger, span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="within the 5 bytes"):
        bagger.bag(np.zeros(5, np.uint8), np.array(span[:1]), np.array(span[1:]))


@SETTINGS
@given(payloads=st.lists(st.one_of(st.none(), mixes), max_size=12), first=st.integers(0, 4), more=st.integers(0, 12))
def test_sliced_arrow_arrays_with_nulls(bagger: Bagger, payloads: list[bytes | None], first: int, more: int) -> None:
    """As a caller reads them: the data buffer of a slice, with the offsets of the slice, and null as a skipped span."""
    column = pa.array(payloads, pa.binary())[first : first + more]
    offsets = np.frombuffer(column.buffers()[1], np.int32).astype(np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    starts = np.where(np.asarray(column.is_valid()), offsets[: len(column)], -1)
    found = rows(bagger, bagger.bag(data, starts, offsets[1 : len(column) + 1]))
    bagger.reset()
    for value, row in zip(column.to_pylist(), found, strict=True):
        assert row == ((0, 0, False, 0, []) if value is None else specified([value], bagger.profile)[0])


def test_offsets_beyond_two_gigabytes(bagger: Bagger) -> None:
    """The buffer is mostly untouched zero pages."""
    page = "the writer's café, well-known words 2nd don’t ".encode() * 5
    data = np.zeros((1 << 31) + 5000, np.uint8)
    at = np.array([(1 << 31) - 20, (1 << 31) + 1000, data.size - len(page)])
    for start in at:
        data[start : start + len(page)] = np.frombuffer(page, np.uint8)
    found = rows(bagger, bagger.bag(data, at, at + len(page)))
    bagger.reset()
    assert found == specified([page] * 3, bagger.profile)


def test_document_numbers_are_unbounded(fresh_bagger: Bagger) -> None:
    """A document's number is kept in 32 bits: at the end it starts again from 1, and no old mark may count."""
    words = [b"apple", b"pear", b"plum", b"cherry"]
    pages = [b" ".join(words[n:] * 4) for n in range(3)]
    assert_same(fresh_bagger, pages)
    fresh_bagger._stamp = (1 << 32) - 100
    assert_same(fresh_bagger, pages[::-1])
    assert fresh_bagger._stamp < 100
