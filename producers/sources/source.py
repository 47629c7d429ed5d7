"""What a source is called, and how its content is recognised.

The identity decides what "the same source" means everywhere: key of its messages, row of the ledger, argument of
`remove`. It is therefore made in one function, from the name alone; the content is told apart by the fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from producers.sources.files import SourceFile

# A crawl path (crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/….warc.wet.gz), also with the slashes
# replaced by underscores as in the data sets of the course project P2.1; the parts themselves hold no underscore.
CRAWL_PATH = re.compile(
    r"crawl-data[/_](?P<crawl>[^/_]+)[/_]segments[/_](?P<segment>[^/_]+)[/_]wet[/_](?P<file>[^/_]+\.wet(?:\.\w+)?)$"
)
EDGE_BYTES = 1 << 16
SUFFIXES = (".wet", ".wet.gz", ".wet.zst")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")
WEB = {"http": 80, "https": 443}
SIGNING = re.compile(r"(?i)(x-amz-|x-goog-|awsaccesskeyid=|googleaccessid=|signature=|expires=|sig=|token=)")


class Fingerprint(NamedTuple):
    """Size in bytes, and SHA-256 of the first and the last 64 KiB: enough to tell files apart without reading them."""

    size: int
    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class Source:
    """A WET file to ingest: its identity, and where its bytes are (a path, or a URL as fsspec takes it)."""

    id: str
    location: str

    @property
    def name(self) -> str:
        """The location as it may be shown and stored: without passwords and signatures."""
        return public_url(self.location) if is_url(self.location) else self.location

    @property
    def uri(self) -> str:
        """The same as an absolute URI."""
        return self.name if is_url(self.location) else Path(self.location).resolve().as_uri()


def is_url(location: str) -> bool:
    """Whether a location is for fsspec to open; `file:` ones are made paths where they come in."""
    return URL.match(location) is not None


def public_url(url: str) -> str:
    """The canonical form of a URL, without user, password, fragment and the parameters that only sign it."""
    if "::" in url:
        return url
    parts = urlsplit(url)
    host = (parts.hostname or "") if parts.scheme in WEB else parts.netloc.rpartition("@")[2]
    if parts.scheme in WEB and parts.port and parts.port != WEB[parts.scheme]:
        host += f":{parts.port}"
    query = "&".join(pair for pair in parts.query.split("&") if pair and not SIGNING.match(pair))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def source_id(location: str | Path) -> str:
    """The identity of the source at `location`: its crawl path where it holds one, else its absolute URI.

    The same file by another way (relative, through a symbolic link, by a signed URL) has the same identity.
    """
    if is_url(str(location)):
        uri = public_url(str(location))
        path = unquote(urlsplit(uri).path) if "::" not in uri else uri
    else:
        resolved = Path(location).resolve()
        uri, path = resolved.as_uri(), resolved.as_posix()
    match = CRAWL_PATH.search(path)
    if match:
        return f"crawl-data/{match['crawl']}/segments/{match['segment']}/wet/{match['file']}"
    return uri


def crawl_and_segment(source: str) -> tuple[str, str]:
    """Crawl and segment of a source identity; empty strings where it names none."""
    match = CRAWL_PATH.search(source)
    return (match["crawl"], match["segment"]) if match else ("", "")


def fingerprint(file: SourceFile, size: int | None = None) -> Fingerprint:
    """Fingerprint of an open file, or of its first `size` bytes.

    The tail is left empty where the server gives no ranges: it would be the whole file that is read for it.
    """
    end = file.seek(0, 2)
    size = end if size is None else min(size, end)
    file.seek(0)
    head = hashlib.sha256(file.read(min(EDGE_BYTES, size))).hexdigest()
    if not file.random_access:
        return Fingerprint(size, head, "")
    file.seek(max(0, size - EDGE_BYTES))
    return Fingerprint(size, head, hashlib.sha256(file.read(min(EDGE_BYTES, size))).hexdigest())


def continues(file: SourceFile, known: Fingerprint) -> bool:
    """Whether the file begins with the content that had this fingerprint: the same, or the same and more behind it.

    A file that was shorter than one edge has its whole content in both hashes.
    """
    found = fingerprint(file, known.size)
    return found == known or (not (found.tail and known.tail) and found[:2] == known[:2])
