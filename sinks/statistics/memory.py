"""Guards Redis' memory: a warning in good time, then a wait, instead of a server that runs out of memory or evicts.

The guard reads `INFO memory` in the round trips that a commit makes anyway, once for about CHECK_WORDS words.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from sinks.statistics.errors import EvictionPolicyError, MemoryFullError

log = logging.getLogger("wetstream")

NOTICE_SHARE: Final = 0.8
NOTICE_AGAIN_SHARE: Final = 0.05
"""A further warning for each such part of the limit that is used up."""

CHECK_WORDS: Final = 32_000
WORD_BYTES: Final = 128
"""What a new word takes in `words` and `top` at most, its share of the hash table included."""

Wait = Callable[[MemoryFullError], None]


def fail(error: MemoryFullError) -> None:
    """Do not wait: raise the error."""
    raise error


class MemoryGuard:
    """Watches the memory of one Redis.

    Args:
        limit_bytes: Limit beside the server's own maxmemory; 0: none.
        wait: Called when there is no room; returns to have another try, or raises.
    """

    def __init__(self, limit_bytes: int = 0, wait: Wait = fail) -> None:
        self._limit_bytes = limit_bytes
        self.wait = wait
        self._noticed = NOTICE_SHARE - NOTICE_AGAIN_SHARE

    def check(self, info: bytes, words: int) -> None:
        """Check that there is room for the next words.

        Args:
            info: Reply to `INFO memory`.
            words: How many words the commit has left.

        Raises:
            MemoryFullError: There is no room now.
            EvictionPolicyError: The server would evict.
        """
        policy = _text(info, b"maxmemory_policy")
        if policy not in ("noeviction", ""):
            raise EvictionPolicyError(policy)
        used, own = _number(info, b"used_memory"), _number(info, b"maxmemory")
        limits = {"its maxmemory": own, "redis.max_memory_mb": self._limit_bytes}
        limits = {name: limit for name, limit in limits.items() if limit}
        if not limits:
            return
        name = min(limits, key=lambda one: limits[one])
        limit = limits[name]
        if used + min(words, CHECK_WORDS) * WORD_BYTES > limit:
            raise MemoryFullError(f"uses {used / (1 << 20):,.1f} of {limit / (1 << 20):,.1f} MB ({name})")
        share = used / limit
        if share >= self._noticed + NOTICE_AGAIN_SHARE:
            self._noticed = share
            log.warning(
                "Redis uses %.0f %% of %s MB (%s): at the limit the stream will wait. Raise it, or use a larger server",
                100 * share,
                f"{limit / (1 << 20):,.0f}",
                name,
            )


def _text(info: bytes, field: bytes) -> str:
    found = re.search(rb"(?:^|\n)%b:([^\r\n]*)" % field, info)
    return found[1].decode() if found else ""


def _number(info: bytes, field: bytes) -> int:
    text = _text(info, field)
    return int(text) if text.isdigit() else 0
