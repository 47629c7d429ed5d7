"""Real pages for the tests of this folder, and the comparison of kernel and specification."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.profiles import Profile
from streaming.text import specification
from streaming.text.kernel import Bagger, Bags

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("WETSTREAM_SHARED_DATA") or ROOT.parent / "shared" / "data")


ENGLISH_TEXT = b"The committee said on Thursday that it would publish the results of the second inquiry next week. "
GERMAN_TEXT = (
    "Der Ausschuss teilte am Donnerstag mit, dass er die Ergebnisse nächste Woche veröffentlichen werde. ".encode()
)


def real_pages(name: str) -> list[bytes]:
    """Payloads of the conversion records of a file in the shared data; the test is skipped where there is none."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"needs real pages: {path} is not there (WETSTREAM_SHARED_DATA names the folder)")
    return list(_payloads(gzip.decompress(path.read_bytes())))


def _payloads(content: bytes):  # type: ignore[no-untyped-def]
    at = 0
    while (end := content.find(b"\r\n\r\n", at)) >= 0:
        header = content[at:end].decode("utf-8", errors="replace").split("\r\n")
        fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in header[1:])}
        length = int(fields["content-length"])
        payload = content[end + 4 : end + 4 + length]
        assert len(payload) == length
        if fields["warc-type"] == "conversion":
            yield payload
        at = end + 4 + length + 4


def packed(
    payloads: Sequence[bytes], gap: bytes = b""
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The payloads in one buffer, and where they are."""
    ends = np.cumsum([len(gap) + len(payload) for payload in payloads], dtype=np.int64)
    starts = ends - np.array([len(payload) for payload in payloads], np.int64)
    return np.frombuffer(b"".join(gap + payload for payload in payloads), np.uint8), starts, ends


def rows(bagger: Bagger, bags: Bags) -> list[tuple[int, int, bool, int, list[tuple[bytes, int]]]]:
    """Bags as plain Python: valid, dropped, kept, length, and words with counts in order."""
    words = [word.encode() for word in bagger.words(bags.words).to_pylist()]
    counts = bags.counts.tolist()
    found = []
    for i in range(len(bags.kept)):
        of_page = slice(bags.offsets[i], bags.offsets[i + 1])
        bag = list(zip(words[of_page], counts[of_page], strict=True))
        judged = (int(bags.valid_tokens[i]), int(bags.dropped_tokens[i]), bool(bags.kept[i]), int(bags.lengths[i]))
        found.append((*judged, bag))
    return found


def specified(payloads: Sequence[bytes], profile: Profile) -> list[tuple[int, int, bool, int, list[tuple[bytes, int]]]]:
    """The same by the specification."""
    bags = [specification.bag(payload, profile) for payload in payloads]
    return [(b.valid_tokens, b.dropped_tokens, b.kept, b.length, list(b.counts.items())) for b in bags]


def assert_same(bagger: Bagger, payloads: Sequence[bytes], gap: bytes = b"") -> None:
    """Kernel and specification agree on every page, and so do the counts over all pages."""
    bagger.reset()
    data, starts, ends = packed(payloads, gap)
    found = rows(bagger, bagger.bag(data, starts, ends))
    wanted = specified(payloads, bagger.profile)
    for payload, one, other in zip(payloads, found, wanted, strict=True):
        assert one == other, payload[:200]
    frequencies: dict[bytes, tuple[int, int]] = {}
    for *_, bag in wanted:
        for word, count in bag:
            tf, df = frequencies.get(word, (0, 0))
            frequencies[word] = (tf + count, df + 1)
    ids, tf, df = bagger.take_counts()
    words = [word.encode() for word in bagger.words(ids).to_pylist()]
    assert dict(zip(words, zip(tf.tolist(), df.tolist(), strict=True), strict=True)) == frequencies
    assert bagger.take_counts()[0].size == 0
