"""Listings: files that name WET files, a path a line, as a crawl's wet.paths.gz or the names file of P2.1."""

from __future__ import annotations

import io
import re
import zlib

from conf.errors import ExplainedError
from conf.settings import ProducerSettings
from producers.sources.opening import open_location
from producers.sources.urls import is_url
from producers.wet.codec import GZIP, codec_of

WET_LINE = re.compile(r"\S.*\.wet(\.gz|\.zst)?$")
OTHER_LINE = re.compile(r"\S.*\.(?P<kind>wat|warc)(\.gz|\.zst)?$")
CRAWL_ROOT = re.compile(r"^(?P<root>.*?)/?crawl-data/[^/]+/?$")
HEAD_BYTES = 1 << 16
# A crawl has up to 100,000 WET files, of some 140 bytes a name.
LONGEST_BYTES = 1 << 28


class ListingError(ExplainedError):
    """A listing names something else than WET files, or cannot be read; the message says which line and what helps."""


def read_listing(location: str, settings: ProducerSettings) -> list[str] | None:
    """The paths of a listing, in its order; None: the file is none. Raises OSError, ListingError.

    It is known by its content: text (plain or gzip) whose lines end as WET files do. Empty lines and those that begin
    with # are left out.
    """
    with open_location(location, settings) as file:
        head = file.read(HEAD_BYTES)
        lines = _lines(_text(head))
        if not lines or _kind(lines[0]) is None:
            return None
        text = _text(head + file.read(LONGEST_BYTES))
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        kind = _kind(line)
        if kind in ("wat", "warc"):
            raise ListingError(
                f"{location}, line {number}: lists {kind.upper()} files ({line[-60:]}), not WET files: give the "
                "wet.paths.gz of the same crawl"
            )
        if kind is None:
            raise ListingError(f"{location}, line {number}: {line[:100]!r} is not the path of a WET file")
    return [line for line in lines if line and not line.startswith("#")]


def default_base(location: str) -> str:
    """Where the files of a listing are when nothing else is said: beside it.

    A listing that lies where a crawl has it (…/crawl-data/CC-MAIN-2016-50/wet.paths.gz) names its files from the
    folder that holds crawl-data.
    """
    folder = location.rpartition("/")[0]
    if not is_url(location):
        folder = folder or "."
    match = CRAWL_ROOT.match(folder)
    return (match["root"] or ".") if match else folder


def _text(data: bytes) -> bytes:
    """The text of a listing; of a file that is none, whatever comes out."""
    if codec_of(data) is not GZIP:
        return data
    text, rest = io.BytesIO(), data
    while rest:
        decoder = zlib.decompressobj(31)
        try:
            text.write(decoder.decompress(rest, LONGEST_BYTES))
        except zlib.error:
            break
        rest = decoder.unused_data
    return text.getvalue()


def _lines(text: bytes) -> list[str]:
    """The first lines that say something, as far as they are text."""
    if b"\0" in text or text.startswith(b"WARC/"):
        return []
    lines = (line.strip() for line in text.decode("utf-8", "replace").splitlines()[:50])
    return [line for line in lines if line and not line.startswith("#")]


def _kind(line: str) -> str | None:
    if WET_LINE.match(line):
        return "wet"
    match = OTHER_LINE.match(line)
    return match["kind"] if match else None
