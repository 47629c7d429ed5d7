"""URLs of sources: which names are URLs, and how a URL may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")
WEB = {"http": 80, "https": 443}
SIGNING = re.compile(r"(?i)(x-amz-|x-goog-|awsaccesskeyid=|googleaccessid=|signature=|expires=|sig=|token=)")


def is_url(location: str) -> bool:
    """Return whether a location is a URL for fsspec to open (`file:` URLs become paths before this is asked)."""
    return URL.match(location) is not None


def public_url(url: str) -> str:
    """Return the canonical form of a URL without user, password, fragment and signing parameters."""
    if "::" in url:
        return url
    parts = urlsplit(url)
    host = (parts.hostname or "") if parts.scheme in WEB else parts.netloc.rpartition("@")[2]
    if parts.scheme in WEB and parts.port and parts.port != WEB[parts.scheme]:
        host += f":{parts.port}"
    query = "&".join(pair for pair in parts.query.split("&") if pair and not SIGNING.match(pair))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
