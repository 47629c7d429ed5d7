"""Source identities: what "the same source" means.

The identity is the key of a source's messages, its row in the ledger and the argument of `remove`. It is made here and
nowhere else, from the location alone; content is compared by fingerprint.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from producers.sources.urls import is_url, public_url

# A crawl path (crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/….warc.wet.gz), also with the slashes
# replaced by underscores as in the data sets of the course project P2.1; the parts themselves hold no underscore.
CRAWL_PATH = re.compile(
    r"crawl-data[/_](?P<crawl>[^/_]+)[/_]segments[/_](?P<segment>[^/_]+)[/_]wet[/_](?P<file>[^/_]+\.wet(?:\.\w+)?)$"
)
SUFFIXES = (".wet", ".wet.gz", ".wet.zst")


def source_id(location: str | Path) -> str:
    """Return the identity of the source at `location`: its crawl path if it has one, else its absolute URI.

    A file keeps its identity however it is named: relative, through a symbolic link, by a signed URL.
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
    """Return crawl and segment of a source identity; empty strings if it has none."""
    match = CRAWL_PATH.search(source)
    return (match["crawl"], match["segment"]) if match else ("", "")
