"""Source identities: what "the same source" means.

The identity is the key of a source's messages, its row in the ledger and the argument of `remove`. It is made here and
nowhere else, from the location alone; content is compared by fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from producers.sources.urls import is_url, is_web, path_of, public_url, split_chain

# A crawl path (crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/….warc.wet.gz), also with the slashes
# replaced by underscores as in the data sets of the course project P2.1; the parts themselves hold no underscore.
CRAWL_PATH = re.compile(
    r"(?:^|[/_])crawl-data[/_](?P<crawl>[^/_]+)[/_]segments[/_](?P<segment>[^/_]+)[/_]wet[/_]"
    r"(?P<file>[^/_]+\.wet(?:\.\w+)?)\Z"
)
SUFFIXES = (".wet", ".wet.gz", ".wet.zst")


def source_id(location: str | Path) -> str:
    """Return the identity of the source at `location`: its crawl path if it has one, else its absolute URI.

    A file keeps its identity however it is named: relative, through a symbolic link, by a signed URL. Different keys
    of an object store have different identities. No password and no signature is ever part of one.
    """
    if is_url(str(location)):
        uri = public_url(str(location))
        web = is_web(split_chain(uri)[-1])
        # What a query selects is no longer the file of the crawl path.
        path = "" if web and "?" in uri else unquote(path_of(uri)) if web else path_of(uri)
    else:
        # Not Path.resolve, which raises for a link to itself.
        path = os.path.realpath(location)
        uri = Path(path).as_uri()
    match = CRAWL_PATH.search(path)
    if match and path.isprintable():
        return f"crawl-data/{match['crawl']}/segments/{match['segment']}/wet/{match['file']}"
    return uri if uri.isprintable() else _escaped(uri)


def is_wet_name(name: str) -> bool:
    """Return whether a file is called as WET files are."""
    return name.lower().endswith(SUFFIXES)


def crawl_and_segment(source: str) -> tuple[str, str]:
    """Return crawl and segment of a source identity; empty strings if it has none."""
    match = CRAWL_PATH.search(source)
    return (match["crawl"], match["segment"]) if match else ("", "")


def _escaped(uri: str) -> str:
    """A URI with control characters, as text; its hash keeps it apart from a URI that looks like this."""
    raw = uri.encode("utf-8", "surrogatepass")
    text = "".join(char if char.isprintable() else quote(char, errors="surrogatepass") for char in uri)
    return f"{text}~{hashlib.sha256(raw).hexdigest()[:12]}"
