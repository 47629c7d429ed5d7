"""WARC records in the form of Common Crawl's WET files: the headers of synthetic pages.

All of a record's random choices come from one SHAKE hash of seed, file number and record number, so a record is the
same in any run, on any machine, in a longer or a shorter file.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from bisect import bisect_right
from calendar import timegm
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from uuid import UUID

from producers.sample.languages import LANGUAGES, Language
from producers.sample.page import ENGLISH

CRAWL = "CC-MAIN-2024-33"
FILES_PER_SEGMENT = 4
SEGMENT_STEP_S = 5_400
FETCH_S = 5 * 86_400
LATIN = [i for i, language in enumerate(LANGUAGES) if language.latin]
# One Latin page in so many is a stub (a login form, an error) that the p21 rule drops.
STUBS_PER_256 = 32
# Kept tokens of a document by per mille of the documents: the percentiles of a file of CC-MAIN-2016-50.
LENGTHS = (
    *((0, 8), (50, 20), (100, 37), (200, 88), (300, 147), (400, 208), (500, 280), (600, 365), (700, 479), (800, 650)),
    *((900, 978), (950, 1450), (975, 2080), (990, 2965), (997, 5200), (999, 9000), (1000, 24_000)),
)


@dataclass(frozen=True)
class CrawlFile:
    """The position of a file in a crawl. Raises ValueError unless `crawl` is like CC-MAIN-2024-33 (year and week)."""

    crawl: str = CRAWL
    file: int = 0
    files_per_segment: int = FILES_PER_SEGMENT

    @cached_property
    def start_s(self) -> int:
        """When fetching for its segment began, in Unix time."""
        found = re.fullmatch(r"CC-MAIN-(\d{4})-(\d{2})", self.crawl)
        if not found:
            raise ValueError(f"crawl must be like {CRAWL} (year and week), not {self.crawl}")
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return timegm(monday.timetuple()) + self.file // self.files_per_segment * SEGMENT_STEP_S

    @property
    def path(self) -> str:
        """The file's path as Common Crawl would list it."""
        segment, part = divmod(self.file, self.files_per_segment)
        begin, end = (time.strftime("%Y%m%d%H%M%S", time.gmtime(self.start_s + s)) for s in (0, FETCH_S))
        folder = f"crawl-data/{self.crawl}/segments/{self.start_s}{segment % 1000:03}.{segment % 100}/wet"
        return f"{folder}/CC-MAIN-{begin}-{end}-{part:05}.warc.wet.gz"


@dataclass(frozen=True)
class RecordPlan:
    """What one record will be, before its text is written. `second` is a minor language of the page, or -1."""

    page_seed: int
    language: int
    second: int
    words: int
    url: str
    fetched: str
    record_id: UUID
    refers_to: UUID


class Draws:
    """Random integers taken from the hash of a record's name; a sentinel bit on top detects exhaustion."""

    def __init__(self, name: str) -> None:
        self.left = int.from_bytes(hashlib.shake_128(name.encode()).digest(96), "little") | 1 << 768

    def bits(self, width: int) -> int:
        """Take the next `width` bits."""
        value = self.left & ((1 << width) - 1)
        self.left >>= width
        assert self.left, "a record needs more than 768 random bits"
        return value

    def below(self, limit: int) -> int:
        """Take a number from 0 to limit - 1."""
        return self.bits(24) * limit >> 24

    def uuid(self) -> UUID:
        """Take a random UUID."""
        return UUID(int=self.bits(128), version=4)


def plan_record(seed: int, crawl_file: CrawlFile, record: int, english_share: float) -> RecordPlan:
    """Choose the language, length, URL and time of a record."""
    draws = Draws(f"{seed}/{crawl_file.file}/{record}")
    page_seed, record_id, refers_to = draws.bits(64), draws.uuid(), draws.uuid()
    number = _pick_language(draws, english_share)
    language = LANGUAGES[number]
    words = _words(draws, language)
    second = -1
    if words >= 40 and draws.bits(3) == 0:
        second = ENGLISH if number != ENGLISH else LATIN[1 + draws.below(len(LATIN) - 1)]
    return RecordPlan(
        page_seed,
        number,
        second if language.latin else -1,
        words,
        _url(draws, language),
        iso_time(crawl_file.start_s + draws.below(FETCH_S)),
        record_id,
        refers_to,
    )


def _pick_language(draws: Draws, english_share: float) -> int:
    if draws.bits(24) < english_share * (1 << 24):
        return ENGLISH
    pick = draws.below(sum(language.share for language in LANGUAGES))
    for number, language in enumerate(LANGUAGES):
        pick -= language.share
        if pick < 0:
            return number
    raise AssertionError("unreachable")


def _words(draws: Draws, language: Language) -> int:
    stub, chance, part = draws.bits(8), draws.below(1000), draws.bits(16)
    if language.latin and stub < STUBS_PER_256:
        return 1 + chance % 10
    above = bisect_right(LENGTHS, (chance, 1 << 30))
    (low_at, low), (high_at, high) = LENGTHS[above - 1 : above + 1]
    kept = low + (high - low) * ((chance - low_at << 16) + part) // ((high_at - low_at) << 16)
    return kept * 100 // (language.kept_per_100_words or LANGUAGES[ENGLISH].kept_per_100_words)


def _url(draws: Draws, language: Language) -> str:
    """Return a URL on a made-up host; hosts follow Zipf's law with exponent 1."""
    octave = 5 + draws.below(16)
    host = (1 << octave) + draws.bits(octave)
    name = spell_number(host * 7919)
    domain = language.top_level_domains[host % len(language.top_level_domains)]
    scheme, prefix = "http" if host % 5 == 0 else "https", "www." if host % 3 else ""
    section, page = spell_number(draws.bits(8)), spell_number(draws.bits(12))
    paths = (
        *("", f"{section}/", f"{section}/{page}.html", f"{section}/{page}/", f"{section}/{page}-{section}"),
        *(
            f"index.php?id={draws.bits(14)}",
            f"{section}?page={draws.bits(6)}&lang={language.code[:2]}",
            f"%C3%A9{page}",
        ),
    )
    return f"{scheme}://{prefix}{name}-example.{domain}/{paths[draws.bits(3)]}"


def spell_number(number: int) -> str:
    """Spell a number in English syllables, as a made-up name."""
    language, word = LANGUAGES[ENGLISH], ""
    number, digit = divmod(number, len(language.starts))
    word += language.starts[digit]
    while number:
        number, digit = divmod(number, len(language.joints))
        word += language.joints[digit]
    return word


def iso_time(time_s: int) -> str:
    """Format a Unix time as a WARC-Date."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))


def conversion(plan: RecordPlan, text: bytes, language_headers: bool, end: bytes) -> bytes:
    """Return the conversion record of a page's text; `end` ends a header line."""
    headers = [
        ("WARC-Type", "conversion"),
        ("WARC-Target-URI", plan.url),
        ("WARC-Date", plan.fetched),
        ("WARC-Record-ID", f"<{plan.record_id.urn}>"),
        ("WARC-Refers-To", f"<{plan.refers_to.urn}>"),
        ("WARC-Block-Digest", block_digest(text)),
    ]
    if language_headers and plan.words >= 12:
        codes = [LANGUAGES[plan.language].code, LANGUAGES[plan.second].code if plan.second >= 0 else ""]
        headers.append(("WARC-Identified-Content-Language", ",".join(filter(None, codes))))
    headers += [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
    return _record(headers, text, end)


def warcinfo(seed: int, crawl_file: CrawlFile, end: bytes) -> bytes:
    """Return the warcinfo record at the start of a file, which says that its content is synthetic."""
    draws = Draws(f"{seed}/{crawl_file.file}/warcinfo")
    made = iso_time(crawl_file.start_s + FETCH_S)
    fields = (
        ("Software-Info", "wetstream sample"),
        ("Extracted-Date", made),
        ("isPartOf", crawl_file.crawl),
        ("operator", "wetstream"),
        ("description", f"Synthetic text in the form of a crawl, seed {seed}, file {crawl_file.file}"),
        ("publisher", "wetstream"),
    )
    block = b"".join(f"{name}: {value}\r\n".encode() for name, value in fields) + b"\r\n"
    headers = [
        ("WARC-Type", "warcinfo"),
        ("WARC-Date", made),
        ("WARC-Filename", crawl_file.path.rpartition("/")[2]),
        ("WARC-Record-ID", f"<{draws.uuid().urn}>"),
        ("WARC-Block-Digest", block_digest(block)),
        ("Content-Type", "application/warc-fields"),
        ("Content-Length", str(len(block))),
    ]
    return _record(headers, block, end)


def block_digest(block: bytes) -> str:
    """Return the digest in the notation of WARC-Block-Digest."""
    return "sha1:" + base64.b32encode(hashlib.sha1(block, usedforsecurity=False).digest()).decode()


def _record(headers: list[tuple[str, str]], block: bytes, end: bytes) -> bytes:
    lines = [b"WARC/1.0", *(f"{name}: {value}".encode() for name, value in headers), b"", b""]
    return end.join(lines) + block + end + end
