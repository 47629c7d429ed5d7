"""The specified counts on real pages, and kernel = specification on each of them."""

from __future__ import annotations

import pytest

from conf.profiles import Profile
from streaming.text.kernel import Bagger
from tests.text.pages import assert_same, packed, real_pages
from tests.text.profiles import shared_bagger

MERGED = "wet/cc-2014-2024-merged.warc.wet.gz"
WEB = "web/web-pages-1519.warc.wet.gz"


@pytest.mark.parametrize(
    ("name", "records", "documents", "tokens", "words"),
    [(MERGED, 136, 87, 42_068, 11_034), (WEB, 1_519, 1_474, 1_330_944, 129_634)],
)
def test_p21_counts(name: str, records: int, documents: int, tokens: int, words: int, p21: Profile) -> None:
    pages = real_pages(name)
    bagger = Bagger(p21)
    bags = bagger.bag(*packed(pages))
    _, tf, df = bagger.take_counts()
    assert len(pages) == records
    assert (bags.kept.sum(), bags.lengths.sum(), tf.sum(), tf.size) == (documents, tokens, tokens, words)
    assert df.max() <= documents
    assert df.sum() == bags.words.size


def test_p21_lengths(p21: Profile) -> None:
    bags = Bagger(p21).bag(*packed(real_pages(MERGED)))
    lengths = sorted(bags.lengths[bags.kept].tolist())
    assert (lengths[0], lengths[-1], lengths[int(0.5 * len(lengths))]) == (9, 4032, 285)


@pytest.mark.parametrize(("profile", "name"), [("p21", MERGED), ("p21", WEB), ("english", MERGED)])
def test_equals_the_specification(name: str, profile: str) -> None:
    assert_same(shared_bagger(profile), real_pages(name))


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 5))])
def test_english_equals_the_specification(part: int) -> None:
    assert_same(shared_bagger("english"), real_pages(WEB)[part::5])


@pytest.mark.parametrize("profile", ["any words", "contrary"])
def test_other_settings_equal_the_specification(profile: str) -> None:
    assert_same(shared_bagger(profile), real_pages(MERGED))


def test_any_split_into_batches_gives_the_same_sums(p21: Profile) -> None:
    pages = real_pages(MERGED)
    whole, cut = Bagger(p21), Bagger(p21)
    whole.bag(*packed(pages))
    for n in range(0, len(pages), 7):
        cut.bag(*packed(pages[n : n + 7]))
    for one, other in zip(whole.take_counts(), cut.take_counts(), strict=True):
        assert (one == other).all()
