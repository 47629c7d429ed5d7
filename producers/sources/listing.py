"""Listings: files that name WET files, one path or URL a line, as a crawl's wet.paths.gz or the names file of P2.1."""

from __future__ import annotations

import codecs
import io
import itertools
import re
import zlib
from dataclasses import dataclass, field

from conf.errors import ExplainedError
from conf.settings import ProducerSettings
from producers.sources.opening import open_location
from producers.sources.urls import is_url, is_web, path_of, printable, redact, shown_location, split_chain
from producers.wet.codec import GZIP, codec_of

WET_LINE = re.compile(r"\S.*\.wet(\.gz|\.zst)?\Z", re.IGNORECASE | re.DOTALL)
OTHER_LINE = re.compile(r"\S.*\.(?P<kind>wat|warc)(\.gz|\.zst)?\Z", re.IGNORECASE | re.DOTALL)
CRAWL_ROOT = re.compile(r"^(?P<root>.*?)/?crawl-data/[^/]+/?\Z")
LINE_END = re.compile(r"\r\n|\n|\r")
# UTF-32 before UTF-16, whose mark it begins with.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Lines of a WET file and of an HTML page.
NO_LISTING = ("WARC/", "WARC-", "<")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
HEAD_BYTES = 1 << 16
HEAD_LINES = 50
# A crawl has up to 100,000 WET files, of some 140 bytes a name.
LONGEST_BYTES = 1 << 28
MOST_LINES = 1_000_000
SHOWN_CHARS = 100


class ListingError(ExplainedError):
    """A listing cannot be used, or one of its lines cannot; the message names the line and the remedy."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a listing that names something; `number` counts from 1, `error` says why it cannot be used."""

    number: int
    text: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing and the lines in it that name something, in order."""

    name: str
    lines: list[Line] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths and URLs of the lines that can be used."""
        return [line.text for line in self.lines if line.error is None]


def read_listing(location: str, settings: ProducerSettings) -> Listing | None:
    """Read a listing.

    A listing is recognised by its content: text, plain or gzip, in which one of the first lines ends as WET files do.
    It may begin with a byte order mark and have any line ends. Blank lines and lines that begin with # are skipped.

    Returns:
        The listing; None if the file is something else.

    Raises:
        OSError: The file cannot be read.
        ListingError: It lists WAT or WARC files.
    """
    with open_location(location, settings) as file:
        head = file.read(HEAD_BYTES)
        first = _lines(_text(_uncompressed(head)))[:HEAD_LINES]
        kinds = [_kind(line.text) for line in first]
        if not any(kinds) or any(line.text.startswith(NO_LISTING) for line in first):
            return None
        text = _text(_uncompressed(head + file.read(LONGEST_BYTES)))
    name = shown_location(location)
    if sum(1 for _ in itertools.islice(LINE_END.finditer(text), MOST_LINES + 1)) > MOST_LINES:
        raise ListingError(f"{name}: has more than {MOST_LINES:,} lines: split it into several listings")
    lines = _lines(text)
    if "wet" not in kinds:
        line, kind = next((line, kind) for line, kind in zip(first, kinds, strict=True) if kind)
        raise ListingError(
            f"{name}, line {line.number}: lists {kind.upper()} files ({_shown(line.text[-60:])}), not WET files: give "
            "the wet.paths.gz of the same crawl"
        )
    return Listing(name, [_checked(line, name) for line in lines])


def default_base(location: str) -> str:
    """Return the folder that the paths of a listing are relative to: the listing's own.

    A listing that lies where a crawl has it (…/crawl-data/CC-MAIN-2016-50/wet.paths.gz) names its files from the
    folder that holds crawl-data.
    """
    if is_web(split_chain(location)[-1]):
        location = re.split("[?#]", location, maxsplit=1)[0]
    folder = location.rpartition("/")[0]
    if not is_url(location):
        folder = folder or "."
    match = CRAWL_ROOT.match(folder)
    return (match["root"] or ".") if match else folder


def _checked(line: Line, name: str) -> Line:
    kind = _kind(line.text)
    if kind == "wet" and not CONTROL.search(line.text):
        return line
    shown = _shown(line.text)
    if kind == "wet":
        error = f"{name}, line {line.number}: {shown} has a control character in it"
    elif kind is None:
        error = f"{name}, line {line.number}: {shown} is not the path of a WET file"
    else:
        error = f"{name}, line {line.number}: {shown} is a {kind.upper()} file, not a WET file"
    return Line(line.number, line.text, error)


def _shown(text: str) -> str:
    return repr(printable(redact(text[:SHOWN_CHARS])))


def _uncompressed(data: bytes) -> bytes:
    """The content of a listing; of a file that is no listing, whatever comes out."""
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
        if text.tell() >= LONGEST_BYTES:
            break
    return text.getvalue()


def _text(data: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    # Bytes that are no UTF-8 stay as they are: they may be part of a file's name.
    return "" if b"\0" in data else data.decode("utf-8", "surrogateescape")


def _lines(text: str) -> list[Line]:
    # Not splitlines, which also ends a line at U+2028 and other characters that a file's name may have. A byte order
    # mark may begin any line: listings are joined with cat.
    lines = (line.lstrip("\ufeff").strip(" \t\v\f") for line in LINE_END.split(text))
    return [Line(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]


def _kind(line: str) -> str | None:
    # A signed URL goes on behind the path.
    path = path_of(line) if is_url(line) else line
    if WET_LINE.match(path):
        return "wet"
    match = OTHER_LINE.match(path)
    return match["kind"].lower() if match else None
