"""Secrets masked in everything that leaves the process: logs, errors, status, metadata.

Three kinds are masked as `***`: the user information of any URL (also of one inside another, as in
`simplecache::http://user:password@host`), query parameters that grant access (signatures, tokens, keys), and the
values that were registered with `register_secret`, in plain or URL-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"

MIN_SECRET_CHARS: Final = 6
"""Shorter values are not searched for: masking each `main` or `1` would garble every message and hide nothing."""

# Parameters by which a URL alone grants access: Amazon's, Google's and Azure's signatures, CloudFront's, and tokens.
_PARAMETERS = (
    "x-amz-signature|x-amz-credential|x-amz-security-token|awsaccesskeyid|signature|policy|key-pair-id"
    "|x-goog-signature|x-goog-credential|googleaccessid|sig|skoid|sktid|credentials?|hmac"
    "|(?:access|auth|bearer|csrf|id|refresh|security|session)?[_-]?token"
    "|(?:api|access|account|private|secret|subscription)?[_-]?key(?:[_-]?id)?|(?:client|app)?[_-]?secret"
    "|password|passwd|passphrase|pass|pwd|auth(?:orization)?"
)
_RULES: Final = (
    # //user:password@host. Greedy up to the last @ before the path, since careless passwords hold an @ themselves.
    (re.compile(r"//[^\s/?#\"<>\\]*@"), f"//{MASK}@"),
    # A password with a bare slash, ? or #: what follows the first colon is no port.
    (re.compile(r"//[^\s/?#@\[\"<>\\]*:(?!\d*(?:[/?#\s]|$))[^\s@\"<>\\]*@"), f"//{MASK}@"),
    # The same, percent-encoded: a URL that is a parameter of another one.
    (re.compile(r"(?i)(%3a%2f%2f)(?:(?!%2f|%3f|%23)[^\s&\"<>])*?%40"), rf"\1{MASK}%40"),
    (re.compile(rf"(?i)([?&;#](?:{_PARAMETERS})=)[^\s&;#\"'<>]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:bearer|basic) )[a-z0-9._~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(password ?= ?)(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"')\]}]+)"), rf"\1{MASK}"),
)

_SECRET_NAME: Final = re.compile(r"(?i)secret|passw|token|credential|access\.?key|jaas")

_secrets: set[str] = set()
_known_secrets: re.Pattern[str] | None = None


def register_secret(value: str) -> None:
    """Mask this value wherever `redact` finds it from now on. Values below MIN_SECRET_CHARS characters are ignored."""
    global _known_secrets
    if len(value) < MIN_SECRET_CHARS or value in _secrets:
        return
    _secrets.update({value, quote(value, safe=""), quote(value), quote_plus(value), repr(value)[1:-1]})
    longest_first = sorted(_secrets, key=len, reverse=True)
    _known_secrets = re.compile("|".join(map(re.escape, longest_first)))


def is_secret_name(name: str) -> bool:
    """Whether a property of this name, one of Spark's say, holds a secret."""
    return _SECRET_NAME.search(name) is not None


def redact(text: str) -> str:
    """Return `text` with its secrets masked; text without any comes back unchanged."""
    if _known_secrets is not None:
        text = _known_secrets.sub(MASK, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def redact_values(value: Any) -> Any:
    """Return a copy of nested mappings and sequences (an answer in JSON, say) with every string redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact_values(key): redact_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(inner) for inner in value]
    return value
