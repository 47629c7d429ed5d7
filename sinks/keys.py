"""Every Redis key, defined once.

`ws:{main}:live` names the prefix that readers use; all else stands below a prefix `ws:{main}:<generation>.<build>:`.
The braces keep a pipeline in one slot of a Redis cluster, so that one script may write all of its keys. A rebuild
fills the keys of a new build and switches `live` at its end; readers never see it half done.
"""

from __future__ import annotations

from dataclasses import dataclass

STATISTICS = (
    "words",  # HASH   word -> `<tf> <df>`: together, they take half the memory and time of a hash each
    "top",  # ZSET   the most frequent words, score = -tf: `ZRANGE … 0 9 WITHSCORES` are the first ten
    "df_words",  # HASH   document frequency -> words that have it
    "df_tokens",  # HASH   document frequency -> tokens of the words that have it
    "totals",  # HASH   records, documents, tokens, words, payload_bytes
    "lengths",  # HASH   length in tokens -> documents
    "reasons",  # HASH   reason -> rejected records
    "sources",  # HASH   `<count>\t<source>` or `rejected\t<reason>\t<source>` -> n
    "languages",  # HASH   `pages\t<code>`, `documents\t<code>` -> n
    "tlds",  # HASH   the same by top-level domain
    "days",  # HASH   the same by day of crawling (UTC)
    "position",  # STRING JSON: how far the documents table is counted here
    "commit",  # HASH   the micro-batch that is half applied: finish (its position), last (word), moves by chunk
    "as_of",  # HASH   time (Unix seconds) of the last commit, profile; ranks: `stale` until `top` is ranked anew
)


def live_key(pipeline: str) -> str:
    """Key of the prefix that readers use."""
    return f"ws:{{{pipeline}}}:live"


def lease_key(pipeline: str) -> str:
    """Key of the writer lease."""
    return f"ws:{{{pipeline}}}:writer"


def replay_lease_key(pipeline: str) -> str:
    """Key of the lease of a replay, which fills a generation beside the live one."""
    return f"ws:{{{pipeline}}}:replayer"


def status_key(pipeline: str) -> str:
    """Key of what the running stream says of itself (expires when it stops): lag, rates."""
    return f"ws:{{{pipeline}}}:status"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below one prefix, as attributes by the names in STATISTICS."""

    prefix: str

    def __getattr__(self, name: str) -> str:
        if name not in STATISTICS:
            raise AttributeError(name)
        return f"{self.prefix}{name}"

    def all(self) -> list[str]:
        """All keys, in the order of STATISTICS."""
        return [f"{self.prefix}{name}" for name in STATISTICS]


def build_prefix(pipeline: str, generation: str, build: int) -> str:
    """Prefix of one build of a generation's statistics."""
    return f"ws:{{{pipeline}}}:{generation}.{build}:"


def generations_key(pipeline: str) -> str:
    """Key of the HASH generation -> prefix of its statistics, also of those that are not live."""
    return f"ws:{{{pipeline}}}:generations"


def requests_key(pipeline: str) -> str:
    """Key of the LIST of what the writer is asked to do between two micro-batches."""
    return f"ws:{{{pipeline}}}:requests"


def changes_key(pipeline: str) -> str:
    """Key of the lease of whoever removes sources or switches generations: one at a time."""
    return f"ws:{{{pipeline}}}:changes"


def builds_key(pipeline: str) -> str:
    """Key of the SET of all prefixes that were ever begun and not yet dropped."""
    return f"ws:{{{pipeline}}}:builds"


def batches_key(pipeline: str) -> str:
    """Key of the LIST of the last micro-batches, newest first (JSON, see `sinks.observations`)."""
    return f"ws:{{{pipeline}}}:batches"


def growth_key(pipeline: str) -> str:
    """Key of the LIST of observations of the vocabulary's growth, oldest first (JSON)."""
    return f"ws:{{{pipeline}}}:growth"


def counters_key(pipeline: str) -> str:
    """Key of the HASH of sums over all micro-batches that were observed: batches, rows, seconds by phase."""
    return f"ws:{{{pipeline}}}:counters"
