"""URLs of sources: which names are URLs, how they are taken apart, and how they are shown without their secrets.

Only http and https have a query and a fragment. In the URL of an object store, `?` and `#` are part of the key.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote_plus

import can_ada

from conf.redaction import register_secret

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
# A URL, or a chain of them as fsspec writes it: simplecache::https://…, zip://one.wet.gz::s3://…, zip://…::/data/x.zip.
URL = re.compile(rf"{SCHEME}(://|::(?={SCHEME}(://|::)))")
LINK = re.compile(rf"(?P<scheme>{SCHEME})://(?P<authority>[^/]*)(?P<path>.*)", re.DOTALL)
WEB_LINK = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(\?(?P<query>[^#]*))?(#.*)?", re.IGNORECASE | re.DOTALL
)
CHAIN = re.compile(rf"::(?={SCHEME}(?:://|::)|/)")
# Protocols that wrap another URL. For all others `::` is part of the path.
CACHES = frozenset({"simplecache", "filecache", "blockcache", "cached"})
WRAPPERS = CACHES | {"zip", "tar", "libarchive", "reference", "dir", "async_wrapper"}
LOCAL = frozenset({"file", "local"})
DEFAULT_PORTS = {"http": "80", "https": "443"}
# Where the part before @ names a container or a repository, not a user.
CONTAINERS = frozenset({"abfs", "abfss", "wasb", "wasbs", "adl"})
REPOSITORIES = frozenset({"github", "git", "memory"})

SECRET_NAME = re.compile(
    r"^(x-(amz|goog|ms|oss|cos)-.*|.*(token|secret|passw|passphrase|signature|credential|api[-_.]?key|access[-_.]?key).*"
    r"|.*accessid|(.*[-_.])?(sig|auth|authorization|bearer|pwd|pass|jwt|hmac|sas|session|session[-_.]?id|sid|hdnts|hdnea)"
    r"|expires|policy|key-pair-id)$"
)
URL_REMEDY = "see its host and port, and write / in a password as %2F, @ as %40"
API_KEY = re.compile(r"[A-Za-z0-9_-]{20,}")
# Parameters of an Azure signature that are no secrets themselves, and change with every signature.
AZURE_SIGNED = re.compile(r"sv|st|se|sr|sp|sip|spr|ss|srt|skoid|sktid|skt|ske|sks|skv")
PARAMETER = re.compile(r"(?P<begin>[?&;](?P<name>[^=?&;]+)=)(?P<value>[^&;]+)")
USERINFO = re.compile(rf"(?P<begin>{SCHEME}://)(?P<userinfo>[^/\s]+)@")
# A colon in front of something else than a port; but not in an S3 access point (arn:…), nor in an IPv6 address.
NO_PORT = re.compile(r"^(?!arn:|\[[0-9A-Fa-f:.]*\](:\d*)?$)[^:]*:(?!\d*$)")
IN_TEXT = re.compile(rf"{SCHEME}(://|::)[^\s'\"<>]+")


def is_url(location: str) -> bool:
    """Return whether a location is a URL for fsspec to open (`file:` URLs become paths before this is asked)."""
    return URL.match(location) is not None


def split_chain(url: str) -> list[str]:
    """Return the links of a chained URL, outermost first; of any other URL, the URL alone."""
    first = re.split("::|://", url, maxsplit=1)[0].lower()
    return CHAIN.split(url) if first in WRAPPERS else [url]


def scheme_of(link: str) -> str:
    """Return the lower-case scheme of a link of a URL; empty for a bare path."""
    match = re.match(rf"{SCHEME}(?=://|$)", link)
    return match[0].lower() if match else ""


def is_web(url: str) -> bool:
    """Return whether this is a plain http or https URL, and no chain."""
    return scheme_of(url) in DEFAULT_PORTS


def path_of(url: str) -> str:
    """Return the path of a URL, without its authority and, for http and https only, without query and fragment.

    Of a chain it is the path of its first link; caches are transparent.
    """
    link = next((link for link in split_chain(url) if link not in CACHES), url)
    match = WEB_LINK.fullmatch(link) or LINK.fullmatch(link)
    return match["path"] if match else link


def origin(url: str) -> tuple[tuple[str, str], ...]:
    """Return scheme and authority of each link of a URL: equal for URLs that the same server answers."""
    origins = []
    for link in split_chain(url):
        match = WEB_LINK.fullmatch(link) or LINK.fullmatch(link)
        origins.append((match["scheme"].lower(), _authority(match)) if match else ("", link))
    return tuple(origins)


def public_url(url: str) -> str:
    """Return the canonical form of a URL, without passwords, fragment and parameters that only sign it.

    What is taken from the key of an object store is replaced by its hash, so that different keys stay different.
    """
    return "::".join(_public_link(link) for link in split_chain(url))


def register_passwords(url: str) -> None:
    """Have the passwords of a URL masked in all output: libraries name parts of them when they cannot parse it."""
    for link in split_chain(url):
        rest = link.partition("//")[2]
        if re.match(r"[^\[/?#:]*:(?!\d*(?:[/?#]|$))", rest):
            password = rest.rpartition("@")[0].partition(":")[2]
            # A / ? or # in a password ends the part that is taken for the host.
            for part in (password, *re.split(r"[/?#]", password)):
                register_secret(part)


def shown_location(location: str) -> str:
    """Return a path or URL as it may be shown and stored."""
    return printable(public_url(location) if is_url(location) else location)


def redact(text: str) -> str:
    """Return a text, an error message say, with its URLs made public."""
    return IN_TEXT.sub(lambda match: public_url(match[0]), text)


def printable(text: str) -> str:
    """Return a text with everything escaped that a terminal would obey or could not show."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _public_link(link: str) -> str:
    web = WEB_LINK.fullmatch(link)
    match = web or LINK.fullmatch(link)
    if match is None:
        return link
    scheme, authority = match["scheme"].lower(), _authority(match)
    if scheme not in REPOSITORIES and NO_PORT.search(authority):
        # A password with a slash in it: where it ends cannot be known.
        return f"{scheme}://{_hashed(link)}"
    path = USERINFO.sub(lambda found: f"{found['begin']}{_hashed(found['userinfo'])}@", match["path"])
    if web is None:
        return f"{scheme}://{authority}{PARAMETER.sub(_hashed_value, path)}"
    query = _public_query(web["query"] or "")
    return f"{scheme}://{authority}{path}" + (f"?{query}" if query else "")


def _authority(match: re.Match[str]) -> str:
    """The authority of a link without user and password."""
    scheme, authority = match["scheme"].lower(), match["authority"]
    userinfo, _, host = authority.rpartition("@")
    if scheme in REPOSITORIES or (scheme in CONTAINERS and ":" not in userinfo):
        return authority
    if scheme not in DEFAULT_PORTS:
        return host
    host = host.lower()
    return host.removesuffix(f":{DEFAULT_PORTS[scheme]}").removesuffix(":")


def _public_query(query: str) -> str:
    pairs = re.split("([&;])", query)
    names = [unquote_plus(pair.partition("=")[0]).lower() for pair in pairs[::2]]
    signed = "sig" in names
    kept = [
        (separator, pair)
        for separator, pair, name in zip(["", *pairs[1::2]], pairs[::2], names, strict=True)
        if not _is_secret(name, pair.partition("=")[2]) and not (signed and AZURE_SIGNED.fullmatch(name))
    ]
    if len(kept) == len(names):
        return query
    return "".join(separator * (number > 0) + pair for number, (separator, pair) in enumerate(kept))


def _is_secret(name: str, value: str) -> bool:
    return SECRET_NAME.match(name) is not None or (name == "key" and API_KEY.fullmatch(value) is not None)


def _hashed_value(match: re.Match[str]) -> str:
    name = unquote_plus(match["name"]).lower()
    return match["begin"] + _hashed(match["value"]) if _is_secret(name, match["value"]) else match[0]


def _hashed(secret: str) -> str:
    return "~" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def is_valid_url(url: str) -> bool:
    """Return whether a URL is valid by the URL Standard (https://url.spec.whatwg.org): its host and port above all."""
    try:
        can_ada.parse(url)
    except (ValueError, TypeError):  # (TypeError: bytes that are no UTF-8)
        return False
    return True
