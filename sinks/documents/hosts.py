"""The host of a page, as the URL Standard sees it (https://url.spec.whatwg.org).

A URL is parsed once, here, and its host is a column of the documents table. Whatever needs a host or a top-level domain
(the statistics, `verify`, the questions about hosts) reads that column: a second grammar would differ on some odd URL.

A top-level domain is the last label. Public suffixes (`co.uk`) are not used: their list changes, and counts must not.
"""

from __future__ import annotations

from collections.abc import Iterable

import can_ada
import pyarrow as pa
import pyarrow.compute as pc

SCHEMES = frozenset(("http:", "https:", "ftp:", "ws:", "wss:"))
"""The standard's special schemes with a host. In all others a host is opaque: nothing says that it is a domain."""
MAX_LABEL_BYTES = 63
MAX_HOST_BYTES = 253
"""RFC 1035, 2.3.4; the URL Standard leaves these lengths to DNS."""

UNKNOWN = "unknown"
ADDRESS = "address"


def host_of(url: str | None) -> str | None:
    """Return the host of a URL, or None where it has none.

    Args:
        url: As the WARC header has it; None for a record without one.

    Returns:
        A domain in lower case and ASCII (IDNs as Punycode, `xn--...`) without the dot of the root, an IPv4 address
        in dotted decimal, or an IPv6 address in brackets. None if the URL is invalid, its scheme has no domains, or the
        domain could not exist in DNS: an empty label, a label over 63 bytes, more than 253 bytes.
    """
    if not url:
        return None
    try:
        parsed = can_ada.parse(url)
    except ValueError:
        return None
    if parsed.protocol not in SCHEMES:
        return None
    host: str = parsed.hostname.removesuffix(".")
    if not host or len(host) > MAX_HOST_BYTES:
        return None
    if host.startswith("["):
        return host
    if any(not 0 < len(label) <= MAX_LABEL_BYTES for label in host.split(".")):
        return None
    return host


def hosts_of(urls: Iterable[str | None]) -> pa.Array:
    """Return the hosts of many URLs as an Arrow string array of the same length; null where there is none."""
    return pa.array([host_of(url) for url in urls], pa.string())


def tld_of(hosts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the top-level domain of each host: its last label; `address` for an IP address, `unknown` for null.

    A normalised host that ends in a number is an IPv4 address: the URL Standard lets no domain end in one.
    """
    hosts = hosts.cast(pa.string())
    last = pc.replace_substring_regex(hosts, r"^.*\.", "")
    return pc.fill_null(pc.if_else(pc.match_substring_regex(last, r"^\[|^[0-9]+$|\]$"), ADDRESS, last), UNKNOWN)
